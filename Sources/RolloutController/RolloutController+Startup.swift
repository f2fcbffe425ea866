import Analysis
import PolicyModel
import RolloutEngine

extension RolloutController {
    /// Restores the stored states, reconciles them with the files, and puts the split in force before anything listens.
    /// - Parameter lostState: the reason why the stored state is gone; nil if it is not. If it is gone, the baselines
    ///   of the files serve, and nothing starts until someone sends `unfreeze`.
    /// - Throws: the error of a listener that cannot be opened. Nothing was written in this case, since an agent that
    ///   cannot start has not stopped uncleanly under a rollout. A server whose name does not resolve is no error: it
    ///   counts as unreachable, and the first tick reports it.
    public func start(lostState: String? = nil) throws {
        let now = clock.now
        var stored = StoredAgent()
        var lost = lostState
        do { stored = try store.load() } catch { lost = lost ?? "\(error)" }
        let marks = marker.read()
        let known = Dictionary(stored.services.map { ($0.state.service, $0) }, uniquingKeysWith: { $1 })
        try plane.prepare(
            RoutingPlan(
                services: try configuration.services.map {
                    try plans.trialRoute($0, serving: known[$0.name]?.state.serving.name, candidate: nil)
                }))
        var clean = stored.stoppedCleanly
        // Without the mark the next crash would look like a clean stop, so this start is as careful as one after a
        // crash.
        do { try markRunning() } catch { clean = false }
        let added = configuration.services.map { service in
            add(
                service, Declaration(service, policies: configuration.policies(of: service)),
                stored: known[service.name], marks: marks, clean: clean,
                lost: lost ?? stored.unreadable[service.name], now: now)
        }
        writeAdded(added, now: now)
        publish()
    }

    /// Writes everything that is not on disk yet, and marks the stop as clean if that succeeded.
    public func stop() {
        let now = clock.now
        for runtime in services.values {
            if runtime.state.rollout != nil { runtime.ledger.recordChange() }
            runtime.ledger.requireWrite()
        }
        flush(Array(services.values), now: now)
        guard services.values.allSatisfy({ $0.ledger.isDurable && $0.ledger.failure == nil }) else { return }
        isMarkedRunning = (try? store.markStopped()) == nil
    }

    /// Adds a service and restores its state. Its events are deferred until `writeAdded`.
    func add(
        _ service: Service, _ declaration: Declaration, stored: StoredService?, marks: LoweringMarks, clean: Bool,
        lost: String?, now: Moment
    ) -> ServiceRuntime {
        let marked = marks.states[service.name]
        let unreadableMark = marks.unreadable[service.name]
        var (state, events) = startState(declaration, stored: stored, marked: marked, lost: lost, now: now)
        let runtime = ServiceRuntime(
            service: service, declaration: declaration, state: state, slot: newSlot(for: service.name),
            hasMarker: marked != nil || unreadableMark != nil, now: now)
        services[service.name] = runtime
        runtime.restore(stored)
        var inputs = [Input.recovered(clean: clean)]
        if let unreadableMark {
            events.append(Event(.alarm, message: unreadableMark, by: "agent"))
            inputs += commandsToEndRollout(of: state, because: unreadableMark)
        }
        for input in inputs + [.declared()] {
            let transition = RolloutStateMachine.handle(
                input, state: runtime.state, declaration: declaration, now: now)
            // Nothing is published yet, and these inputs only lower the split: it may be in force before it is on disk.
            runtime.follow(transition.state, now: now.monotonic) { runtime.slot }
            events += transition.events
        }
        runtime.completeRestoration()
        state = runtime.state
        for i in events.indices {
            events[i].generation = state.generation
            events[i].weight = state.split.candidate
        }
        runtime.ledger.deferWrite(of: events)
        runtime.ledger.recordChange()
        runtime.ledger.requireWrite()
        return runtime
    }

    /// The state in which a service starts, before the state machine handles the restart, with the events that say what
    /// was recovered and what was lost.
    private func startState(
        _ declaration: Declaration, stored: StoredService?, marked: ServiceState?, lost: String?, now: Moment
    ) -> (ServiceState, [Event]) {
        var events: [Event] = []
        var state = stored?.state ?? newState(for: declaration)
        // A marker of the same generation holds what the store does not, such as a pause or a freeze.
        if let marked, marked != state, marked.generation >= state.generation || stored == nil {
            state = marked
            events.append(
                Event(.recovered, message: "restored a lower split from the runtime directory", by: "agent"))
        }
        if let lost {
            let message = stored == nil ? "the stored state was lost: \(lost)" : lost
            events.append(Event(.alarm, message: message, by: "agent"))
            if stored == nil {
                state.freeze = Freeze(
                    reason: "the stored state was lost (\(lost)): check that \(state.serving) is what should serve, "
                        + "then unfreeze", by: "agent", at: now.wall)
            }
        }
        if !declaration.versions.contains(state.serving) {
            events.append(
                Event(
                    .alarm,
                    message: "\(state.serving) served, but the file does not declare it any more: "
                        + "\(declaration.baseline) serves, and nothing starts until someone unfreezes", by: "agent"))
            let gone = state
            state = newState(for: declaration)
            state.generation = gone.generation + 1
            state.freeze = Freeze(reason: "\(gone.serving) is gone from the file", by: "agent", at: now.wall)
        }
        return (state, events)
    }

    /// The commands for a service whose split was lowered to an unknown weight: its rollout may have been reverted,
    /// paused or frozen. The serving version continues to serve, and nothing starts until someone unfreezes.
    private func commandsToEndRollout(of state: ServiceState, because reason: String) -> [Input] {
        let freeze = Command(
            .freeze, by: "agent", reason: "\(reason); check that \(state.serving) is what should serve, then unfreeze")
        if state.rollout == nil { return [.command(freeze)] }
        let revert = Command(.revert(to: nil, force: true), by: "agent", reason: reason)
        return [.command(freeze), .command(revert)]
    }

    /// Writes services that were added, in one transaction, and emits their events.
    func writeAdded(_ added: [ServiceRuntime], now: Moment) {
        let events = added.map(\.ledger.deferredEvents)
        flush(added, now: now)
        for (runtime, events) in zip(added, events) {
            emit(events, runtime, now: now, isDurable: runtime.ledger.isDurable)
        }
    }
}
