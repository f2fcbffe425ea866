import PolicyModel

/// One scrape of one server, in terms that all kinds of servers share. A value that the server did not show is nil,
/// since no data is not zero.
public struct ScrapeSample: Hashable, Sendable {
    /// The start of the scrape, in monotonic nanoseconds.
    public var at: Int64
    /// A counter of inference requests that succeeded or failed, without those that failed by the client's fault.
    public var requests: Double?
    /// A counter of the requests among `requests` that failed.
    public var errors: Double?
    public var latency: LatencyReading
    /// True if the histogram holds successful requests only, so that failures have to be added as slower than every
    /// bound.
    public var latencyExcludesErrors: Bool
    /// The values of `requests`, `errors` and `latency` by series, from which the window computes their growth; nil if
    /// there is one series of each. The window does not keep them.
    public var presetReadings: PresetReadings?
    /// The growth since the previous scrape of the same server; set by the window.
    var growth = CounterGrowth()
    /// A gauge of requests that wait or are in progress, as the server counts them.
    public var queue: Double?
    /// A gauge of the server's saturation, 0 ... 1.
    public var saturation: Double?
    /// The values of the series that the policies' checks ask for.
    public var series: [SeriesQuery: SeriesReading]
    /// How the page shows each of these series. The window keeps no details; it follows them in `SeriesTrack`.
    public var details: [SeriesQuery: SeriesDetails] = [:]
    /// The data by which a stalled page is recognized.
    public var page = PageState()
    /// The number of samples on the page.
    public var sampleCount = 0
    /// A series of the preset that the page shows twice with the same labels. The window keeps it of the newest scrape
    /// only.
    public var repeatedSeries: String?
    /// True if the page shows none of the families by which the preset's server is recognized: another server's page,
    /// or one whose metrics are not switched on.
    public var isOtherPage = false
    /// A remark about a successful scrape that the operator should see: that the server does not show the configured
    /// model, or does not count what the preset reads.
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

/// The values of a preset's counters and of its latency histogram by labels, each nil if no series was shown.
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
    /// The server has not shown the histogram yet.
    case noData
    /// The server has no latency histogram, for this reason. A mean is no substitute.
    case unavailable(String)
}

/// A series that a check asks for, and its kind.
public struct SeriesQuery: Hashable, Sendable {
    public enum Kind: String, Hashable, Sendable { case gauge, counter, histogram }

    /// A metric's name with optional label conditions, as written in the policy.
    public var selector: String
    public var kind: Kind

    public init(selector: String, kind: Kind) {
        self.selector = selector
        self.kind = kind
    }

    /// True if the selector has conditions on labels. A name in quotes, `{"my.metric"}`, is not a condition.
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
    /// The query that this check adds to every scrape.
    public var query: SeriesQuery {
        switch aggregate {
        case .max, .min, .sum, .mean: SeriesQuery(selector: series, kind: .gauge)
        case .rate: SeriesQuery(selector: series, kind: .counter)
        case .quantile: SeriesQuery(selector: series, kind: .histogram)
        }
    }
}

public enum SeriesReading: Hashable, Sendable {
    /// The values of gauges or counters by labels; empty if none matched.
    case values([String: Double])
    /// The histograms by labels without `le`; empty if none matched.
    case histograms([String: CumulativeHistogram])
    /// The page cannot be queried in this way, for this reason.
    case unavailable(String)
}

/// How a page shows a series that a check asks for.
public struct SeriesDetails: Hashable, Sendable {
    public var presence: SeriesPresence
    /// The type in the TYPE line of the series' family; nil without such a line.
    public var type: String?
    /// True if a matching series is on the page twice; the first one counts.
    public var isRepeated: Bool

    public init(presence: SeriesPresence = .shown, type: String? = nil, isRepeated: Bool = false) {
        self.presence = presence
        self.type = type
        self.isRepeated = isRepeated
    }
}

public enum SeriesPresence: Hashable, Sendable {
    case shown
    /// The page has no family of this name; `nearest` is the most similar name, nil if none is similar.
    case unknown(nearest: String?)
    /// The family has a TYPE line but no sample.
    case declared
    /// The family has samples, but none with this label, which the selector names.
    case withoutLabel(String)
    /// The family has samples with all labels that the selector names, but with other values.
    case otherValues
}

/// The parts of a page by which a stalled one is recognized.
public struct PageState: Hashable, Sendable {
    /// The newest explicit timestamp of any sample, in milliseconds since 1970; nil if none has one.
    public var newestTimestamp: Double?
    /// The age of that timestamp at the scrape, in seconds; negative if it lies in the future, nil if unknown.
    public var age: Double?
    /// A digest of all counters; nil if the page has none.
    public var counters: UInt64?

    public init(newestTimestamp: Double? = nil, age: Double? = nil, counters: UInt64? = nil) {
        self.newestTimestamp = newestTimestamp
        self.age = age
        self.counters = counters
    }
}

/// A Prometheus histogram: the number of observations at or below each bound.
public struct CumulativeHistogram: Hashable, Sendable {
    /// The upper bounds of the buckets, ascending; the last is +Inf. For latencies they are in seconds.
    public var bounds: [Double]
    /// The cumulative count of each bucket, never decreasing.
    public var counts: [Double]

    public var total: Double { counts.last ?? 0 }

    /// The first count that is negative, not a number, or above `Proportion.largestCount`; nil if there is none.
    public var impossibleCount: Double? { counts.first { !(0...Proportion.largestCount).contains($0) } }

    public init(bounds: [Double], counts: [Double]) {
        precondition(bounds.count == counts.count, "a count for each bound")
        self.bounds = bounds
        self.counts = counts
    }

    /// The sum of two histograms on the bounds that they share, where cumulative counts can be added exactly. Nil if
    /// they share only +Inf, which says nothing about latency.
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
    /// - Parameter slower: the number of failed requests, which the histogram does not contain and which count as above
    ///   every bound.
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

/// A quantile that was estimated from buckets.
public struct QuantileEstimate: Hashable, Sendable {
    /// The interpolated value; if `upper` is infinite, the highest finite bound, which the quantile at least reaches.
    public var value: Double
    /// The bounds of the quantile's bucket: it is above `lower` and at most `upper`.
    public var lower: Double
    public var upper: Double

    public init(value: Double, lower: Double, upper: Double) {
        self.value = value
        self.lower = lower
        self.upper = upper
    }

    public var isLowerBound: Bool { upper == .infinity }
}
