import PolicyModel

/// The growth of an arm's counters and histograms over an interval, all of its servers together.
public struct SeriesDelta: Hashable, Sendable {
    /// The times of the first and of the last scrape in the interval, in monotonic nanoseconds.
    public var from: Int64
    public var to: Int64
    /// The number of servers with at least two scrapes in the interval.
    public var servers: Int
    /// The growth of the request and error counters, ≥ 0; nil without data.
    public var requests: Double?
    public var errors: Double?
    public var latency: LatencyReading
    /// The number of failures that the latency histogram leaves out, and that count as slower than all of it.
    public var slower: Double
    /// The growth of the counters and histograms that checks ask for. Gauges are read by `SeriesWindow.gauges`.
    public var series: [SeriesQuery: SeriesIncrease]

    /// A quantile of the latencies in seconds; nil without data.
    public func latencyQuantile(_ quantile: Double) -> QuantileEstimate? {
        guard case .histogram(let histogram) = latency else { return nil }
        return histogram.quantile(quantile, slower: slower)
    }
}

public enum SeriesIncrease: Hashable, Sendable {
    /// The growth of all matching counters. The rate is the sum of the servers' rates, each over its own scrapes.
    case counter(increase: Double, perSecond: Double)
    case histogram(CumulativeHistogram)
    case noData
    case unavailable(String)
}

extension SeriesWindow {
    /// The growth of one arm; nil if no server has two scrapes in the interval.
    ///
    /// - Parameter seen: for each server, the time of the scrape up to which growth is left out. Without a time, growth
    ///   counts from the start of the interval.
    public func delta(of arm: Arm, from start: Int64, to end: Int64, after seen: [Endpoint: Int64] = [:])
        -> SeriesDelta?
    {
        var sum: SeriesDelta?
        for (server, history) in histories[arm]! {
            let scrapes = history.scrapes(from: start, to: end, after: seen[server])
            guard scrapes.count > 1 else { continue }
            let own = SeriesDelta(of: scrapes)
            sum = sum.map { $0.merged(with: own) } ?? own
        }
        return sum
    }

    /// The growth of both arms over the part of the interval for which both have scrapes; nil if there is none.
    public func deltas(from start: Int64, to end: Int64) -> (baseline: SeriesDelta, candidate: SeriesDelta)? {
        guard let one = covered(.baseline, from: start, to: end), let other = covered(.candidate, from: start, to: end)
        else { return nil }
        let common = max(one.from, other.from, start)..<max(min(one.to, other.to), max(one.from, other.from, start))
        guard !common.isEmpty,
            let baseline = delta(of: .baseline, from: common.lowerBound, to: common.upperBound),
            let candidate = delta(of: .candidate, from: common.lowerBound, to: common.upperBound)
        else { return nil }
        return (baseline, candidate)
    }

    private func covered(_ arm: Arm, from start: Int64, to end: Int64) -> (from: Int64, to: Int64)? {
        let scrapes = histories[arm]!.values.map { $0.scrapes(from: start, to: end) }.filter { $0.count > 1 }
        guard let from = scrapes.compactMap(\.first?.at).min(), let to = scrapes.compactMap(\.last?.at).max() else {
            return nil
        }
        return (from, to)
    }
}

extension SeriesDelta {
    /// Computes the growth of one server from at least two scrapes.
    fileprivate init(of scrapes: ArraySlice<ScrapeSample>) {
        let last = scrapes.last!
        from = scrapes.first!.at
        to = last.at
        servers = 1
        let steps = scrapes.dropFirst().lazy.map(\.growth)
        requests = steps.compactMap(\.requests).sum
        errors = steps.compactMap(\.errors).sum
        slower = last.latencyExcludesErrors ? errors ?? 0 : 0
        if case .unavailable = last.latency {
            latency = last.latency
        } else {
            latency = HistogramIncrease.sum(steps.compactMap(\.latency)).map { .histogram($0) } ?? .noData
        }
        let seconds = Double(to - from) * 1e-9
        series = [:]
        for (query, reading) in last.series where query.kind != .gauge {
            series[query] = SeriesIncrease(of: query, last: reading, scrapes: scrapes, seconds: seconds)
        }
    }

    fileprivate func merged(with other: SeriesDelta) -> SeriesDelta {
        SeriesDelta(
            from: min(from, other.from), to: max(to, other.to), servers: servers + other.servers,
            requests: added(requests, other.requests), errors: added(errors, other.errors),
            latency: latency.merged(with: other.latency), slower: slower + other.slower,
            series: series.merging(other.series) { $0.merged(with: $1) })
    }

    private func added(_ one: Double?, _ other: Double?) -> Double? {
        guard let one, let other else { return one ?? other }
        return one + other
    }
}

extension LatencyReading {
    fileprivate func merged(with other: LatencyReading) -> LatencyReading {
        switch (self, other) {
        case (.unavailable, _), (_, .noData): self
        case (_, .unavailable), (.noData, _): other
        case (.histogram(let one), .histogram(let other)):
            one.merged(with: other).map { .histogram($0) } ?? .unavailable(HistogramIncrease.differentBounds)
        }
    }
}

extension SeriesIncrease {
    fileprivate init(
        of query: SeriesQuery, last: SeriesReading, scrapes: ArraySlice<ScrapeSample>, seconds: Double
    ) {
        let steps = scrapes.dropFirst().lazy.map(\.growth)
        switch last {
        case .unavailable(let reason): self = .unavailable(reason)
        case .values:
            let increase = steps.compactMap { $0.counters[query] }.sum
            self = increase.map { .counter(increase: $0, perSecond: $0 / seconds) } ?? .noData
            refuseOverflow()
        case .histograms(let current):
            guard HistogramIncrease.shareBounds(current.values) else {
                self = .unavailable(HistogramIncrease.differentBounds)
                return
            }
            self = HistogramIncrease.sum(steps.compactMap { $0.histograms[query] }).map { .histogram($0) } ?? .noData
        }
    }

    fileprivate func merged(with other: SeriesIncrease) -> SeriesIncrease {
        var merged = united(with: other)
        merged.refuseOverflow()
        return merged
    }

    /// Replaces a growth that has become infinite by adding finite ones, since it is not usable as evidence.
    private mutating func refuseOverflow() {
        if case .counter(let increase, let rate) = self, !increase.isFinite || !rate.isFinite {
            self = .unavailable("the counters grew by more than a number can hold")
        }
    }

    private func united(with other: SeriesIncrease) -> SeriesIncrease {
        switch (self, other) {
        case (.unavailable, _), (_, .noData): self
        case (_, .unavailable), (.noData, _): other
        case (.counter(let increase, let rate), .counter(let otherIncrease, let otherRate)):
            .counter(increase: increase + otherIncrease, perSecond: rate + otherRate)
        case (.histogram(let one), .histogram(let other)):
            one.merged(with: other).map { .histogram($0) } ?? .unavailable(HistogramIncrease.differentBounds)
        case (.counter, .histogram), (.histogram, .counter):
            .unavailable("a counter on one server and a histogram on another")
        }
    }
}

extension Sequence<Double> {
    /// The sum of the elements; nil if there are none.
    fileprivate var sum: Double? { reduce(nil as Double?) { ($0 ?? 0) + $1 } }
}

private enum HistogramIncrease {
    static let differentBounds = "the servers' histograms share no bucket bounds"

    static func shareBounds(_ histograms: some Collection<CumulativeHistogram>) -> Bool {
        histograms.dropFirst().allSatisfy { $0.merged(with: histograms.first!) != nil }
    }

    /// The sum of the steps between scrapes. When the bounds change, the sum starts again.
    static func sum(_ steps: some Sequence<CumulativeHistogram>) -> CumulativeHistogram? {
        steps.reduce(nil as CumulativeHistogram?) { sum, step in
            guard let sum, sum.bounds == step.bounds else { return step }
            return sum.merged(with: step)
        }
    }
}

extension CumulativeHistogram {
    /// The growth since an earlier reading with the same bounds; the whole reading if any bucket fell, because of a
    /// reset.
    func step(since previous: CumulativeHistogram) -> CumulativeHistogram {
        guard zip(counts, previous.counts).allSatisfy({ $0 >= $1 }) else { return self }
        return CumulativeHistogram(bounds: bounds, counts: zip(counts, previous.counts).map { $0 - $1 })
            .notFalling
    }

    /// The histogram with decreasing counts raised. A server may update its buckets during a scrape, so that the
    /// differences of two scrapes are not cumulative.
    private var notFalling: CumulativeHistogram {
        var result = self
        for place in counts.indices.dropFirst() {
            result.counts[place] = max(result.counts[place], result.counts[place - 1])
        }
        return result
    }
}
