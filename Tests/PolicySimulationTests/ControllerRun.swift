import Analysis
import PolicyModel
import RolloutController
import RolloutEngine
import TestSupport

@testable import PolicySimulation

/// The evaluation and the events of one tick.
struct TickRecord: Equatable {
    /// Monotonic nanoseconds.
    var at: Int64
    var evaluation: Evaluation?
    var events: [Event]
}

/// A rollout in the agent's controller on simulated ports, which gets the traffic of a scenario.
struct ControllerRun {
    private let clock: ManualClock
    private let plane = SimulatedPlane()
    private let metrics = SimulatedMetrics()
    private let listener = RecordingListener()
    private let disk = SimulatedDisk()
    private let controller: RolloutController
    private let test: PolicyTest
    private let scenario: TestScenario
    private let seed: UInt64
    private let lead: Duration

    init(_ test: PolicyTest, _ scenario: TestScenario, seed: UInt64, lead: Duration) {
        (self.test, self.scenario, self.seed, self.lead) = (test, scenario, seed, lead)
        clock = ManualClock(now: Moment(monotonic: ScenarioRun.origin - lead.nanoseconds, wall: 0))
        controller = RolloutController(
            configuration: Self.configuration(test, candidate: nil), store: SimulatedStore(disk: disk), plane: plane,
            metrics: metrics, clock: clock, marker: SimulatedMarker(), listener: listener,
            resolve: { address in
                guard case .http(let host, let port) = address else { throw PortInUse() }
                return Endpoint(host: host, port: port)
            }, entropy: { seed })
    }

    private static func configuration(_ test: PolicyTest, candidate: String?) -> Configuration {
        let plan = ScenarioRun.plan(test)
        let versions = Arm.allCases.map { arm in
            let endpoint = SimulatedScrapes.endpoint(arm)
            return Version(
                name: ScenarioRun.versions[Int(arm.rawValue)],
                servers: [.http(host: endpoint.host, port: endpoint.port)],
                metrics: MetricsSource(interval: SimulatedScrapes.interval))
        }
        let service = Service(
            name: "test", listen: [.tcp(host: "127.0.0.1", port: 8080)], versions: versions,
            baseline: ScenarioRun.versions[0], candidate: candidate, policies: test.policies.map(\.name),
            strategy: plan.strategy, analysis: plan.analysis)
        return Configuration(
            agent: AgentSettings(), services: [service],
            policies: Dictionary(uniqueKeysWithValues: test.policies.map { ($0.name, $0) }))
    }

    /// Runs the rollout.
    /// - Parameter onTick: called after every tick from the declaration of the candidate on; false ends the run.
    func run(_ onTick: (TickRecord) -> Bool) throws {
        try controller.start()
        var before = ScenarioRun.trafficBefore(scenario, test.policies, seed: seed, lead: lead)
        while clock.now.monotonic < ScenarioRun.origin {
            clock.advance(by: RolloutObserver.tickInterval)
            try advance(&before, reportsHealth: false)
        }
        listener.emitted = []
        _ = try controller.apply(Self.configuration(test, candidate: ScenarioRun.versions[1]))
        controller.tick()
        var traffic: ScenarioTraffic? = ScenarioTraffic(
            scenario, test.policies, seed: seed, origin: ScenarioRun.origin)
        while onTick(record()) {
            clock.advance(by: RolloutObserver.tickInterval)
            try advance(&traffic, reportsHealth: true)
        }
    }

    private func advance(_ traffic: inout ScenarioTraffic?, reportsHealth: Bool) throws {
        guard let service = plane.service("test"),
            let tick = traffic?.advance(to: clock.now.monotonic, split: service.split)
        else { return }
        func inSlot(_ observations: [Observation]) -> [Observation] {
            observations.map {
                var o = $0
                o.slot = service.slot
                return o
            }
        }
        (plane.batch.ended, plane.batch.open) = (inSlot(tick.ended), inSlot(tick.open))
        if reportsHealth {
            plane.batch.health = Arm.allCases.map { arm in
                let isReachable = tick.isReachable[Int(arm.rawValue)]
                return ArmHealth(slot: service.slot, arm: arm, servers: 1, reachable: isReachable ? 1 : 0)
            }
        }
        metrics.readings = tick.scrapes.map {
            MetricReading(
                service: "test", version: ScenarioRun.versions[Int($0.arm.rawValue)],
                server: SimulatedScrapes.endpoint($0.arm), at: $0.at, outcome: $0.outcome)
        }
        if !tick.labels.isEmpty { _ = controller.feedback(tick.labels.map(\.row), service: "test") }
        controller.tick()
        // Recordings are discarded, since only decisions are compared and long recordings take time to copy.
        disk.recordings = [:]
        disk.services["test"]?.tail = []
    }

    /// Returns the evaluation and the state machine's events of the last tick, and clears the listener. Events of the
    /// controller itself are left out; they report changed checks and problems.
    private func record() -> TickRecord {
        defer { listener.emitted = [] }
        let events = listener.emitted.map(\.event).filter {
            $0.kind != .checkChanged && !($0.kind == .alarm && $0.by == "agent")
        }
        return TickRecord(
            at: clock.now.monotonic, evaluation: controller.view(of: "test")?.evaluation, events: events)
    }
}
