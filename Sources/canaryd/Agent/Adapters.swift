import Analysis
import Logging
import MetricsScrape
import PolicyModel
import PrometheusText
import RolloutController
import RolloutEngine
import TrafficProxy

/// Adapts the proxy to the controller's port for the data plane.
final class ProxyPlane: DataPlane {
    private let proxy: TrafficProxy

    init(_ proxy: TrafficProxy) { self.proxy = proxy }

    func prepare(_ plan: RoutingPlan) throws { try proxy.prepare(plan) }
    func unresolved(_ plan: RoutingPlan) -> [(server: Endpoint, reason: String)] { proxy.unresolved(plan) }
    func publish(_ plan: RoutingPlan) { proxy.publish(plan) }
    func drain() -> ObservationBatch { proxy.drain() }
    var failureReasons: [String] { TrafficProxy.failureReasons }
}

extension MirrorCounts {
    func write(into w: inout ExpositionWriter) {
        w.family("canaryd_mirrored_requests_total", .counter, "Mirrored requests by result.")
        w.sample("canaryd_mirrored_requests_total", [("result", "answered")], value: completed)
        w.sample("canaryd_mirrored_requests_total", [("result", "failed")], value: failed)
        w.sample("canaryd_mirrored_requests_total", [("result", "dropped")], value: dropped)
        w.family("canaryd_mirror_pairs_lost_total", .counter, "Pairs of responses that were not compared in time.")
        w.sample("canaryd_mirror_pairs_lost_total", value: lostPairs)
    }
}

/// Adapts the scrape loop to the controller's port for metrics. It keeps the newest result of each target for the API,
/// and totals for the agent's own metrics.
final class ScrapeSource: MetricSource {
    private let loop = ScrapeLoop()
    /// The newest result of each target.
    private(set) var latest: [ScrapeTarget: ScrapeResult] = [:]

    /// The counts of all scrapes of a version since the agent started.
    struct Totals {
        var succeeded: UInt64 = 0
        var failed: UInt64 = 0
        var seconds = 0.0
    }
    struct Key: Hashable {
        var service: String
        var version: String
    }
    private(set) var totals: [Key: Totals] = [:]

    func setTargets(_ targets: [MetricTarget]) {
        let wanted = targets.flatMap { target in
            // The only possible error is an unknown preset, which the configuration loader has refused already.
            (try? ScrapeTarget.targets(
                service: target.service, version: VersionIdentity(name: target.version), servers: [target.server],
                source: target.source, queries: target.series)) ?? []
        }
        latest = latest.filter { wanted.contains($0.key) }
        loop.setTargets(wanted)
    }

    func drain() -> [MetricReading] {
        loop.drain().map { result in
            latest[result.target] = result
            count(result)
            return MetricReading(
                service: result.target.service, version: result.target.version.name, server: result.target.server,
                at: result.startedAt, outcome: result.outcome)
        }
    }

    private func count(_ result: ScrapeResult) {
        let key = Key(service: result.target.service, version: result.target.version.name)
        switch result.outcome {
        case .sample: totals[key, default: Totals()].succeeded += 1
        case .failure: totals[key, default: Totals()].failed += 1
        }
        totals[key]?.seconds += result.duration.seconds
    }

    /// Writes the totals.
    /// - Parameter services: the services in force; the counters of their scraped versions start at 0 before the first
    ///   scrape.
    func writeMetrics(of services: [Service], into w: inout ExpositionWriter) {
        var totals = totals
        for service in services {
            for version in service.versions where version.metrics != nil {
                let key = Key(service: service.name, version: version.name)
                totals[key] = totals[key] ?? Totals()
            }
        }
        let sorted = totals.sorted { ($0.key.service, $0.key.version) < ($1.key.service, $1.key.version) }
        func labels(_ key: Key) -> [(String, String)] { [("service", key.service), ("version", key.version)] }
        w.family("canaryd_scrapes_total", .counter, "Scrapes of a version's servers by result.")
        for (key, totals) in sorted {
            w.sample("canaryd_scrapes_total", labels(key) + [("result", "ok")], value: totals.succeeded)
            w.sample("canaryd_scrapes_total", labels(key) + [("result", "failed")], value: totals.failed)
        }
        w.family("canaryd_scrape_seconds_total", .counter, "Time that the scrapes took.")
        for (key, totals) in sorted { w.sample("canaryd_scrape_seconds_total", labels(key), value: totals.seconds) }
    }

    func stop() { loop.stop() }
}

/// Logs every event and passes it on to the clients that follow events.
final class EventLog: EventListener {
    weak var followers: (any EventListener)?
    private let log = Logger(label: "canaryd")

    func happened(_ event: Event, service: String, at wall: Int64, isDurable: Bool) {
        let level: Logger.Level =
            switch event.kind {
            case .alarm: .error
            case .reverted, .held, .recovering, .deadlinePassed: .warning
            case .checkChanged: .info
            case .rolloutStarted, .warmedUp, .stepStarted, .proving, .ready, .bakeStarted, .promoted, .ended, .paused,
                .resumed,
                .frozen, .unfrozen, .retried, .holdCleared, .recovered, .returned, .refused, .configurationApplied:
                .notice
            }
        log.log(
            level: level, "\(event.message)",
            metadata: [
                "service": "\(service)", "event": "\(event.kind.rawValue)", "by": "\(event.by)",
                "weight": "\(event.weight)", "durable": "\(isDurable)",
            ])
        followers?.happened(event, service: service, at: wall, isDurable: isDurable)
    }

    func deferredEventsWritten() { followers?.deferredEventsWritten() }

    func failed(_ report: FailureReport, service: String) {
        log.warning(
            report.stage == .afterResponse
                ? "connections to servers were closed by the proxy" : "requests failed in the proxy",
            metadata: [
                "service": "\(service)", "version": "\(report.version)", "reason": "\(report.reason)",
                "explanation": "\(report.message)", "count": "\(report.count)",
            ])
    }
}
