import Analysis
import PolicyModel
import RolloutController
import RolloutEngine
import TestSupport

/// A controller with a simulated store, data plane, metric source and clock. Its disk and runtime directory outlive it:
/// `successor` starts the next agent on them.
final class Agent {
    let clock: ManualClock
    let log = ActionLog()
    let disk: SimulatedDisk
    let marker: SimulatedMarker
    let listener = RecordingListener()
    let plane: SimulatedPlane
    let metrics = SimulatedMetrics()
    let controller: RolloutController
    private let unresolvable: Unresolvable

    private final class Unresolvable { var servers: Set<ServerAddress> = [] }
    struct NoSuchHost: Error, CustomStringConvertible {
        var server: ServerAddress
        var description: String { "\(server) does not resolve" }
    }

    init(
        _ configuration: Configuration = .sample(), disk: SimulatedDisk = SimulatedDisk(),
        marked: [String: ServiceState] = [:], clock: ManualClock = ManualClock()
    ) {
        self.clock = clock
        self.disk = disk
        marker = SimulatedMarker(log: log)
        marker.states = marked
        plane = SimulatedPlane(log: log)
        let unresolvable = Unresolvable()
        self.unresolvable = unresolvable
        controller = RolloutController(
            configuration: configuration, store: SimulatedStore(disk: disk, log: log), plane: plane, metrics: metrics,
            clock: clock, marker: marker, listener: listener,
            resolve: { address in
                guard case .http(let host, let port) = address, !unresolvable.servers.contains(address) else {
                    throw NoSuchHost(server: address)
                }
                return Endpoint(host: host, port: port)
            }, entropy: { 42 })
    }

    func hide(_ server: ServerAddress) { unresolvable.servers.insert(server) }

    /// A running agent.
    static func started(
        _ configuration: Configuration = .sample(), disk: SimulatedDisk = SimulatedDisk(),
        marked: [String: ServiceState] = [:]
    ) throws -> Agent {
        let agent = Agent(configuration, disk: disk, marked: marked)
        try agent.controller.start()
        return agent
    }

    /// The next agent on the same disk and runtime directory, some time later.
    func successor(_ configuration: Configuration? = nil) throws -> Agent {
        let agent = Agent(configuration ?? controller.configuration, disk: disk, marked: marker.states)
        agent.marker.unreadable = marker.unreadable
        try agent.controller.start()
        return agent
    }

    /// Runs seconds of traffic, assigned by the split in force, with a tick after each second.
    /// - Parameter candidateTime: the candidate's latency in milliseconds.
    func run(
        _ seconds: Int, rate: Int = 100, candidateErrors: Double = 0, baselineErrors: Double = 0,
        candidateTime: Int = 20
    ) {
        for _ in 0..<seconds {
            pass(rate, candidateErrors, baselineErrors, candidateTime)
            controller.tick()
        }
    }

    /// Runs one second of traffic without a tick.
    func pass(
        _ rate: Int = 100, _ candidateErrors: Double = 0, _ baselineErrors: Double = 0, _ candidateTime: Int = 20
    ) {
        clock.advance(by: .seconds(1))
        for service in plane.plan.services {
            let candidates =
                service.candidate == nil ? 0 : (rate * service.split.candidate.basisPoints + 9_999) / 10_000
            addRequests(candidates, .candidate, service.name, errors: candidateErrors, time: candidateTime)
            addRequests(rate - candidates, .baseline, service.name, errors: baselineErrors, time: 20)
        }
    }

    private func addRequests(_ count: Int, _ arm: Arm, _ service: String, errors: Double, time: Int) {
        let failed = Int((Double(count) * errors).rounded())
        let now = clock.now.monotonic
        plane.answer(failed, arm, of: service, now: now, outcome: .serverError, milliseconds: 5)
        plane.answer(count - failed, arm, of: service, now: now, milliseconds: time)
    }

    @discardableResult
    func say(_ verb: Command.Verb, _ service: String = "income", generation: UInt64? = nil) -> CommandOutcome {
        controller.command(Command(verb, by: "ada", reason: "test", generation: generation), service: service)
    }

    func state(_ service: String = "income") -> ServiceState { controller.view(of: service)!.state }
    var weight: Weight { state().split.candidate }
    var published: Weight { plane.service("income")!.split.candidate }
    var stored: ServiceState? { disk.services["income"]?.state }
    /// True if the judge reports that requests are not split as intended; nil before the first evaluation.
    var hasMismatch: Bool? {
        controller.view(of: "income")?.evaluation?.results.contains { $0.check == "sample-ratio" }
    }

    /// The recorded items of the first rollout.
    var recorded: [JudgedItem] {
        get throws { try ItemCoding.decode(disk.recordings["income"]?["income-1"]?.items ?? []) }
    }
    /// The recorded latency ticks of the first rollout. Each has the split by which its requests were assigned, as the
    /// judge was told.
    var latencyTicks: [LatencyTick] {
        get throws { try recorded.compactMap { if case .latencies(let tick) = $0 { tick } else { nil } } }
    }
}

extension CommandOutcome {
    var isDone: Bool { if case .done = self { true } else { false } }
    var isDurable: Bool { if case .done(_, _, let durable) = self { durable } else { false } }
    var notWritten: String? { if case .notWritten(let why) = self { why } else { nil } }
    var refused: CommandRefusal? { if case .refused(let refused) = self { refused } else { nil } }
}
