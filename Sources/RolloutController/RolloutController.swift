import Analysis
import PolicyModel
import RolloutEngine
import Vocabulary

/// The reconcile loop: in every tick it records what was observed, evaluates the rollouts, commits the transitions and
/// puts them in force. It is confined to the control thread, and waits for nothing but the disk and the data plane's
/// acknowledgment of a new plan.
public final class RolloutController {
    /// The share of a tick's requests that may be missing from the observation log before the agent counts as blind.
    static let tolerableLoss = 0.01

    public let store: any StateStore
    let plane: any DataPlane
    let metrics: any MetricSource
    let clock: any ControlClock
    let marker: any LoweringMarker
    let listener: any EventListener
    private let entropy: () -> UInt64
    public internal(set) var configuration: Configuration
    /// The services by name.
    var services: [String: ServiceRuntime] = [:]
    private var slots = SlotTable()
    /// The time of the last tick, in monotonic nanoseconds.
    private var tickedAt: Int64?
    /// True if the store knows that an agent runs on it.
    var isMarkedRunning = false
    /// True if what is in force has changed since it was last published.
    var needsPublication = false
    var plans: RoutingPlanBuilder
    /// The counts for the agent's own metrics.
    var counters = ControllerCounters()

    /// - Parameters:
    ///   - resolve: returns the endpoint at which a server is reached, and starts embedded servers.
    ///   - entropy: returns random numbers, from which the salts of rollouts are derived.
    public init(
        configuration: Configuration, store: any StateStore, plane: any DataPlane, metrics: any MetricSource,
        clock: any ControlClock, marker: any LoweringMarker, listener: any EventListener,
        resolve: @escaping (ServerAddress) throws -> Endpoint, entropy: @escaping () -> UInt64
    ) {
        self.configuration = configuration
        self.store = store
        self.plane = plane
        self.metrics = metrics
        self.clock = clock
        self.marker = marker
        self.listener = listener
        self.entropy = entropy
        plans = RoutingPlanBuilder(resolve: resolve)
    }

    public var serviceNames: [String] { services.keys.sorted() }
    /// The states of all services, sorted by name; they cost less than the views.
    public var states: [ServiceState] { serviceNames.compactMap { services[$0]?.state } }

    func newSlot(for service: String) -> UInt32 { slots.assign(to: service) }

    func newState(for declaration: Declaration) -> ServiceState {
        ServiceState(service: declaration.service, serving: declaration.baseline, seed: entropy())
    }

    // MARK: - Ticks

    /// Runs one tick; call it every `RolloutObserver.tickInterval`.
    /// - Parameter last: the last batch, which the data plane returned when it stopped; nil to drain the data plane.
    public func tick(last: ObservationBatch? = nil) {
        let now = clock.now
        let gap = tickedAt.map { Duration.nanoseconds(now.monotonic - $0) } ?? .zero
        tickedAt = now.monotonic
        let batch = last ?? plane.drain()
        let blindness = blindness(after: gap, batch)
        record(batch)
        for reading in metrics.drain() { services[reading.service]?.record(reading) }
        let runtimes = services.values.sorted { $0.service.name < $1.service.name }
        for runtime in runtimes {
            for problem in runtime.newScrapeProblems() where problem.isAlarm { raiseAlarm(problem.text, runtime) }
        }
        applyDeclarations(runtimes.filter(\.hasPendingDeclaration), now: now)
        let moves = runtimes.compactMap { runtime in
            runtime.advance(now: now.monotonic)
            if let blindness { runtime.recordBlindness(blindness) }
            return evaluateIfDue(runtime, now: now)
        }
        _ = commit(moves, now: now)
        flush(runtimes, now: now)
    }

    /// The reason why the agent cannot rely on its observations in this tick; nil if it can.
    private func blindness(after gap: Duration, _ batch: ObservationBatch) -> String? {
        counters.unlogged += batch.dropped
        if Double(batch.dropped) > Self.tolerableLoss * Double(batch.ended.count) {
            return "\(batch.dropped) of \(UInt64(batch.ended.count) + batch.dropped) requests were not logged"
        }
        return gap > RolloutObserver.blindAfter ? "no evaluation ran for \(gap.written)" : nil
    }

    private func record(_ batch: ObservationBatch) {
        for o in batch.ended { runtime(of: o.slot)?.record(o) }
        var open: [UInt32: [Observation]] = [:]
        for o in batch.open where o.flags.contains(.judged) { open[o.slot, default: []].append(o) }
        for runtime in services.values { runtime.setOpen(open[runtime.slot] ?? []) }
        for failures in batch.failures {
            guard let runtime = runtime(of: failures.slot) else { continue }
            if let report = runtime.record(failures, now: clock.now) {
                listener.failed(report, service: runtime.service.name)
            }
        }
        for health in batch.health {
            guard let runtime = runtime(of: health.slot) else { continue }
            for server in runtime.record(health) {
                raiseAlarm(
                    "\(server); correct its name, or add it to the resolver or /etc/hosts: it is looked up again",
                    runtime)
            }
        }
    }

    private func runtime(of slot: UInt32) -> ServiceRuntime? { slots[slot].flatMap { services[$0] } }

    /// Evaluates a service's rollout if that is due.
    /// - Returns: the move that follows from the evaluation; nil if none is due.
    private func evaluateIfDue(_ runtime: ServiceRuntime, now: Moment) -> Move? {
        guard runtime.observer.isEvaluationDue(now: now.monotonic) else { return nil }
        let before = runtime.observer.evaluation
        let started = clock.now.monotonic
        let (evaluation, elapsed) = runtime.evaluate(now: now.monotonic)
        counters.evaluations += 1
        counters.evaluationSeconds += Duration.nanoseconds(clock.now.monotonic - started).seconds
        var transition = RolloutStateMachine.handle(
            .evaluated(evaluation, elapsed: elapsed), state: runtime.state, declaration: runtime.declaration, now: now)
        transition.events.insert(contentsOf: changedChecks(before, evaluation, runtime), at: 0)
        return Move(transition, runtime)
    }

    /// The events of the checks whose verdict changed between two evaluations.
    private func changedChecks(_ old: Evaluation?, _ new: Evaluation, _ runtime: ServiceRuntime) -> [Event] {
        guard let old, let rollout = runtime.state.rollout else { return [] }
        let before = Dictionary(old.results.map { ($0.path, $0.verdict) }, uniquingKeysWith: { $1 })
        return new.results.filter { before[$0.path] != nil && before[$0.path] != $0.verdict }.map {
            Event(
                .checkChanged, rollout: rollout.id, message: $0.verdictWords,
                generation: runtime.state.generation, weight: runtime.state.split.candidate)
        }
    }

    // MARK: - Commands and feedback

    /// Lets the state machine handle a command, and commits the result.
    public func command(_ command: Command, service name: String) -> CommandOutcome {
        guard let runtime = services[name] else { return .unknownService(known: serviceNames) }
        let now = clock.now
        var command = command
        command.evaluation = runtime.observer.evaluation
        let transition = RolloutStateMachine.handle(
            .command(command), state: runtime.state, declaration: runtime.declaration, now: now)
        guard case .done(let message) = transition.response else {
            if case .refused(let refused) = transition.response { return .refused(refused) }
            return .refused(CommandRefusal(.nothingToDo, "nothing to do"))
        }
        switch commit([Move(transition, runtime)], now: now)[0] {
        case .durable: return .done(message: message, view: view(of: runtime), durable: true)
        case .notYetDurable: return .done(message: message, view: view(of: runtime), durable: false)
        case .notWritten(let reason): return .notWritten(reason)
        }
    }

    /// The range of the scores in a service's feedback, from the plan of its rollout, or from its files if there is
    /// none. Nil for an unknown service, and if no check uses scores.
    public func scoreRange(of service: String) -> ScoreRange? { services[service]?.observer.plan.policies.scoreRange }

    /// Accepts feedback; nil for an unknown service.
    public func feedback(_ rows: [Feedback], service name: String) -> FeedbackReceipt? {
        guard let runtime = services[name] else { return nil }
        let rejected = runtime.submit(rows, now: clock.now.monotonic)
        return FeedbackReceipt(
            accepted: rows.count - rejected.count, rejected: rejected, audience: runtime.observer.audience,
            counts: runtime.join.counts)
    }
}

/// The most recently assigned slots, each with its service. A slot is never assigned twice.
private struct SlotTable {
    /// The number of slots that are kept for a service, which bounds the table. Requests that began under an older slot
    /// are not counted.
    private static let slotsPerService = 8

    private var services: [UInt32: String] = [:]
    /// The slots of each service, oldest first.
    private var slots: [String: [UInt32]] = [:]
    private var last: UInt32 = 0

    subscript(slot: UInt32) -> String? { services[slot] }

    mutating func assign(to service: String) -> UInt32 {
        last += 1
        services[last] = service
        slots[service, default: []].append(last)
        if let own = slots[service], own.count > Self.slotsPerService {
            services[own[0]] = nil
            slots[service] = Array(own.dropFirst())
        }
        return last
    }
}

/// Counters for the agent's own metrics.
struct ControllerCounters {
    var evaluations: UInt64 = 0
    var evaluationSeconds = 0.0
    /// Requests that ended while the observation log was full.
    var unlogged: UInt64 = 0
    var writes: UInt64 = 0
    var failedWrites: UInt64 = 0
    var publications: UInt64 = 0
}
