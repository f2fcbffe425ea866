import Analysis
import PolicyModel

/// What scrapes of both arms would show, from the requests that were dealt and the series that are written down.
struct SimulatedScrapes {
    /// Time between two scrapes: the default of a service's file.
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
        /// Of counters and histograms that are written down, by series.
        var grown: [String: Double] = [:]
    }
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

    mutating func count(_ ended: [Observation]) {
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

    /// Scrapes both arms, `elapsed` after the last time.
    mutating func scrape(_ phase: TrafficPhase, into window: inout SeriesWindow, now: Int64, elapsed: Duration) {
        for arm in Arm.allCases {
            let place = Int(arm.rawValue)
            for series in phase.series {
                servers[place].grown[series.series, default: 0] += series[arm] * elapsed.seconds
            }
            let endpoint = Self.endpoint(arm)
            guard phase.scrapesAnswer, phase[arm].reachable else {
                window.recordFailure("no answer", at: now, of: endpoint, arm: arm)
                continue
            }
            let server = servers[place]
            var sample = ScrapeSample(
                at: now, requests: server.requests, errors: server.errors,
                latency: .histogram(CumulativeHistogram(bounds: Self.bounds, counts: server.counts)),
                latencyExcludesErrors: true)
            for query in queries {
                sample.series[query] = reading(
                    of: query, phase.series.first { $0.series == query.selector }, arm, server)
            }
            window.record(sample, of: endpoint, arm: arm)
        }
    }

    private func reading(
        of query: SeriesQuery, _ series: SeriesTraffic?, _ arm: Arm, _ server: Server
    ) -> SeriesReading {
        guard let series else { return .values([:]) }
        switch query.kind {
        case .gauge: return .values(["": series[arm]])
        case .counter: return .values(["": server.grown[series.series] ?? 0])
        case .histogram:
            // As many observations as requests, all of them at the value that is written down.
            let value = series[arm]
            return .histograms([
                "": CumulativeHistogram(
                    bounds: [value - abs(value) * 1e-9, value, .infinity],
                    counts: [0, server.requests, server.requests])
            ])
        }
    }
}
