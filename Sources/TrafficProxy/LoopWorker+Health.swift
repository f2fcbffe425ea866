import Analysis
import CLinuxEngine
import HTTPEngine
import PolicyModel

// How servers do: what their answers count for, what comes from the board, and what is reported.

extension LoopWorker {
    /// A request that the server had taken is over.
    @inline(__always) func answered(_ server: UnsafeMutablePointer<Server>, _ answer: ServerHealth.Answer) {
        guard server.pointee.rules.isOn else { return }
        if server.pointee.health.answered(answer, server.pointee.rules, now) { eject(server) }
    }

    /// Answers are counted by each loop for itself, without a word to the others; what follows from them is rare, and the
    /// others are told, so that an outlier is out for the whole agent.
    private func eject(_ server: UnsafeMutablePointer<Server>) {
        guard canSpare(server), let key = servers.first(where: { $0.value == server })?.key else { return }
        server.pointee.health.eject(server.pointee.rules, now)
        let (until, ejections) = (server.pointee.health.ejectedUntil, server.pointee.health.ejections)
        for peer in peers where peer !== self {
            peer.loop.post { peer.takeOver(key, until: until, ejections: ejections) }
        }
    }

    private func takeOver(_ key: ServerKey, until: Int64, ejections: UInt16) {
        guard let server = servers[key], canSpare(server) else { return }
        server.pointee.health.eject(until: until, ejections: ejections)
    }

    /// Every version that it is a server of can.
    private func canSpare(_ server: UnsafeMutablePointer<Server>) -> Bool {
        guard let table else { return false }
        for arm in table.arms where arm.plan.pointee.contains(server) {
            let out = arm.plan.pointee.ejected(now)
            guard server.pointee.rules.spares(out, of: arm.plan.pointee.count) else { return false }
        }
        return true
    }

    /// Takes from the board what changed.
    func readBoard() {
        let content = board.snapshot
        for (key, server) in servers { read(content, key, server) }
    }

    func read(_ content: HealthBoard.Content, _ key: ServerKey, _ server: UnsafeMutablePointer<Server>) {
        if let check = key.healthCheck {
            server.pointee.health.isUnhealthy =
                content.unhealthy[ProbeKey(endpoint: key.endpoint, check: check)] != nil
        }
        guard let address = content.addresses[key.endpoint] else { return }
        if server.pointee.health.isResolved {
            guard !server.pointee.address.isSame(as: address) else { return }
            // It moved: what rests leads to where it was, and what is under way may end there.
            server.pointee.move &+= 1
            while let idle = server.pointee.idle { closeUpstream(idle) }
            server.pointee.health.connected()
        }
        server.pointee.address = address
        server.pointee.health.isResolved = true
    }

    /// Judged requests that are under way, and how the servers do.
    func report() -> (open: [Observation], health: [ArmHealth]) {
        var open: [Observation] = []
        let moment = EventLoop.clock()
        clients.all.forEach { client in
            guard client.pointee.fd >= 0, client.pointee.phase != .tunnel,
                let service = client.pointee.exchange.service, client.pointee.exchange.flags.contains(.judged)
            else { return }
            var seen = observation(client.pointee.exchange, service, moment)
            seen.outcome = .open
            open.append(seen)
        }
        return (open, (table?.arms ?? []).map { health(of: $0, moment) })
    }

    private func health(of arm: RouteTable.ArmEntry, _ moment: Int64) -> ArmHealth {
        let plan = arm.plan
        let standings = (0..<plan.pointee.count).map { plan.pointee.servers[$0].pointee.health.reported(moment) }
        var reachable = standings.count { $0 == .up }
        // They are used and answer for themselves: what comes of it is in the requests.
        if reachable == 0, plan.pointee.isLastResort { reachable = standings.count { $0 == .ejected } }
        var health = ArmHealth(slot: arm.slot, arm: arm.arm, servers: standings.count, reachable: reachable)
        let content = standings.allSatisfy { $0 == .up } ? nil : board.snapshot
        for (i, standing) in standings.enumerated() {
            health.states.append(
                state(standing, arm.keys[i], plan.pointee.servers[i].pointee.health.ejectedUntil, content))
        }
        return health
    }

    private func state(
        _ standing: ServerHealth.Standing, _ key: ServerKey, _ ejectedUntil: Int64, _ content: HealthBoard.Content?
    ) -> ServerState {
        switch standing {
        case .up: return .healthy
        case .ejected: return .ejected(until: ejectedUntil)
        case .refusing: return .refusing
        case .hanging: return .hanging
        case .unresolved: return .unresolved(reason: content?.unresolved[key.endpoint] ?? "it is being looked up")
        case .unhealthy:
            let reason = key.healthCheck.flatMap {
                content?.unhealthy[ProbeKey(endpoint: key.endpoint, check: $0)]
            }
            return .unhealthy(reason: reason ?? "fails its health check")
        }
    }
}
