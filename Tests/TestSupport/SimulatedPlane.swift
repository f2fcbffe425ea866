import Analysis
import PolicyModel
import RolloutController

/// A listener that could not be opened.
public struct PortInUse: Error, CustomStringConvertible {
    public init() {}
    public var description: String { "127.0.0.1:8080 is in use: stop what listens there, or choose another port" }
}

/// A data plane without sockets: it keeps the plan in force and hands over what a test put in.
public final class SimulatedPlane: DataPlane {
    public let log: ActionLog
    public private(set) var plan = RoutingPlan()
    public private(set) var prepared: [RoutingPlan] = []
    public private(set) var publications = 0
    public var prepareFails = false
    /// What the next `drain` hands over.
    public var batch = ObservationBatch()

    public init(log: ActionLog = ActionLog()) { self.log = log }

    public func prepare(_ plan: RoutingPlan) throws {
        if prepareFails { throw PortInUse() }
        prepared.append(plan)
    }

    /// Names that lead nowhere.
    public var unresolvable: Set<String> = []

    public func unresolved(_ plan: RoutingPlan) -> [(server: Endpoint, reason: String)] {
        plan.services.flatMap { $0.baseline.servers + ($0.candidate?.servers ?? []) }
            .filter { unresolvable.contains($0.host) }.map { ($0, "no such host") }
    }

    public func publish(_ plan: RoutingPlan) {
        self.plan = plan
        publications += 1
        for service in plan.services {
            log.add(
                .published(
                    service: service.name, weight: service.split.candidate, generation: service.split.generation))
        }
    }

    public let failureReasons = ["connect-failed", "response-timeout"]

    public func drain() -> ObservationBatch {
        defer { batch = ObservationBatch() }
        return batch
    }

    public func service(_ name: String) -> RoutedService? { plan.services.first { $0.name == name } }

    /// Requests that end now, of the slot in force or of another one.
    public func answer(
        _ count: Int, _ arm: Arm, of service: String, now: Int64, outcome: Outcome = .success, milliseconds: Int = 20,
        slot: UInt32? = nil, hashes: [UInt64] = [], flags: Observation.Flags = .judged
    ) {
        guard let slot = slot ?? self.service(service)?.slot else { return }
        for i in 0..<count {
            batch.ended.append(
                Observation(
                    slot: slot, arm: arm, outcome: outcome, flags: flags, place: UInt16(i % 10_000),
                    startedAt: now - Int64(milliseconds) * 1_000_000, requestHash: i < hashes.count ? hashes[i] : 0,
                    firstByte: UInt32(milliseconds) * 1000, total: UInt32(milliseconds) * 1000))
        }
    }
}

/// Servers' metrics that nobody scrapes: tests hand in the readings.
public final class SimulatedMetrics: MetricSource {
    public private(set) var targets: [MetricTarget] = []
    public var readings: [MetricReading] = []

    public init() {}

    public func setTargets(_ targets: [MetricTarget]) { self.targets = targets }

    public func drain() -> [MetricReading] {
        defer { readings = [] }
        return readings
    }
}
