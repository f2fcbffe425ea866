import Analysis
import PolicyModel
import PrometheusText

/// The error for a page that can be parsed, but not used: a number on it cannot be what its series claims, such as a
/// negative count.
public struct UnusableScrape: Error, Hashable, Sendable, CustomStringConvertible {
    public var description: String
}

/// Converts one server's exposition to a `ScrapeSample`, whose terms are the same for all kinds of servers.
public struct SampleReader: Sendable {
    /// The preset; nil if only `queries` are read.
    public var preset: MetricsPreset?
    /// The only model that is counted; nil for all models.
    public var model: String?
    /// The series that the checks of the policies need.
    public var queries: Set<SeriesQuery>
    /// The maximum number of series that one query may match on one server. If it matches more, a label condition is
    /// most likely missing.
    public static let maxSeries = 256
    /// The maximum number of models that a remark names, since a server may carry hundreds, and the maximum length of
    /// each name in characters.
    private static let shownModels = 5
    private static let shownLength = 64

    public init(preset: MetricsPreset?, model: String? = nil, queries: Set<SeriesQuery> = []) {
        self.preset = preset
        self.model = model
        self.queries = queries
    }

    /// Reads a sample from a page. A page on which a request counter or a latency bucket is no count is refused as a
    /// whole, since clamping the value or leaving it out would give a false verdict. Of a series that is written twice only
    /// the first sample is looked at.
    ///
    /// - Parameters:
    ///   - time: the start of the scrape, in monotonic nanoseconds.
    ///   - wall: the same moment in milliseconds since 1970; nil if explicit timestamps are not to be checked.
    public func read(_ exposition: Exposition, at time: Int64, wall: Double? = nil) throws(UnusableScrape)
        -> ScrapeSample
    {
        var sample = ScrapeSample(at: time)
        sample.sampleCount = exposition.samples.count
        sample.page = PageState(newestTimestamp: exposition.newestTimestamp, counters: exposition.counterDigest)
        if let wall, let newest = exposition.newestTimestamp { sample.page.age = (wall - newest) / 1000 }
        if let preset {
            let requests = try count(preset.requests, exposition)
            let errors = try count(preset.errors, exposition)
            sample.repeatedSeries = requests?.repeated ?? errors?.repeated
            sample.requests = requests?.sum
            sample.errors = errors?.sum
            // Many servers export a counter of failures only after the first failure.
            if sample.requests != nil, sample.errors == nil { sample.errors = 0 }
            sample.queue = sum(preset.queue, exposition)
            sample.saturation = preset.saturation.flatMap {
                exposition.select(selector($0)).map(\.value).filter { !$0.isNaN }.max()
            }
            let latency = try latency(preset, exposition)
            sample.latency = latency.reading
            sample.presetReadings = PresetReadings(
                requests: requests?.bySeries, errors: requests == nil ? nil : errors?.bySeries ?? [:],
                latency: latency.bySeries)
            sample.remark = remark(preset, exposition)
            if case .histogram(_, _, let excludesErrors) = preset.latency {
                sample.latencyExcludesErrors = excludesErrors
            }
        } else {
            sample.latency = .unavailable("the version has no metrics preset")
        }
        for query in queries { read(query, exposition, into: &sample) }
        return sample
    }

    private func read(_ query: SeriesQuery, _ exposition: Exposition, into sample: inout ScrapeSample) {
        let selector: SeriesSelector
        do throws(SelectorError) {
            selector = try SeriesSelector(parsing: query.selector)
        } catch {
            sample.series[query] = .unavailable(error.description)
            return
        }
        let reading = reading(query.kind, selector, exposition)
        sample.series[query] = reading
        sample.details[query] = SeriesFinder(exposition: exposition).details(of: selector, query.kind, reading)
    }

    private func selector(_ series: PresetSeries) -> SeriesSelector {
        guard series.hasModel, let model, let label = preset?.modelLabel else { return series.selector }
        return SeriesSelector(
            series.selector.name, series.selector.matchers + [LabelMatcher(label, .equals(model))])
    }

    private func sum(_ series: [PresetSeries], _ exposition: Exposition) -> Double? {
        let values = series.compactMap { exposition.sum(selector($0)) }
        return values.isEmpty ? nil : values.reduce(0, +)
    }

    /// Reads counters: their sum, and the value of each series; nil if the page has none of them. If the page repeats a
    /// series, its first value counts, and `repeated` is the selector of one such series.
    private func count(_ series: [PresetSeries], _ exposition: Exposition) throws(UnusableScrape)
        -> (sum: Double, bySeries: [String: Double], repeated: String?)?
    {
        var bySeries: [String: Double] = [:]
        var repeated: String?
        var sum = 0.0
        for series in series {
            let selector = selector(series)
            let selected = exposition.select(selector)
            if repeated == nil, exposition.repeats(selector, selected) { repeated = selector.description }
            for sample in selected {
                if let why = impossibleCount(sample.value, selector.description) {
                    throw UnusableScrape(description: why)
                }
                let key = SeriesKey.text(of: sample.name, sample.labels)
                guard bySeries[key] == nil else { continue }
                sum += sample.value
                bySeries[key] = sample.value
            }
        }
        guard !bySeries.isEmpty else { return nil }
        if let why = impossibleCount(sum, "the sum of \(series[0].selector.name)") {
            throw UnusableScrape(description: why)
        }
        return (sum, bySeries, repeated)
    }

    private func impossibleCount(_ selector: SeriesSelector, _ exposition: Exposition) -> String? {
        guard exposition.anyValue(selector, { !isCount($0) }) else { return nil }
        return exposition.select(selector).lazy.compactMap { impossibleCount($0.value, selector.description) }.first
    }

    private func isCount(_ value: Double) -> Bool { (0...Proportion.largestCount).contains(value) }

    /// The reason why a value cannot be a count; nil if it can.
    private func impossibleCount(_ value: Double, _ name: String) -> String? {
        if isCount(value) { return nil }
        return "\(name) is \(value), which is no count: counts are from 0 to \(UInt64(Proportion.largestCount))"
    }

    private func latency(_ preset: MetricsPreset, _ exposition: Exposition) throws(UnusableScrape)
        -> (reading: LatencyReading, bySeries: [String: CumulativeHistogram]?)
    {
        switch preset.latency {
        case .unavailable(let reason):
            return (.unavailable(reason), nil)
        case .histogram(let series, let scale, _):
            if model != nil, !series.hasModel, models(preset, exposition).count > 1 {
                let reason =
                    "\(series.selector.name) does not name the model, and this server carries several; use from: proxy"
                return (.unavailable(reason), nil)
            }
            if let why = impossibleCount(selector(series).buckets, exposition) {
                throw UnusableScrape(description: why)
            }
            var bySeries: [String: CumulativeHistogram] = [:]
            var sum: CumulativeHistogram?
            for part in exposition.histograms(selector(series)) {
                let own = cumulative(part, scale: scale)
                bySeries[SeriesKey.text(part.labels)] = own
                guard let merged = sum.map({ $0.merged(with: own) }) ?? own else {
                    return (.unavailable("the histograms of \(series.selector.name) share no bucket bounds"), nil)
                }
                sum = merged
            }
            guard let merged = sum else { return (.noData, nil) }
            if let count = merged.impossibleCount, let why = impossibleCount(count, series.selector.name) {
                throw UnusableScrape(description: why)
            }
            return (.histogram(merged), bySeries)
        }
    }

    /// A remark that the server does not carry the model of the target; nil if it does, or if it names no models.
    private func remark(_ preset: MetricsPreset, _ exposition: Exposition) -> String? {
        guard let model else { return nil }
        let models = models(preset, exposition)
        guard !models.isEmpty, !models.contains(Bytewise(model)) else { return nil }
        let shown = models.sorted().prefix(Self.shownModels).map { $0.text.prefix(Self.shownLength) }.joined(
            separator: ", ")
        return "the server shows no model \(model), but \(shown)\(models.count > Self.shownModels ? ", …" : "")"
    }

    private func models(_ preset: MetricsPreset, _ exposition: Exposition) -> Set<Bytewise> {
        guard let label = preset.modelLabel else { return [] }
        return Set(preset.requests.flatMap { exposition.select($0.selector).map { Bytewise($0[label]) } })
    }

    private func reading(
        _ kind: SeriesQuery.Kind, _ selector: SeriesSelector, _ exposition: Exposition
    ) -> SeriesReading {
        switch kind {
        case .gauge, .counter:
            let samples = exposition.select(selector)
            guard samples.count <= Self.maxSeries else { return tooMany(samples.count) }
            if samples.isEmpty, !exposition.samples(named: selector.name + "_bucket").isEmpty {
                return .unavailable(
                    "\(selector.name) is a histogram: use a quantile, or name its _sum or _count")
            }
            if kind == .counter, let sample = samples.first(where: { !$0.value.isFinite || $0.value < 0 }) {
                return .unavailable("\(selector) is \(sample.value), which no counter can be")
            }
            return .values(
                Dictionary(
                    samples.map { (SeriesKey.text($0.labels), $0.value) }, uniquingKeysWith: { first, _ in first }))
        case .histogram:
            let parts = exposition.histograms(selector)
            guard parts.count <= Self.maxSeries else { return tooMany(parts.count) }
            if parts.isEmpty, !exposition.select(selector).isEmpty {
                return .unavailable("\(selector.name) is no histogram: it has no buckets to read a quantile from")
            }
            if let why = impossibleCount(selector.buckets, exposition) { return .unavailable(why) }
            return .histograms(
                Dictionary(
                    parts.map { (SeriesKey.text($0.labels), cumulative($0, scale: 1)) },
                    uniquingKeysWith: { first, _ in first }))
        }
    }

    private func tooMany(_ count: Int) -> SeriesReading {
        .unavailable("it matches \(count) series, more than \(Self.maxSeries): add label conditions")
    }

    private func cumulative(_ sample: HistogramSample, scale: Double) -> CumulativeHistogram {
        CumulativeHistogram(bounds: sample.bounds.map { $0 * scale }, counts: sample.cumulative)
    }
}
