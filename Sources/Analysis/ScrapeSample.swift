import PolicyModel

/// What one server said of itself at one moment, in terms that all servers share. A value that the server did not show
/// is nil: no data is not zero.
public struct ScrapeSample: Hashable, Sendable {
    /// When the scrape began: monotonic, in nanoseconds.
    public var at: Int64
    /// Counter: inference requests that were answered or failed; without those that were the client's fault.
    public var requests: Double?
    /// Counter: those of `requests` that failed.
    public var errors: Double?
    public var latency: LatencyReading
    /// The histogram holds answered requests only, so that failures have to be added as slower than every bound.
    public var latencyExcludesErrors: Bool
    /// `requests`, `errors` and `latency` by their series, from which the window learns how they grew; nil: there is
    /// one series of each. The window does not keep them.
    public var presetReadings: PresetReadings?
    /// The growth since the previous scrape of the same server; set by the window.
    var growth = CounterGrowth()
    /// Gauge: requests that wait or are worked on, as the server counts them.
    public var queue: Double?
    /// Gauge: 0 ... 1.
    public var saturation: Double?
    /// What the policies' checks asked for.
    public var series: [SeriesQuery: SeriesReading]
    /// How the page shows each of them. The window keeps it of the newest scrape only.
    public var details: [SeriesQuery: SeriesDetails] = [:]
    /// What tells a page that is alive from one that stands still.
    public var page = PageState()
    /// How many samples the server showed in all.
    public var sampleCount = 0
    /// A series of the preset that stands twice on the page, with the same labels; the window keeps it of the newest
    /// scrape only.
    public var repeatedSeries: String?
    /// What the operator should know of this scrape though it succeeded: a model that the server does not show.
    public var remark: String?

    public init(
        at: Int64, requests: Double? = nil, errors: Double? = nil, latency: LatencyReading = .noData,
        latencyExcludesErrors: Bool = false, queue: Double? = nil, saturation: Double? = nil,
        series: [SeriesQuery: SeriesReading] = [:], remark: String? = nil
    ) {
        self.at = at
        self.requests = requests
        self.errors = errors
        self.latency = latency
        self.latencyExcludesErrors = latencyExcludesErrors
        self.queue = queue
        self.saturation = saturation
        self.series = series
        self.remark = remark
    }
}

/// What a preset's counters and its latency histogram show, by labels. Nil: no series was shown.
public struct PresetReadings: Hashable, Sendable {
    public var requests: [String: Double]?
    public var errors: [String: Double]?
    public var latency: [String: CumulativeHistogram]?

    public init(
        requests: [String: Double]? = nil, errors: [String: Double]? = nil,
        latency: [String: CumulativeHistogram]? = nil
    ) {
        self.requests = requests
        self.errors = errors
        self.latency = latency
    }
}

public enum LatencyReading: Hashable, Sendable {
    case histogram(CumulativeHistogram)
    /// The server would show it but has not yet.
    case noData
    /// The server has no histogram of it, and why; a mean is no substitute.
    case unavailable(String)
}

/// A series that a check asks for, and how it is to be read.
public struct SeriesQuery: Hashable, Sendable {
    public enum Kind: String, Hashable, Sendable { case gauge, counter, histogram }

    /// A name with optional label conditions, as the policy writes it.
    public var selector: String
    public var kind: Kind

    public init(selector: String, kind: Kind) {
        self.selector = selector
        self.kind = kind
    }

    /// True if the selector has conditions on labels; a name in quotes, `{"my.metric"}`, is none.
    var hasLabelConditions: Bool {
        var isQuoted = false
        for byte in selector.utf8 {
            if byte == UInt8(ascii: "\"") { isQuoted.toggle() }
            if byte == UInt8(ascii: "="), !isQuoted { return true }
        }
        return false
    }
}

extension MetricCheck {
    /// What this check needs of every scrape.
    public var query: SeriesQuery {
        switch aggregate {
        case .max, .min, .sum, .mean: SeriesQuery(selector: series, kind: .gauge)
        case .rate: SeriesQuery(selector: series, kind: .counter)
        case .quantile: SeriesQuery(selector: series, kind: .histogram)
        }
    }
}

public enum SeriesReading: Hashable, Sendable {
    /// Gauges or counters, by their labels; empty: none matched.
    case values([String: Double])
    /// The histograms by their labels without `le`.
    case histograms([String: CumulativeHistogram])
    /// The query itself cannot be answered, and why.
    case unavailable(String)
}

/// How a page shows a series that a check asks for.
public struct SeriesDetails: Hashable, Sendable {
    public var presence: SeriesPresence
    /// The word of its family's TYPE line; nil without one.
    public var type: String?
    /// A series that matches is written twice; the first one counts.
    public var isRepeated: Bool

    public init(presence: SeriesPresence = .shown, type: String? = nil, isRepeated: Bool = false) {
        self.presence = presence
        self.type = type
        self.isRepeated = isRepeated
    }
}

public enum SeriesPresence: Hashable, Sendable {
    case shown
    /// The page has no family of this name; `nearest` is the name most like it, where one is.
    case unknown(nearest: String?)
    /// Its family has a TYPE line and no sample.
    case declared
    /// Its family has samples, and none with this label, which the selector names.
    case withoutLabel(String)
    /// Its family has samples with all labels that the selector names, and other values of them.
    case otherValues
}

public struct PageState: Hashable, Sendable {
    /// The newest explicit timestamp of any sample, in milliseconds since 1970; nil where none has one.
    public var newestTimestamp: Double?
    /// How old that was when it was scraped, in seconds; nil where it is not known.
    public var age: Double?
    /// A digest of all counters; nil where the page has none.
    public var counters: UInt64?

    public init(newestTimestamp: Double? = nil, age: Double? = nil, counters: UInt64? = nil) {
        self.newestTimestamp = newestTimestamp
        self.age = age
        self.counters = counters
    }
}

/// Observations at or below each bound.
public struct CumulativeHistogram: Hashable, Sendable {
    /// Ascending; the last is +Inf. For latencies in seconds.
    public var bounds: [Double]
    /// One for each bound, not falling.
    public var counts: [Double]

    public var total: Double { counts.last ?? 0 }

    /// The first count that is negative, not a number, or above `Proportion.largestCount`; nil where all are counts.
    public var impossibleCount: Double? { counts.first { !(0...Proportion.largestCount).contains($0) } }

    public init(bounds: [Double], counts: [Double]) {
        precondition(bounds.count == counts.count, "a count for each bound")
        self.bounds = bounds
        self.counts = counts
    }

    /// Both together, on the bounds that they share: there a cumulative count is exact. Nil where they share only
    /// +Inf, which says nothing of latency.
    public func merged(with other: CumulativeHistogram) -> CumulativeHistogram? {
        if bounds == other.bounds {
            return CumulativeHistogram(bounds: bounds, counts: zip(counts, other.counts).map { $0 + $1 })
        }
        var shared = CumulativeHistogram(bounds: [], counts: [])
        var place = 0
        for (bound, count) in zip(bounds, counts) {
            while place < other.bounds.count, other.bounds[place] < bound { place += 1 }
            guard place < other.bounds.count, other.bounds[place] == bound else { continue }
            shared.bounds.append(bound)
            shared.counts.append(count + other.counts[place])
        }
        return shared.bounds.count > 1 ? shared : nil
    }

    /// Returns the quantile as Prometheus' `histogram_quantile` does: linear within the bucket, the lowest bucket from
    /// 0. Nil without observations.
    ///
    /// - Parameter slower: observations that were not measured and count as above every bound: failed requests.
    public func quantile(_ quantile: Double, slower: Double = 0) -> QuantileEstimate? {
        let total = self.total + slower
        guard total > 0, let last = bounds.indices.last else { return nil }
        let rank = quantile * total
        let place = counts.firstIndex { $0 >= rank && $0 > 0 } ?? last
        let lower = place == 0 ? min(0, bounds[0]) : bounds[place - 1]
        guard place < last else { return QuantileEstimate(value: lower, lower: lower, upper: .infinity) }
        let before = place == 0 ? 0 : counts[place - 1]
        let upper = bounds[place]
        let value =
            upper <= 0 && place == 0 ? upper : lower + (upper - lower) * (rank - before) / (counts[place] - before)
        return QuantileEstimate(value: value, lower: lower, upper: upper)
    }
}

/// A quantile that was read off buckets.
public struct QuantileEstimate: Hashable, Sendable {
    /// The interpolated value; where `upper` is infinite, the highest finite bound: it is at least that.
    public var value: Double
    /// The bucket that the quantile lies in: above `lower`, at most `upper`.
    public var lower: Double
    public var upper: Double

    public init(value: Double, lower: Double, upper: Double) {
        self.value = value
        self.lower = lower
        self.upper = upper
    }

    public var isLowerBound: Bool { upper == .infinity }
}
