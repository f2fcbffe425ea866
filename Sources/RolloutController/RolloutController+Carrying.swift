import Analysis
import PolicyModel
import RolloutEngine

/// How far a transition came.
enum Carried {
    case durable
    /// In force, not on disk yet; written as soon as it can be.
    case notYetDurable
    /// Not in force: it could not be written, and must not be in force before it is.
    case notWritten(String)
}

/// A transition that a service is to make.
struct Move {
    var runtime: ServiceRuntime
    var transition: Transition

    init(_ transition: Transition, _ runtime: ServiceRuntime) {
        self.runtime = runtime
        self.transition = transition
    }
}

extension RolloutController {
    func carry(_ transition: Transition, _ runtime: ServiceRuntime, now: Moment) -> Carried {
        carry([Move(transition, runtime)], now: now)[0]
    }

    /// Writes transitions down and puts them in force, in the order that the direction of each asks for: what gives the
    /// candidate more, or lets a rollout move again, is committed first; what gives it less never waits. Many at once,
    /// at most one a service, cost one wait for the disk and at most two plans.
    func carry(_ moves: [Move], now: Moment) -> [Carried] {
        var carried = [Carried](repeating: .durable, count: moves.count)
        var writes: [(place: Int, change: StateChange, isRaise: Bool)] = []
        for (place, move) in moves.enumerated() {
            let (runtime, new) = (move.runtime, move.transition.state)
            if new == runtime.state, move.transition.events.isEmpty { continue }
            if move.transition.events.isEmpty, new.generation == runtime.state.generation {
                // Only time passed: `flush` writes it.
                runtime.state = new
                runtime.isDirty = true
                continue
            }
            let isRaise = isRaise(from: runtime.state, to: new)
            if !isRaise { putInForce(new, runtime, now: now) }
            writes.append((place, change(to: new, move.transition.events, runtime, now: now), isRaise))
        }
        publishIfOwed()
        let failures = write(writes.map { (moves[$0.place].runtime, $0.change) }, now: now)
        for (write, failure) in zip(writes, failures) where write.isRaise && failure == nil {
            let (runtime, old) = (moves[write.place].runtime, moves[write.place].runtime.state)
            putInForce(write.change.state, runtime, now: now)
            if beginsRollout(from: old, to: runtime.state) {
                // Another judge than the one that was written: the next flush writes it, in this same turn of a tick.
                (runtime.evidenceWrittenAt, runtime.writtenAt, runtime.isDirty) = (.min / 2, .min / 2, true)
            }
        }
        publishIfOwed()
        for (write, failure) in zip(writes, failures) {
            let (runtime, events) = (moves[write.place].runtime, moves[write.place].transition.events)
            if let failure {
                carried[write.place] = write.isRaise ? .notWritten("\(failure)") : .notYetDurable
                if !write.isRaise {
                    runtime.owe(events)
                    runtime.hasMarker = marker.mark(runtime.state)
                }
                failed(failure, runtime)
            }
            if failure == nil || !write.isRaise { tell(events, runtime, now: now, isDurable: failure == nil) }
        }
        return carried
    }

    private func isRaise(from old: ServiceState, to new: ServiceState) -> Bool {
        // A return to an earlier version by hand is a revert and waits for nothing.
        if new.serving != old.serving { return new.serving == old.rollout?.candidate }
        if new.rollout != nil, new.rollout?.id != old.rollout?.id { return true }
        if new.split.candidate > old.split.candidate { return true }
        let wasStopped = old.freeze != nil || old.rollout?.pause != nil
        let isStopped = new.freeze != nil || new.rollout?.pause != nil
        return wasStopped && !isStopped && new.rollout != nil
    }

    /// - Returns: for each, why it could not be written.
    private func write(_ changes: [(runtime: ServiceRuntime, change: StateChange)], now: Moment) -> [(any Error)?] {
        do {
            try commit(changes, now: now)
            return [(any Error)?](repeating: nil, count: changes.count)
        } catch {
            guard changes.count > 1 else { return [error] }
            // What cannot be written of one service must not keep another's from the disk.
            return changes.map { change in
                do { try commit([change], now: now) } catch { return error }
                return nil
            }
        }
    }

    private func commit(_ changes: [(runtime: ServiceRuntime, change: StateChange)], now: Moment) throws {
        guard !changes.isEmpty else { return }
        do {
            try markRunning()
            try store.commit(changes.map(\.change))
        } catch {
            counters.failedWrites += 1
            throw error
        }
        counters.writes += 1
        for (runtime, change) in changes { written(change, runtime, now: now) }
    }

    /// The judge itself is written with every event, and once in a while; in between only what it took in.
    private func change(
        to state: ServiceState, _ events: [Event], _ runtime: ServiceRuntime, now: Moment
    ) -> StateChange {
        let interval = state.rollout == nil ? Self.profileInterval : Self.evidenceInterval
        let isDue = runtime.isTurn(every: interval, since: runtime.evidenceWrittenAt, now: now.monotonic)
        var evidence: Evidence?
        if isDue || !events.isEmpty || !runtime.unwritten.isEmpty
            || (state.rollout != nil && runtime.judge.items == nil)
        {
            evidence = runtime.evidence
            // A rollout that begins gets another judge, which the next flush writes.
            evidence?.rollout = beginsRollout(from: runtime.state, to: state) ? "" : state.rollout?.id ?? ""
            evidence?.serving = state.serving
            evidence?.profile = runtime.profile(from: runtime.state, to: state) ?? BaselineProfile()
            if beginsStep(from: runtime.state, to: state) {
                evidence?.sinceStep = [OutcomeCounts(), OutcomeCounts()]
                evidence?.step += 1
            }
        }
        return StateChange(
            state: state, evidence: evidence, events: runtime.unwritten + events,
            recording: runtime.recorder.unwritten, at: now.wall)
    }

    private func written(_ change: StateChange, _ runtime: ServiceRuntime, now: Moment) {
        if runtime.hasMarker {
            marker.clear(service: change.state.service)
            runtime.hasMarker = false
        }
        runtime.unwritten = []
        runtime.writeFailure = nil
        runtime.isUnmarked = false
        runtime.recorder.written()
        runtime.writtenAt = now.monotonic
        if change.evidence != nil { runtime.evidenceWrittenAt = now.monotonic }
        runtime.isDirty = false
    }

    /// Until this is on disk the next crash would look like a goodbye, so nothing else is written before.
    func markRunning() throws {
        if isMarkedRunning { return }
        try store.markRunning()
        isMarkedRunning = true
    }

    /// Or ends one.
    private func beginsRollout(from old: ServiceState, to new: ServiceState) -> Bool {
        new.rollout?.id != old.rollout?.id || old.rollout?.phase == .waiting
    }

    private func beginsStep(from old: ServiceState, to new: ServiceState) -> Bool {
        new.rollout?.committedWeight != old.rollout?.committedWeight
            || (new.rollout?.phase != old.rollout?.phase && old.rollout?.phase == .warmup)
    }

    private func putInForce(_ state: ServiceState, _ runtime: ServiceRuntime, now: Moment) {
        let old = runtime.state
        // Writing may have taken a while, in which requests were dealt as before.
        let inForce = clock.now.monotonic
        runtime.state = state
        if state.rollout?.id != old.rollout?.id || state.serving != old.serving {
            let known = runtime.profile(from: old, to: state)
            runtime.beginRollout(slot: newSlot(for: state.service), known: known, now: now)
        }
        if let rollout = state.rollout, beginsStep(from: old, to: state) {
            if rollout.phase != .waiting {
                runtime.beginStep(isFirst: beginsRollout(from: old, to: state), now: inForce)
            }
        } else if state.rollout?.id == old.rollout?.id, state.split.candidate != old.split.candidate {
            runtime.feed.changeShare(state.split.candidate, now: inForce)
        }
        if state.rollout?.phase != old.rollout?.phase {
            if state.rollout?.phase == .warmup { runtime.judgeLatency(from: .max) }
            if old.rollout?.phase == .warmup { runtime.judgeLatency(from: inForce) }
        }
        if state.generation != old.generation { owesPublication = true }
    }

    func tell(_ events: [Event], _ runtime: ServiceRuntime, now: Moment, isDurable: Bool) {
        for event in events {
            counters.events[event.kind, default: 0] += 1
            listener.happened(event, service: runtime.state.service, at: now.wall, isDurable: isDurable)
        }
    }

    static let unmarkedHint =
        "; nor could it be marked in the runtime directory: a crash now would undo what is in force"

    private func failed(_ error: any Error, _ runtime: ServiceRuntime) {
        // Each is told once: a disk may be full long before a split is lowered, or marked in vain.
        let old = (runtime.writeFailure, runtime.isUnmarked)
        runtime.writeFailure = "\(error)"
        runtime.isUnmarked = !runtime.isDurable && !runtime.hasMarker
        guard old != (runtime.writeFailure, runtime.isUnmarked) else { return }
        alarm("the state cannot be written: \(error)\(runtime.isUnmarked ? Self.unmarkedHint : "")", runtime)
    }

    /// Writes what changed without an event, and what could not be written before: of all services whose turn it is in
    /// one transaction, so that a thousand services cost one wait for the disk.
    func flush(_ runtimes: [ServiceRuntime], now: Moment) {
        let due = runtimes.filter {
            !$0.unwritten.isEmpty
                || ($0.isDirty && $0.isTurn(every: Self.writeInterval, since: $0.writtenAt, now: now.monotonic))
        }
        do { try commit(due.map { ($0, change(to: $0.state, [], $0, now: now)) }, now: now) } catch {
            for runtime in due {
                runtime.writtenAt = now.monotonic
                if !runtime.isDurable, !runtime.hasMarker { runtime.hasMarker = marker.mark(runtime.state) }
                failed(error, runtime)
            }
        }
    }

    private func publishIfOwed() { if owesPublication { publish() } }

    /// Hands the data plane what is in force of all services.
    func publish() {
        owesPublication = false
        let plan = RoutingPlan(services: serviceNames.compactMap { services[$0].flatMap(route) })
        // A candidate's servers may be new to the data plane.
        do { try plane.prepare(plan) } catch { prepareSingly(plan) }
        plane.publish(plan)
        counters.publications += 1
        aim()
    }

    /// A listener that cannot be opened must not take the others with it.
    private func prepareSingly(_ plan: RoutingPlan) {
        for service in plan.services {
            guard let runtime = services[service.name] else { continue }
            do {
                try plane.prepare(RoutingPlan(services: [service]))
                runtime.prepareFailure = nil
            } catch {
                let why = "\(error)"
                guard runtime.prepareFailure != why else { continue }
                runtime.prepareFailure = why
                alarm(why, runtime)
            }
        }
    }

    /// Something that a person should look at, and that changes nothing.
    func alarm(_ message: String, _ runtime: ServiceRuntime) {
        let alarm = Event(
            .alarm, rollout: runtime.state.rollout?.id, message: message, by: "agent",
            generation: runtime.state.generation, weight: runtime.state.split.candidate)
        tell([alarm], runtime, now: clock.now, isDurable: false)
    }

    /// Says whose metrics are wanted: of what serves, and of the candidate.
    private func aim() {
        var targets: [MetricTarget] = []
        for name in serviceNames {
            guard let runtime = services[name] else { continue }
            for arm in Arm.allCases {
                guard let version = runtime.version(arm), let source = version.metrics else { continue }
                let servers = version.servers.compactMap(endpoint)
                runtime.series.setServers(servers, of: arm, version: version.name)
                targets += servers.map {
                    MetricTarget(
                        service: name, version: version.name, server: $0, source: source, series: runtime.queries)
                }
            }
        }
        metrics.setTargets(targets)
    }

    /// A service's version whose servers cannot be resolved keeps no place in the plan; `apply` refuses it before.
    func route(_ runtime: ServiceRuntime) -> RoutedService? {
        let traffic = runtime.service.traffic
        guard let baseline = routed(runtime.version(.baseline), traffic) else { return nil }
        let isRecovering = runtime.state.rollout?.isRecovering ?? true
        return RoutedService(
            name: runtime.service.name, slot: runtime.slot, listen: runtime.service.listen,
            route: runtime.service.route, baseline: baseline,
            candidate: isRecovering ? nil : routed(runtime.version(.candidate), traffic), split: runtime.state.split,
            traffic: traffic, judged: runtime.service.analysis.requests)
    }

    /// Where a server is, or was when it was found last: a name that cannot be looked up now takes nothing away.
    private func endpoint(_ address: ServerAddress) -> Endpoint? {
        if let found = try? resolve(address) { resolved[address] = found }
        return resolved[address]
    }

    func routed(_ version: Version?, _ traffic: TrafficRules) -> RoutedVersion? {
        guard let version else { return nil }
        let servers = version.servers.compactMap(endpoint)
        guard !servers.isEmpty else { return nil }
        return RoutedVersion(
            name: version.name, servers: servers, healthCheck: traffic.healthCheck(of: version),
            upstream: version.upstream)
    }
}
