import PolicyModel

/// The values of a gauge in the n-th last scrape of each of an arm's current servers.
public struct GaugeReading: Hashable, Sendable {
    /// The time of the newest of these scrapes, in monotonic nanoseconds.
    public var at: Int64
    /// The values, in no order, without NaN; empty if the scrapes do not show the gauge.
    public var values: [Double]
    /// True if a server's gauge was not a number.
    public var hasNaN = false

    public init(at: Int64, values: [Double]) {
        self.at = at
        self.values = values.filter { !$0.isNaN }
        hasNaN = self.values.count < values.count
    }

    /// The aggregate of the values; nil without values, for a sum of +Inf and -Inf, and for `rate` and `quantile`,
    /// which do not apply to gauges.
    public func aggregated(by aggregate: MetricAggregate) -> Double? {
        if values.isEmpty { return nil }
        let value: Double? =
            switch aggregate {
            case .max: values.max()
            case .min: values.min()
            case .sum: values.reduce(0, +)
            case .mean: values.reduce(0, +) / Double(values.count)
            case .rate, .quantile: nil
            }
        return value?.isNaN == true ? nil : value
    }
}

/// The success of recent scrapes of a server.
public struct ScrapeFreshness: Hashable, Sendable {
    public var server: Endpoint
    /// The start of the last successful scrape, in monotonic nanoseconds; nil if there was none.
    public var lastSuccess: Int64?
    /// The number of failed scrapes since the last success.
    public var consecutiveFailures: Int
    /// The reason of the last failure, however long ago it was.
    public var lastFailure: String?

    public init(server: Endpoint, lastSuccess: Int64?, consecutiveFailures: Int, lastFailure: String?) {
        self.server = server
        self.lastSuccess = lastSuccess
        self.consecutiveFailures = consecutiveFailures
        self.lastFailure = lastFailure
    }
}

extension SeriesWindow {
    /// Readings of a gauge from the scrapes that began at or after `since`, the newest first, at most `count`. A server
    /// that has fewer scrapes than another adds to fewer readings.
    public func gauges(_ query: SeriesQuery, of arm: Arm, last count: Int, since: Int64) -> [GaugeReading] {
        readings(of: arm, last: count, since: since) { sample in
            if case .values(let values) = sample.series[query] { Array(values.values) } else { [] }
        }
    }

    public func queue(of arm: Arm, last count: Int, since: Int64) -> [GaugeReading] {
        readings(of: arm, last: count, since: since) { $0.queue.map { [$0] } ?? [] }
    }

    public func saturation(of arm: Arm, last count: Int, since: Int64) -> [GaugeReading] {
        readings(of: arm, last: count, since: since) { $0.saturation.map { [$0] } ?? [] }
    }

    /// The reason why the newest scrape of a server cannot be queried; nil if all can.
    public func unavailable(_ query: SeriesQuery, of arm: Arm) -> String? {
        for history in histories[arm]!.values where history.isCurrent {
            if case .unavailable(let reason) = history.samples.last?.series[query] { return reason }
        }
        return nil
    }

    /// The start of the newest successful scrape of each server, in monotonic nanoseconds.
    public func newestScrapes(of arm: Arm) -> [Endpoint: Int64] {
        histories[arm]!.compactMapValues { $0.samples.last?.at }
    }

    /// True if a current server of the arm was scraped after its time in `seen`.
    public func hasScrapes(of arm: Arm, after seen: [Endpoint: Int64]) -> Bool {
        histories[arm]!.contains { server, history in
            history.isCurrent && history.samples.last.map { $0.at > seen[server] ?? .min } ?? false
        }
    }

    /// The freshness of the arm's current servers, in the order of their names.
    public func freshness(of arm: Arm) -> [ScrapeFreshness] {
        histories[arm]!.filter(\.value.isCurrent).map { server, history in
            ScrapeFreshness(
                server: server, lastSuccess: history.samples.last?.at,
                consecutiveFailures: history.consecutiveFailures, lastFailure: history.lastFailure?.reason)
        }.sorted { $0.server.description < $1.server.description }
    }

    private func readings(
        of arm: Arm, last count: Int, since: Int64, _ read: (ScrapeSample) -> [Double]
    ) -> [GaugeReading] {
        let fresh = histories[arm]!.values.filter(\.isCurrent).map { history in
            history.samples.reversed().prefix { $0.at >= since }.prefix(count)
        }
        return (0..<(fresh.map(\.count).max() ?? 0)).map { place in
            let scrapes = fresh.compactMap { samples in samples.dropFirst(place).first }
            return GaugeReading(at: scrapes.map(\.at).max()!, values: scrapes.flatMap(read))
        }
    }
}
