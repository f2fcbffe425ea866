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

extension RolloutController {
    /// Writes a transition down and puts it in force, in the order that its direction asks for: what gives the
    /// candidate more, or lets a rollout move again, is committed first; what gives it less never waits.
    func carry(_ transition: Transition, _ runtime: ServiceRuntime, now: Moment) -> Carried {
        let old = runtime.state
        if transition.state == old, transition.events.isEmpty { return .durable }
        if transition.events.isEmpty, transition.state.generation == old.generation {
            // Only time passed: `flush` writes it.
            runtime.state = transition.state
            runtime.isDirty = true
            return .durable
        }
        if isRaise(from: old, to: transition.state) {
            do {
                try write(transition.state, transition.events, runtime, now: now)
            } catch {
                failed(error, runtime, now: now)
                return .notWritten("\(error)")
            }
            putInForce(transition.state, runtime, now: now)
            if transition.state.rollout?.id != old.rollout?.id || old.rollout?.phase == .waiting {
                // Another judge than the one that was written: the next flush writes it, in this same turn of a tick.
                (runtime.evidenceWrittenAt, runtime.writtenAt, runtime.isDirty) = (.min / 2, .min / 2, true)
            }
            tell(transition.events, runtime, now: now, isDurable: true)
            return .durable
        }
        putInForce(transition.state, runtime, now: now)
        do {
            try write(transition.state, transition.events, runtime, now: now)
            tell(transition.events, runtime, now: now, isDurable: true)
            return .durable
        } catch {
            runtime.owe(transition.events)
            runtime.hasMarker = marker.mark(runtime.state)
            failed(error, runtime, now: now)
            tell(transition.events, runtime, now: now, isDurable: false)
            return .notYetDurable
        }
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

    private func write(_ state: ServiceState, _ events: [Event], _ runtime: ServiceRuntime, now: Moment) throws {
        try markRunning()
        let change = change(to: state, events, runtime, now: now)
        try store.commit([change])
        written(change, runtime, now: now)
    }

    /// The judge itself is written with every event, and once in a while; in between only what it took in.
    private func change(
        to state: ServiceState, _ events: [Event], _ runtime: ServiceRuntime, now: Moment
    ) -> StateChange {
        let isDue = now.monotonic - runtime.evidenceWrittenAt >= Self.evidenceInterval.nanoseconds
        var evidence: Evidence?
        if isDue || !events.isEmpty || !runtime.unwritten.isEmpty || runtime.judge.items == nil {
            evidence = runtime.evidence
            evidence?.rollout = state.rollout?.id ?? ""
            evidence?.serving = state.serving
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
        counters.writes += 1
        if runtime.hasMarker {
            marker.clear(service: change.state.service)
            runtime.hasMarker = false
        }
        runtime.unwritten = []
        runtime.writeFailure = nil
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
            let isFirst = old.rollout?.id != rollout.id || old.rollout?.phase == .waiting
            if rollout.phase != .waiting { runtime.beginStep(isFirst: isFirst, now: inForce) }
        } else if state.rollout?.id == old.rollout?.id, state.split.candidate != old.split.candidate {
            runtime.feed.changeShare(state.split.candidate, now: inForce)
        }
        if state.rollout?.phase != old.rollout?.phase {
            if state.rollout?.phase == .warmup { runtime.judgeLatency(from: .max) }
            if old.rollout?.phase == .warmup { runtime.judgeLatency(from: inForce) }
        }
        if state.generation != old.generation { publish() }
    }

    private func tell(_ events: [Event], _ runtime: ServiceRuntime, now: Moment, isDurable: Bool) {
        for event in events {
            counters.events[event.kind, default: 0] += 1
            listener.happened(event, service: runtime.state.service, at: now.wall, isDurable: isDurable)
        }
    }

    private func failed(_ error: any Error, _ runtime: ServiceRuntime, now: Moment) {
        counters.failedWrites += 1
        let why = "\(error)"
        guard runtime.writeFailure != why else { return }
        runtime.writeFailure = why
        let alarm = Event(
            .alarm, rollout: runtime.state.rollout?.id,
            message: "the state cannot be written: \(why)"
                + (runtime.isDurable || runtime.hasMarker
                    ? "" : "; nor marked: a crash now would undo what is in force"),
            by: "agent",
            generation: runtime.state.generation, weight: runtime.state.split.candidate)
        tell([alarm], runtime, now: now, isDurable: false)
    }

    /// Writes what changed without an event, and what could not be written before: of all services whose turn it is in
    /// one transaction, so that a thousand services cost one wait for the disk.
    func flush(_ runtimes: [ServiceRuntime], now: Moment) {
        let due = runtimes.filter {
            let isDue = now.monotonic - $0.writtenAt >= Self.writeInterval.nanoseconds
            return !$0.unwritten.isEmpty || ($0.isDirty && isDue)
        }
        guard !due.isEmpty else { return }
        let changes = due.map { change(to: $0.state, [], $0, now: now) }
        do {
            try markRunning()
            try store.commit(changes)
            for (runtime, change) in zip(due, changes) { written(change, runtime, now: now) }
        } catch {
            for runtime in due {
                runtime.writtenAt = now.monotonic
                failed(error, runtime, now: now)
            }
        }
    }

    /// Hands the data plane what is in force of all services.
    func publish() {
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
                runtime.series.setServers(servers, of: arm)
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
        return RoutedVersion(name: version.name, servers: servers, healthCheck: traffic.healthCheck(of: version))
    }
}
