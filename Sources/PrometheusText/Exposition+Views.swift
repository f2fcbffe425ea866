/// A histogram as a server shows it: the number of observations at or below each bound since the server started.
public struct HistogramSample: Hashable, Sendable {
    /// The labels without `le`, sorted by name.
    public var labels: [Label]
    /// The upper bounds of the buckets, ascending; the last is +Inf.
    public var bounds: [Double]
    /// The cumulative count of each bucket, never decreasing. The last is the number of all observations.
    public var cumulative: [Double]
    /// The sum of all observations; nil if the server shows none.
    public var sum: Double?

    public var count: Double { cumulative.last ?? 0 }

    public init(labels: [Label] = [], bounds: [Double], cumulative: [Double], sum: Double?) {
        self.labels = labels
        self.bounds = bounds
        self.cumulative = cumulative
        self.sum = sum
    }
}

public struct SummarySample: Hashable, Sendable {
    /// The labels without `quantile`, sorted by name.
    public var labels: [Label]
    /// The values by quantile, 0 ... 1; empty if the server only counts.
    public var quantiles: [Double: Double]
    public var sum: Double?
    public var count: Double?
}

extension Exposition {
    /// The matching samples, labels sorted by name. A series that occurs twice counts once, its first sample.
    public func select(_ selector: SeriesSelector) -> [Sample] {
        var matching = samples(named: selector.name).filter(selector.matches)
        for i in matching.indices where matching[i].labels.count > 1 {
            matching[i].labels.sort { $0.name.precedesBytewise($1.name) }
        }
        guard matching.count > 1 else { return matching }
        var seen: Set<[Label]> = []
        return matching.filter { seen.insert($0.labels).inserted }
    }

    /// True if any matching sample, repeated ones included, has a value with a property.
    public func anyValue(_ selector: SeriesSelector, _ property: (Double) -> Bool) -> Bool {
        samples(named: selector.name).contains { property($0.value) && selector.matches($0) }
    }

    /// The value of each matching series by its labels, which are sorted by name.
    private func values(_ selector: SeriesSelector) -> [[Label]: Double] {
        Dictionary(select(selector).lazy.map { ($0.labels, $0.value) }, uniquingKeysWith: { first, _ in first })
    }

    /// Whether a series that matches is written twice.
    public func repeats(_ selector: SeriesSelector) -> Bool { repeats(selector, select(selector)) }

    /// - Parameter selected: what `select` returned.
    public func repeats(_ selector: SeriesSelector, _ selected: [Sample]) -> Bool {
        samples(named: selector.name).count { selector.matches($0) } > selected.count
    }

    /// The type of the family of samples with a name; nil without a TYPE line.
    public func type(of name: String) -> FamilyKind? {
        guard let family = samples(named: name).first?.family, families[family].kind != .untyped else { return nil }
        return families[family].kind
    }

    /// A digest of all counters, histograms and summaries; nil if the page has none.
    public var counterDigest: UInt64? {
        var digest: UInt64?
        for sample in samples {
            let isCounter =
                switch families[sample.family].kind {
                case .counter, .histogram, .summary: true
                case .gauge: false
                case .untyped: Self.counterSuffixes.contains { sample.name.hasSuffixBytes(of: $0) }
                }
            // FNV-1a, a value at a time.
            if isCounter { digest = ((digest ?? 0xCBF2_9CE4_8422_2325) ^ sample.value.bitPattern) &* 0x100_0000_01B3 }
        }
        return digest
    }

    private static let counterSuffixes = ["_total", "_bucket", "_count"]

    /// The sum of the matching samples; nil if there is none, or none with a number, since no data is not zero.
    public func sum(_ selector: SeriesSelector) -> Double? {
        let values = select(selector).lazy.map(\.value).filter { !$0.isNaN }
        return values.isEmpty ? nil : values.reduce(0, +)
    }

    /// The matching histograms, by label set; the selector names the family, without `_bucket`. Those without a
    /// bucket, or with a bucket that is no number, are left out.
    public func histograms(_ selector: SeriesSelector) -> [HistogramSample] {
        var groups = LabelGroups<[(bound: Double, count: Double)]>(initial: [])
        for sample in select(selector.buckets) {
            guard let bound = NumberText.parse(sample["le"]), bound > -.infinity else { continue }
            groups.update(sample.labels.filter { !$0.name.hasBytes(of: "le") }) { $0.append((bound, sample.value)) }
        }
        let sums = values(SeriesSelector(selector.name + "_sum", selector.matchers))
        let counts = values(SeriesSelector(selector.name + "_count", selector.matchers))
        return groups.entries.compactMap { labels, buckets in
            HistogramSample(labels: labels, buckets: buckets, sum: sums[labels], count: counts[labels])
        }
    }

    /// The matching summaries, by label set; the selector names the family.
    public func summaries(_ selector: SeriesSelector) -> [SummarySample] {
        var groups = LabelGroups(initial: SummarySample(labels: [], quantiles: [:]))
        for sample in select(selector) {
            guard let quantile = NumberText.parse(sample["quantile"]) else { continue }
            groups.update(sample.labels.filter { !$0.name.hasBytes(of: "quantile") }) {
                $0.quantiles[quantile] = sample.value
            }
        }
        for sample in select(SeriesSelector(selector.name + "_sum", selector.matchers)) {
            groups.update(sample.labels) { $0.sum = sample.value }
        }
        for sample in select(SeriesSelector(selector.name + "_count", selector.matchers)) {
            groups.update(sample.labels) { $0.count = sample.value }
        }
        return groups.entries.map { labels, summary in
            var summary = summary
            summary.labels = labels
            return summary
        }
    }
}

extension HistogramSample {
    /// The buckets in ascending order, each bound once, with +Inf, never falling: a scrape may catch a server between
    /// two increments.
    fileprivate init?(labels: [Label], buckets: [(bound: Double, count: Double)], sum: Double?, count: Double?) {
        guard !buckets.isEmpty, buckets.allSatisfy({ $0.count.isFinite }) else { return nil }
        var sorted = buckets.sorted { $0.bound < $1.bound }
        if sorted.last?.bound != .infinity {
            guard let count, count.isFinite else { return nil }
            sorted.append((.infinity, count))
        }
        self.init(labels: labels, bounds: [], cumulative: [], sum: sum)
        var highest = 0.0
        for bucket in sorted {
            highest = max(highest, bucket.count)
            // One bound may be written in two ways: `1` and `1.0`.
            if bucket.bound == bounds.last {
                cumulative[cumulative.count - 1] = highest
            } else {
                bounds.append(bucket.bound)
                cumulative.append(highest)
            }
        }
    }
}

/// Values by label set, in the order in which the sets were first seen.
private struct LabelGroups<Value> {
    let initial: Value
    private(set) var entries: [(labels: [Label], value: Value)] = []
    private var places: [[Label]: Int] = [:]

    init(initial: Value) { self.initial = initial }

    mutating func update(_ labels: [Label], _ change: (inout Value) -> Void) {
        let place = places[labels] ?? entries.count
        if place == entries.count {
            places[labels] = place
            entries.append((labels, initial))
        }
        change(&entries[place].value)
    }
}
