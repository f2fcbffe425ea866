import Analysis
import PolicyModel
import RolloutEngine
import Vocabulary

/// The reconcile loop: takes in what was seen, evaluates, decides, writes down, acts. Confined to the control thread;
/// nothing here waits for anything but the disk and the data plane's acknowledgement of a new plan.
public final class RolloutController {
    /// Without a judged request for this long, data do not flow and time does not count.
    public static let dataGap: Duration = .seconds(60)
    /// A tick that comes this much later than the interval means that the agent could not see.
    public static let blindAfter: Duration = .seconds(10)
    /// State and evidence that changed without an event are written this often: at most so much is lost in a crash.
    public static let writeInterval: Duration = .seconds(5)
    /// The judge itself is written this often; what it took in since is replayed after a crash.
    public static let evidenceInterval: Duration = .seconds(60)
    /// Between rollouts, what is known of the version that serves: it changes over hours.
    public static let profileInterval: Duration = .seconds(600)
    /// Requests that may go unlogged in a tick, as a share of the logged ones, before the view is not to be trusted.
    static let tolerableLoss = 0.01

    public let store: any StateStore
    let plane: any DataPlane
    let metrics: any MetricSource
    let clock: any ControlClock
    let marker: any LoweringMarker
    let listener: any EventListener
    /// Where a server is to be reached; starts embedded ones.
    let resolve: (ServerAddress) throws -> Endpoint
    private let entropy: () -> UInt64
    public internal(set) var configuration: Configuration
    /// By name.
    var services: [String: ServiceRuntime] = [:]
    private var slots: [UInt32: String] = [:]
    /// The newest of each service, the oldest first.
    private var slotsOfService: [String: [UInt32]] = [:]
    private var lastSlot: UInt32 = 0
    private var tickedAt: Int64?
    /// The store knows that an agent runs on it.
    var isMarkedRunning = false
    /// What is in force has changed since the data plane was told.
    var owesPublication = false
    /// Where each server was found last.
    var resolved: [ServerAddress: Endpoint] = [:]
    /// Batches that could not be taken in whole, evaluations and their duration; for the own metrics.
    var counters = ControllerCounters()

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
        self.resolve = resolve
        self.entropy = entropy
    }

    public var serviceNames: [String] { services.keys.sorted() }
    /// Of all services, by name: what costs less than their views.
    public var states: [ServiceState] { serviceNames.compactMap { services[$0]?.state } }

    // MARK: - Ticks

    /// Call it once a second, or as often as the shortest interval asks.
    /// - Parameter last: what the data plane handed over when it stopped, instead of asking it again.
    public func tick(last: ObservationBatch? = nil) {
        let now = clock.now
        let gap = tickedAt.map { Duration.nanoseconds(now.monotonic - $0) } ?? .zero
        tickedAt = now.monotonic
        var blindness = gap > Self.blindAfter ? "it did not look for \(gap.written)" : nil
        let batch = last ?? plane.drain()
        counters.unlogged += batch.dropped
        if Double(batch.dropped) > Self.tolerableLoss * Double(batch.ended.count) {
            blindness = "\(batch.dropped) of \(UInt64(batch.ended.count) + batch.dropped) requests were not logged"
        }
        takeIn(batch)
        for reading in metrics.drain() { services[reading.service]?.record(reading) }
        let runtimes = services.values.sorted { $0.service.name < $1.service.name }
        for runtime in runtimes {
            for problem in runtime.newScrapeProblems() where problem.isAlarm { alarm(problem.text, runtime) }
        }
        declare(runtimes.filter(\.owesDeclaration), now: now)
        let moves = runtimes.compactMap { runtime in
            runtime.digest(now: now.monotonic)
            runtime.settleFeedback(now: now.monotonic)
            if let blindness { runtime.blindness = blindness }
            return look(at: runtime, now: now)
        }
        _ = carry(moves, now: now)
        flush(runtimes, now: now)
    }

    private func takeIn(_ batch: ObservationBatch) {
        for o in batch.ended { slots[o.slot].flatMap { services[$0] }?.record(o) }
        var open: [UInt32: [Observation]] = [:]
        for o in batch.open where o.flags.contains(.judged) { open[o.slot, default: []].append(o) }
        for runtime in services.values { runtime.setOpen(open[runtime.slot] ?? []) }
        for failures in batch.failures {
            guard let runtime = slots[failures.slot].flatMap({ services[$0] }) else { continue }
            let version = runtime.versionName(of: failures.arm, slot: failures.slot)
            if let report = runtime.failures.record(failures, version: version, now: clock.now) {
                listener.failed(report, service: runtime.service.name)
            }
        }
        for health in batch.health {
            guard let runtime = slots[health.slot].flatMap({ services[$0] }), runtime.slot == health.slot else {
                continue
            }
            runtime.health[health.arm] = health
            tellUnresolved(runtime)
        }
    }

    private func tellUnresolved(_ runtime: ServiceRuntime) {
        let now = runtime.unresolvedNow
        defer { runtime.unresolved = now }
        for line in now where !runtime.unresolved.contains(line) {
            alarm("\(line); correct its name, or add it to the resolver or /etc/hosts: it is looked up again", runtime)
        }
    }

    /// Nil where it is not time to look.
    private func look(at runtime: ServiceRuntime, now: Moment) -> Move? {
        guard let rollout = runtime.state.rollout else { return nil }
        let elapsed = Duration.nanoseconds(now.monotonic - runtime.evaluatedAt)
        guard elapsed >= rollout.plan.analysis.interval || rollout.phase == .waiting else { return nil }
        runtime.evaluatedAt = now.monotonic
        // Whatever hid since the last look hid from this one.
        let blindness = runtime.blindness
        runtime.blindness = nil
        let before = runtime.evaluation
        let started = clock.now.monotonic
        let evaluation = runtime.evaluate(now: now.monotonic, blindness: blindness) ?? Evaluation()
        counters.evaluations += 1
        counters.evaluationSeconds += Duration.nanoseconds(clock.now.monotonic - started).seconds
        runtime.evaluation = rollout.phase == .waiting ? nil : evaluation
        // Counts and tallies grow even where the state stands still.
        if rollout.phase != .waiting { runtime.isDirty = true }
        var transition = RolloutStateMachine.handle(
            .evaluated(evaluation, elapsed: min(elapsed, rollout.plan.analysis.interval + Self.blindAfter)),
            state: runtime.state,
            declaration: runtime.declaration, now: now)
        transition.events.insert(contentsOf: changedChecks(before, evaluation, runtime), at: 0)
        return Move(transition, runtime)
    }

    private func changedChecks(_ old: Evaluation?, _ new: Evaluation, _ runtime: ServiceRuntime) -> [Event] {
        guard let old, let rollout = runtime.state.rollout else { return [] }
        let before = Dictionary(old.results.map { ($0.path, $0.verdict) }, uniquingKeysWith: { $1 })
        return new.results.filter { before[$0.path] != nil && before[$0.path] != $0.verdict }.map {
            Event(
                .checkChanged, rollout: rollout.id, message: $0.verdictWords,
                generation: runtime.state.generation, weight: runtime.state.split.candidate)
        }
    }

    // MARK: - Commands

    public func command(_ command: Command, service name: String) -> CommandOutcome {
        guard let runtime = services[name] else { return .unknownService(known: serviceNames) }
        let now = clock.now
        var command = command
        command.evaluation = runtime.evaluation
        let transition = RolloutStateMachine.handle(
            .command(command), state: runtime.state, declaration: runtime.declaration, now: now)
        guard case .done(let message) = transition.response else {
            if case .refused(let refused) = transition.response { return .refused(refused) }
            return .refused(CommandRefusal(.nothingToDo, "nothing to do"))
        }
        switch carry(transition, runtime, now: now) {
        case .durable: return .done(message: message, view: describe(runtime), durable: true)
        case .notYetDurable: return .done(message: message, view: describe(runtime), durable: false)
        case .notWritten(let why): return .notWritten(why)
        }
    }

    /// What the scores of a service's feedback may be: as the running rollout pinned it, else as its policies say. Nil for an
    /// unknown service, and where no check looks at scores.
    public func scoreRange(of service: String) -> ScoreRange? { services[service]?.plan.policies.scoreRange }

    /// Nil for an unknown service.
    public func feedback(_ rows: [Feedback], service name: String) -> FeedbackReceipt? {
        guard let runtime = services[name] else { return nil }
        let now = clock.now.monotonic
        let audience = runtime.audience
        var rejected: [Int] = []
        for (place, row) in rows.enumerated() where !runtime.join.submit(row, for: audience, now: now) {
            rejected.append(place)
        }
        return FeedbackReceipt(
            accepted: rows.count - rejected.count, rejected: rejected, audience: audience, counts: runtime.join.counts)
    }

    public func view(of service: String) -> ServiceView? { services[service].map(describe) }

    // MARK: - Slots

    /// A name that no earlier (service, rollout) had.
    func newSlot(for service: String) -> UInt32 {
        lastSlot += 1
        slots[lastSlot] = service
        // What began under a rollout long gone is counted nowhere; the table must not grow for ever.
        slotsOfService[service, default: []].append(lastSlot)
        if let own = slotsOfService[service], own.count > 8 {
            slots[own[0]] = nil
            slotsOfService[service] = Array(own.dropFirst())
        }
        return lastSlot
    }

    func newState(for declaration: Declaration) -> ServiceState {
        ServiceState(service: declaration.service, serving: declaration.baseline, seed: entropy())
    }
}

struct ControllerCounters {
    var evaluations: UInt64 = 0
    var evaluationSeconds = 0.0
    /// Requests that ended and found the log full.
    var unlogged: UInt64 = 0
    var writes: UInt64 = 0
    var failedWrites: UInt64 = 0
    var publications: UInt64 = 0
    /// By kind.
    var events: [EventKind: UInt64] = [:]
}
