import PolicyModel
import RolloutEngine

/// The reasons for which a reload was not applied; it has changed nothing.
public struct ConfigurationRefused: Error, CustomStringConvertible {
    public var reasons: [String]
    public var description: String { reasons.joined(separator: "\n") }
}

extension RolloutController {
    /// Applies changed files, completely or not at all.
    /// - Returns: the changes, one line for each.
    /// - Throws: `ConfigurationRefused` with every reason; nothing has changed in this case.
    public func apply(_ new: Configuration) throws -> [String] {
        let now = clock.now
        let stored = try check(new)
        let old = Dictionary(configuration.services.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
        let marks = marker.read()
        configuration = new
        var changes = removeServices(missingFrom: new, now: now)
        var (added, changed): ([ServiceRuntime], [ServiceRuntime]) = ([], [])
        for service in new.services {
            let declaration = Declaration(service, policies: new.policies(of: service))
            guard let runtime = services[service.name] else {
                added.append(
                    add(
                        service, declaration, stored: stored[service.name], marks: marks, clean: true, lost: nil,
                        now: now))
                changes.append("\(service.name): added")
                continue
            }
            guard old[service.name] != service || runtime.declaration != declaration else { continue }
            runtime.replace(service, declaration)
            changed.append(runtime)
            let isPinned = runtime.state.rollout.map { $0.plan != declaration.plan } ?? false
            changes.append(
                "\(service.name): changed" + (isPinned ? "; policies and strategy count from the next rollout" : ""))
        }
        writeAdded(added, now: now)
        applyDeclarations(changed, now: now)
        publish()
        return changes
    }

    /// Checks new files against the states in force and prepares the data plane for them.
    /// - Returns: the stored services by name, if the files add a service, which may have a stored state; else nothing.
    /// - Throws: `ConfigurationRefused` with every reason.
    private func check(_ new: Configuration) throws -> [String: StoredService] {
        var reasons = new.services.flatMap(removedVersions)
        var routed: [RoutedService] = []
        for service in new.services {
            do {
                let serving = services[service.name]?.state.serving.name
                routed.append(try plans.trialRoute(service, serving: serving, candidate: service.candidate))
            } catch { reasons.append("\(error)") }
        }
        let plan = RoutingPlan(services: routed)
        if reasons.isEmpty { reasons += newlyUnresolved(plan) }
        if reasons.isEmpty {
            do { try plane.prepare(plan) } catch { reasons.append("\(error)") }
        }
        guard reasons.isEmpty else { throw ConfigurationRefused(reasons: reasons) }
        guard new.services.contains(where: { services[$0.name] == nil }) else { return [:] }
        do {
            return Dictionary(try store.load().services.map { ($0.state.service, $0) }, uniquingKeysWith: { $1 })
        } catch {
            throw ConfigurationRefused(reasons: ["the state of the added services cannot be read: \(error)"])
        }
    }

    /// An error for each version that a new file removes although it is in use.
    private func removedVersions(_ service: Service) -> [String] {
        guard let state = services[service.name]?.state else { return [] }
        var reasons: [String] = []
        if !service.versions.map(\.identity).contains(state.serving) {
            reasons.append(
                "\(service.name): \(state.serving) serves and cannot be removed from the file; keep it, or promote "
                    + "another version first")
        }
        if let rollout = state.rollout, service.candidate == rollout.candidate.name,
            service.version(named: rollout.candidate.name) == nil
        {
            reasons.append("\(service.name): \(rollout.candidate) is being rolled out and cannot be removed")
        }
        return reasons
    }

    /// An error for each name that does not resolve and is new in the files, which is most likely a mistake. A name
    /// that was in the files before is no reason to refuse the other changes.
    private func newlyUnresolved(_ plan: RoutingPlan) -> [String] {
        let old = plans.endpoints(of: configuration.services)
        return plane.unresolved(plan).filter { !old.contains($0.server) }.map {
            "server \($0.server) does not resolve: \($0.reason); correct its name, or add it to the resolver or /etc/hosts"
        }
    }

    /// Removes services, after an attempt to write their state.
    /// - Returns: the changes, one line for each.
    private func removeServices(missingFrom new: Configuration, now: Moment) -> [String] {
        let kept = Set(new.services.map(\.name))
        return serviceNames.filter { !kept.contains($0) }.map { name in
            if let runtime = services.removeValue(forKey: name) {
                runtime.ledger.requireWrite()
                flush([runtime], now: now)
            }
            return "\(name): removed; its state is kept"
        }
    }

    /// Lets the state machine handle the current declarations of services. If a result cannot be written, the next tick
    /// tries it again.
    func applyDeclarations(_ runtimes: [ServiceRuntime], now: Moment) {
        func moves(_ runtimes: [ServiceRuntime], _ declaration: (ServiceRuntime) -> Declaration) -> [Move] {
            runtimes.map { runtime in
                Move(
                    RolloutStateMachine.handle(
                        .declared(runtime.observer.evaluation), state: runtime.state,
                        declaration: declaration(runtime), now: now), runtime)
            }
        }
        let results = commit(moves(runtimes) { $0.declaration }, now: now)
        var ended: [ServiceRuntime] = []
        for (runtime, result) in zip(runtimes, results) {
            guard case .notWritten = result else {
                runtime.setPendingDeclaration(false)
                continue
            }
            runtime.setPendingDeclaration(true)
            // Only a new rollout has to wait for the disk. A rollout that the file no longer declares ends at once.
            if let rollout = runtime.state.rollout, rollout.candidate != runtime.declaration.candidate {
                ended.append(runtime)
            }
        }
        _ = commit(
            moves(ended) { runtime in
                var declaration = runtime.declaration
                declaration.candidate = nil
                return declaration
            }, now: now)
    }
}
