import Analysis
import PolicyModel
import RolloutEngine

/// A reload that was not applied; nothing changed.
public struct ConfigurationRefused: Error, CustomStringConvertible {
    public var reasons: [String]
    public var description: String { reasons.joined(separator: "\n") }
}

extension RolloutController {
    /// Takes up what was stored, reconciles it with the files, and puts the split in force before anything listens.
    /// - Parameter lostState: why the stored state is gone, where it is: then the files' baselines serve, and nothing
    ///   starts until someone says `unfreeze`.
    /// - Throws: what `prepare` throws: a listener that cannot be opened. Nothing was written then: an agent that cannot
    ///   start is not one that stopped uncleanly under a rollout. A server whose name does not resolve keeps nothing from
    ///   starting: it counts as down, and the first tick tells of it.
    public func start(lostState: String? = nil) throws {
        let now = clock.now
        var stored = StoredAgent()
        var lost = lostState
        do { stored = try store.load() } catch { lost = lost ?? "\(error)" }
        let marks = marker.read()
        let known = Dictionary(stored.services.map { ($0.state.service, $0) }, uniquingKeysWith: { $1 })
        let serving = known.mapValues { $0.state.serving.name }
        try plane.prepare(
            RoutingPlan(
                services: try configuration.services.map {
                    try checked($0, serving: serving[$0.name], candidate: nil)
                }))
        var clean = stored.stoppedCleanly
        // Without the mark the next crash would look like a goodbye: be as careful now as after one.
        do { try markRunning() } catch { clean = false }
        let added = configuration.services.map { service in
            add(
                service, Declaration(service, policies: configuration.policies(of: service)),
                stored: known[service.name], marks: marks, clean: clean,
                lost: lost ?? stored.unreadable[service.name], now: now)
        }
        write(added, now: now)
        publish()
    }

    /// Writes what is not written and says goodbye.
    public func stop() {
        let now = clock.now
        for runtime in services.values {
            runtime.isDirty = runtime.isDirty || runtime.state.rollout != nil
            runtime.writtenAt = .min / 2
            runtime.evidenceWrittenAt = .min / 2
        }
        flush(Array(services.values), now: now)
        guard services.values.allSatisfy({ $0.isDurable && $0.writeFailure == nil }) else { return }
        isMarkedRunning = (try? store.markStopped()) == nil
    }

    /// Not written yet: `write` follows.
    private func add(
        _ service: Service, _ declaration: Declaration, stored: StoredService?, marks: LoweringMarks, clean: Bool,
        lost: String?, now: Moment
    ) -> ServiceRuntime {
        let marked = marks.states[service.name]
        let unreadableMark = marks.unreadable[service.name]
        var events: [Event] = []
        var state = stored?.state ?? newState(for: declaration)
        // At the same generation it holds what the store does not: a pause, a freeze.
        if let marked, marked != state, marked.generation >= state.generation || stored == nil {
            state = marked
            events.append(
                Event(.recovered, message: "took up a lower split from the runtime directory", by: "agent"))
        }
        if let lost, stored == nil {
            state.freeze = Freeze(
                reason:
                    "the stored state was lost (\(lost)): check that \(state.serving) is what should serve, then unfreeze",
                by: "agent", at: now.wall)
            events.append(Event(.alarm, message: "the stored state was lost: \(lost)", by: "agent"))
        } else if let lost {
            events.append(Event(.alarm, message: lost, by: "agent"))
        }
        if !declaration.versions.contains(state.serving) {
            events.append(
                Event(
                    .alarm,
                    message: "\(state.serving) served, but the file does not declare it any more: "
                        + "\(declaration.baseline) serves, and nothing starts until someone unfreezes", by: "agent"))
            let freeze = Freeze(
                reason: "\(state.serving) is gone from the file", by: "agent", at: now.wall)
            let generation = state.generation + 1
            state = newState(for: declaration)
            state.generation = generation
            state.freeze = freeze
        }
        let runtime = ServiceRuntime(
            service: service, declaration: declaration, state: state, slot: newSlot(for: service.name), now: now)
        services[service.name] = runtime
        runtime.hasMarker = marked != nil || unreadableMark != nil
        if let stored, let evidence = stored.evidence {
            runtime.restore(evidence, tail: stored.tail)
        } else if state.rollout != nil, state.rollout?.phase != .waiting {
            runtime.beginAnewWithoutEvidence()
        }
        var inputs = [Input.recovered(clean: clean)]
        if let unreadableMark {
            events.append(Event(.alarm, message: unreadableMark, by: "agent"))
            inputs += endingRollout(of: state, because: unreadableMark)
        }
        for input in inputs + [.declared] {
            let transition = RolloutStateMachine.handle(
                input, state: runtime.state, declaration: declaration, now: now)
            if transition.state.rollout?.id != runtime.state.rollout?.id {
                let known = runtime.profile
                runtime.state = transition.state
                runtime.beginRollout(slot: runtime.slot, known: known, now: now)
            }
            runtime.state = transition.state
            events += transition.events
        }
        // After a crash the candidate gets nothing at first.
        runtime.feed.resume(step: runtime.feed.step, share: runtime.state.split.candidate)
        if runtime.state.rollout?.phase == .warmup { runtime.judgeLatency(from: .max) }
        for i in events.indices {
            events[i].generation = runtime.state.generation
            events[i].weight = runtime.state.split.candidate
        }
        // Nothing is published yet, and this only ever lowers: it may be in force before it is on disk.
        runtime.unwritten = events
        runtime.isDirty = true
        runtime.writtenAt = .min / 2
        return runtime
    }

    /// For a service whose lowered split is not known: its rollout may have been reverted, paused or frozen. What serves
    /// goes on to serve, and nothing starts until someone unfreezes.
    private func endingRollout(of state: ServiceState, because reason: String) -> [Input] {
        let freeze = Command(
            .freeze, by: "agent", reason: "\(reason); check that \(state.serving) is what should serve, then unfreeze")
        if state.rollout == nil { return [.command(freeze)] }
        let revert = Command(.revert(to: nil, force: true), by: "agent", reason: reason)
        return [.command(freeze), .command(revert)]
    }

    /// What was added, in one transaction.
    private func write(_ added: [ServiceRuntime], now: Moment) {
        let events = added.map(\.unwritten)
        flush(added, now: now)
        for (runtime, events) in zip(added, events) { tell(events, runtime, now: now, isDurable: runtime.isDurable) }
    }

    /// Applies changed files, wholly or not at all.
    /// - Returns: what changed, a line each.
    /// - Throws: `ConfigurationRefused` with every reason; nothing changed then.
    public func apply(_ new: Configuration) throws -> [String] {
        let now = clock.now
        var reasons: [String] = []
        for service in new.services {
            guard let runtime = services[service.name] else { continue }
            if !service.versions.map(\.identity).contains(runtime.state.serving) {
                reasons.append(
                    "\(service.name): \(runtime.state.serving) serves and cannot be removed from the file; keep it, or promote another version first"
                )
            }
            if let rollout = runtime.state.rollout, service.candidate == rollout.candidate.name,
                service.version(named: rollout.candidate.name) == nil
            {
                reasons.append("\(service.name): \(rollout.candidate) is being rolled out and cannot be removed")
            }
        }
        var routed: [RoutedService] = []
        for service in new.services {
            do {
                let serving = services[service.name]?.state.serving.name
                routed.append(try checked(service, serving: serving, candidate: service.candidate))
            } catch { reasons.append("\(error)") }
        }
        if reasons.isEmpty { reasons += newlyUnresolved(RoutingPlan(services: routed)) }
        if reasons.isEmpty {
            do { try plane.prepare(RoutingPlan(services: routed)) } catch { reasons.append("\(error)") }
        }
        guard reasons.isEmpty else { throw ConfigurationRefused(reasons: reasons) }

        // What is added may have a past.
        var stored = StoredAgent()
        if new.services.contains(where: { services[$0.name] == nil }) {
            do { stored = try store.load() } catch {
                throw ConfigurationRefused(reasons: ["the state of the added services cannot be read: \(error)"])
            }
        }
        let marks = marker.read()
        var changes: [String] = []
        let old = configuration
        configuration = new
        for gone in services.keys.sorted() where !new.services.contains(where: { $0.name == gone }) {
            if let runtime = services[gone] {
                runtime.writtenAt = .min / 2
                flush([runtime], now: now)
            }
            services[gone] = nil
            changes.append("\(gone): removed; its state is kept")
        }
        let known = Dictionary(stored.services.map { ($0.state.service, $0) }, uniquingKeysWith: { $1 })
        let before = Dictionary(old.services.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
        var (added, changed): ([ServiceRuntime], [ServiceRuntime]) = ([], [])
        for service in new.services {
            let declaration = Declaration(service, policies: new.policies(of: service))
            guard let runtime = services[service.name] else {
                added.append(
                    add(
                        service, declaration, stored: known[service.name], marks: marks, clean: true,
                        lost: nil, now: now))
                changes.append("\(service.name): added")
                continue
            }
            guard before[service.name] != service || runtime.declaration != declaration else { continue }
            runtime.service = service
            runtime.declaration = declaration
            let pinned = runtime.state.rollout.map { $0.plan != declaration.plan } ?? false
            changed.append(runtime)
            changes.append(
                "\(service.name): changed" + (pinned ? "; policies and strategy count from the next rollout" : ""))
        }
        write(added, now: now)
        declare(changed, now: now)
        publish()
        return changes
    }

    /// Lets the state machine answer to the files as they are now.
    func declare(_ runtimes: [ServiceRuntime], now: Moment) {
        func moves(_ runtimes: [ServiceRuntime], _ declaration: (ServiceRuntime) -> Declaration) -> [Move] {
            runtimes.map {
                Move(
                    RolloutStateMachine.handle(.declared, state: $0.state, declaration: declaration($0), now: now), $0)
            }
        }
        let pinned = runtimes.map(\.state.rollout?.plan)
        let carried = carry(moves(runtimes) { $0.declaration }, now: now)
        var ended: [ServiceRuntime] = []
        for (place, runtime) in runtimes.enumerated() {
            let rollout = runtime.state.rollout
            if case .notWritten = carried[place] {
                runtime.owesDeclaration = true
                // Only the new beginning has to wait for the disk, not the end of what the file names no more.
                if let rollout, rollout.candidate != runtime.declaration.candidate { ended.append(runtime) }
            } else {
                runtime.owesDeclaration = false
                if pinned[place] != nil, rollout?.phase == .waiting, rollout?.plan != pinned[place] {
                    runtime.beginRollout(slot: runtime.slot, known: runtime.profile, now: now)
                }
            }
        }
        _ = carry(
            moves(ended) { runtime in
                var declaration = runtime.declaration
                declaration.candidate = nil
                return declaration
            }, now: now)
    }

    /// A reload that brings a name which leads nowhere is most likely a slip. One that was there before is no reason to
    /// refuse what is right in the files.
    private func newlyUnresolved(_ plan: RoutingPlan) -> [String] {
        let old = Set(configuration.services.flatMap(\.versions).flatMap(\.servers).compactMap { try? resolve($0) })
        return plane.unresolved(plan).filter { !old.contains($0.server) }.map {
            "server \($0.server) does not resolve: \($0.reason); correct its name, or add it to the resolver or /etc/hosts"
        }
    }

    /// A service as the new file would have it routed, for `prepare` to try: what serves, and what would be tried out.
    private func checked(_ service: Service, serving: String?, candidate: String?) throws -> RoutedService {
        for version in service.versions { for server in version.servers { _ = try resolve(server) } }
        func version(_ name: String) throws -> RoutedVersion? {
            try service.version(named: name).map {
                RoutedVersion(
                    name: name, servers: try $0.servers.map(resolve), healthCheck: service.traffic.healthCheck(of: $0),
                    upstream: $0.upstream)
            }
        }
        let baseline = try serving.flatMap(version) ?? version(service.baseline)
        return RoutedService(
            name: service.name, slot: 0, listen: service.listen, route: service.route,
            baseline: baseline ?? RoutedVersion(name: service.baseline, servers: []),
            candidate: try candidate.flatMap(version),
            split: TrafficSplit(candidate: .zero, generation: 0, salt: 0), traffic: service.traffic,
            judged: service.analysis.requests)
    }
}
