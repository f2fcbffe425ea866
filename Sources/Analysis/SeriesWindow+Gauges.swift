import PolicyModel

/// A gauge as all current servers of an arm showed it in their n-th last scrape.
public struct GaugeReading: Hashable, Sendable {
    /// The newest of those scrapes: monotonic, in nanoseconds.
    public var at: Int64
    /// The values, in no order, without NaN; empty: the scrapes were there and the gauge was not.
    public var values: [Double]
    /// A server showed the gauge and it was not a number.
    public var hasNaN = false

    public init(at: Int64, values: [Double]) {
        self.at = at
        self.values = values.filter { !$0.isNaN }
        hasNaN = self.values.count < values.count
    }

    /// Nil without values, for a sum of +Inf and -Inf, and for `rate` and `quantile`, which are not of gauges.
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

/// How well a server can be scraped.
public struct ScrapeFreshness: Hashable, Sendable {
    public var server: Endpoint
    /// Monotonic, in nanoseconds; nil: never.
    public var lastSuccess: Int64?
    /// Since the last success.
    public var consecutiveFailures: Int
    /// Why the last failed scrape failed, however long ago.
    public var lastFailure: String?

    public init(server: Endpoint, lastSuccess: Int64?, consecutiveFailures: Int, lastFailure: String?) {
        self.server = server
        self.lastSuccess = lastSuccess
        self.consecutiveFailures = consecutiveFailures
        self.lastFailure = lastFailure
    }
}

extension SeriesWindow {
    /// Returns values of the scrapes that began at `since` or later, newest first, at most `count`. A server that has
    /// fewer of them than another adds to fewer readings.
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

    /// Why the newest scrape of a server could not answer the query; nil where all could.
    public func unavailable(_ query: SeriesQuery, of arm: Arm) -> String? {
        for history in histories[arm]!.values where history.isCurrent {
            if case .unavailable(let reason) = history.samples.last?.series[query] { return reason }
        }
        return nil
    }

    /// When the newest successful scrape of each server began.
    public func newestScrapes(of arm: Arm) -> [Endpoint: Int64] {
        histories[arm]!.compactMapValues { $0.samples.last?.at }
    }

    /// Whether a current server of the arm was scraped after these.
    public func hasScrapes(of arm: Arm, after seen: [Endpoint: Int64]) -> Bool {
        histories[arm]!.contains { server, history in
            history.isCurrent && history.samples.last.map { $0.at > seen[server] ?? .min } ?? false
        }
    }

    /// The histories of the arm's current servers, by name.
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
