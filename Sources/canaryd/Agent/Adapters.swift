import Analysis
import Logging
import MetricsScrape
import PolicyModel
import RolloutController
import RolloutEngine
import TrafficProxy

/// The proxy as the controller sees it.
final class ProxyPlane: DataPlane {
    private let proxy: TrafficProxy

    init(_ proxy: TrafficProxy) { self.proxy = proxy }

    func prepare(_ plan: RoutingPlan) throws { try proxy.prepare(plan) }
    func publish(_ plan: RoutingPlan) { proxy.publish(plan) }
    func drain() -> ObservationBatch { proxy.drain() }
}

/// The scrapes as the controller sees them; remembers the last of each target for whoever asks.
final class ScrapeSource: MetricSource {
    private let loop = ScrapeLoop()
    /// By target.
    private(set) var latest: [ScrapeTarget: ScrapeResult] = [:]

    func setTargets(_ targets: [MetricTarget]) {
        let wanted = targets.flatMap { target in
            // The loader knows the same presets and refuses others.
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
            let outcome: MetricReading.Outcome =
                switch result.outcome {
                case .success(let sample): .sample(sample)
                case .failure(let reason): .failure("\(reason)")
                }
            return MetricReading(
                service: result.target.service, version: result.target.version.name, server: result.target.server,
                at: result.startedAt, outcome: outcome)
        }
    }

    func stop() { loop.stop() }
}

/// Logs every event and passes it on to who follows.
final class EventLog: EventListener {
    weak var followers: (any EventListener)?
    private let log = Logger(label: "canaryd")

    func happened(_ event: Event, service: String, at wall: Int64, isDurable: Bool) {
        let level: Logger.Level =
            switch event.kind {
            case .alarm: .error
            case .reverted, .standstill, .recovering, .deadlinePassed: .warning
            case .checkChanged: .info
            default: .notice
            }
        log.log(
            level: level, "\(event.message)",
            metadata: [
                "service": "\(service)", "event": "\(event.kind.rawValue)", "by": "\(event.by)",
                "weight": "\(event.weight)", "durable": "\(isDurable)",
            ])
        followers?.happened(event, service: service, at: wall, isDurable: isDurable)
    }
}
