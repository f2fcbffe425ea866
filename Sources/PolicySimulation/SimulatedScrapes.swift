import Analysis
import PolicyModel

/// Simulates scrapes of both arms, from the simulated requests and the series that the scenario declares.
struct SimulatedScrapes {
    /// The time between two scrapes, which is the default of a service's file.
    static let interval: Duration = .seconds(5)
    /// Upper bounds of the simulated servers' latency histogram, in seconds.
    static let bounds: [Double] = [
        0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 20, 30,
        60, .infinity,
    ]

    private struct Server {
        var requests = 0.0
        var errors = 0.0
        var counts = [Double](repeating: 0, count: bounds.count)
        /// The values of declared counters, by series.
        var counters: [String: Double] = [:]
    }
    /// One server for each arm, indexed by the arm's raw value.
    private var servers: [Server] = [Server(), Server()]
    private let queries: Set<SeriesQuery>

    init(_ policies: [Policy]) {
        queries = Set(
            policies.flatMap(\.checks).compactMap {
                if case .metric(let metric) = $0.kind { metric.query } else { nil }
            }
        )
    }

    static func endpoint(_ arm: Arm) -> Endpoint { Endpoint(host: arm.name, port: 1) }

    /// Adds ended requests to the servers' metrics.
    mutating func record(_ ended: [Observation]) {
        for o in ended where o.outcome != .connectFailure {
            let arm = Int(o.arm.rawValue)
            servers[arm].requests += 1
            if o.outcome.isError {
                servers[arm].errors += 1
            } else {
                let seconds = Double(o.total) * 1e-6
                for i in Self.bounds.indices where seconds <= Self.bounds[i] { servers[arm].counts[i] += 1 }
            }
        }
    }

    /// A scrape of the only server of an arm.
    struct Scrape {
        var arm: Arm
        var at: Int64
        var outcome: ScrapeOutcome
    }

    /// Scrapes both arms, `elapsed` after the last scrape.
    mutating func scrape(_ phase: TrafficPhase, now: Int64, elapsed: Duration) -> [Scrape] {
        for arm in Arm.allCases {
            for series in phase.series {
                servers[Int(arm.rawValue)].counters[series.series, default: 0] += series[arm] * elapsed.seconds
            }
        }
        return Arm.allCases.map { arm in
            guard phase.scrapesAnswer, phase[arm].reachable else {
                return Scrape(arm: arm, at: now, outcome: .failure("no answer"))
            }
            let server = servers[Int(arm.rawValue)]
            var sample = ScrapeSample(
                at: now, requests: server.requests, errors: server.errors,
                latency: .histogram(CumulativeHistogram(bounds: Self.bounds, counts: server.counts)),
                latencyExcludesErrors: true)
            for query in queries {
                sample.series[query] = reading(
                    of: query, phase.series.first { $0.series == query.selector }, arm, server)
            }
            return Scrape(arm: arm, at: now, outcome: .sample(sample))
        }
    }

    private func reading(
        of query: SeriesQuery, _ series: SeriesTraffic?, _ arm: Arm, _ server: Server
    ) -> SeriesReading {
        guard let series else { return .values([:]) }
        switch query.kind {
        case .gauge: return .values(["": series[arm]])
        case .counter: return .values(["": server.counters[series.series] ?? 0])
        case .histogram:
            // As many observations as requests, all of them with the declared value.
            let value = series[arm]
            return .histograms([
                "": CumulativeHistogram(
                    bounds: [value - abs(value) * 1e-9, value, .infinity],
                    counts: [0, server.requests, server.requests])
            ])
        }
    }
}
