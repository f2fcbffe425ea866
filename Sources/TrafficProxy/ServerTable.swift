import Analysis
import CLinuxEngine
import HTTPEngine
import PolicyModel

/// The servers of one loop and the routing tables that name them. It builds a table for each published plan, records
/// the results of requests, ejects outliers, and reports the servers' health. It owns the servers' records; a table
/// lives for as long as a request uses it.
final class ServerTable {
    private let registry: HealthRegistry
    private let gauges: ServiceGauges
    private let pool: UpstreamPool
    private(set) var current: RouteTable?
    /// Tables that are no longer in force but still in use.
    private var retired: [RouteTable] = []
    private var servers: [ServerKey: UnsafeMutablePointer<Server>] = [:]
    /// Reports an ejection to the other loops.
    var onEjection: ((ServerKey, _ until: Int64, _ ejections: UInt16) -> Void)?

    init(registry: HealthRegistry, gauges: ServiceGauges, pool: UpstreamPool) {
        self.registry = registry
        self.gauges = gauges
        self.pool = pool
    }

    deinit { for pointer in servers.values { pointer.deallocate() } }

    var hasRetired: Bool { !retired.isEmpty }

    /// Puts a plan in force on this loop: the next request is routed by it.
    func adopt(_ plan: RoutingPlan) -> RouteTable {
        let content = registry.snapshot
        let fresh = RouteTable(plan, gauges: gauges) { [self] key in
            if let known = servers[key] { return known }
            let pointer = UnsafeMutablePointer<Server>.allocate(capacity: 1)
            var server = Server()
            server.name.fill { InlineText.copy(key.endpoint.description, to: $0) }
            if let rules = key.outliers { server.rules = OutlierRules(rules) }
            server.reusesConnections = key.upstream.reuse
            pointer.initialize(to: server)
            servers[key] = pointer
            return pointer
        }
        for (key, server) in servers { read(content, key, server) }
        for server in fresh.servers { server.pointee.tables += 1 }
        if let current { retired.append(current) }
        current = fresh
        return fresh
    }

    /// Frees the tables that no request uses any more, and the servers that no table names.
    func freeRetired() {
        guard !retired.isEmpty else { return }
        retired.removeAll { table in
            guard table.isUnused else { return false }
            for server in table.servers { server.pointee.tables -= 1 }
            return true
        }
        for (key, server) in servers where server.pointee.tables == 0 && server.pointee.outstanding == 0 {
            pool.closeIdle(server)
            servers[key] = nil
            server.deallocate()
        }
    }

    // MARK: Health

    /// Records the result of a request that the server had taken.
    @inline(__always) func record(
        _ result: ServerHealth.RequestResult, of server: UnsafeMutablePointer<Server>, _ now: Int64
    ) {
        guard server.pointee.rules.isOn else { return }
        if server.pointee.health.record(result, server.pointee.rules, now) { eject(server, now) }
    }

    /// Ejects a server from the whole agent. Each loop counts responses for itself, but ejections are rare enough to be
    /// reported to the other loops.
    private func eject(_ server: UnsafeMutablePointer<Server>, _ now: Int64) {
        guard canSpare(server, now), let key = servers.first(where: { $0.value == server })?.key else { return }
        server.pointee.health.eject(server.pointee.rules, now)
        onEjection?(key, server.pointee.health.ejectedUntil, server.pointee.health.ejections)
    }

    /// Applies an ejection that another loop decided.
    func eject(_ key: ServerKey, until: Int64, ejections: UInt16, _ now: Int64) {
        guard let server = servers[key], canSpare(server, now) else { return }
        server.pointee.health.eject(until: until, ejections: ejections)
    }

    /// True if every version with this server may lose one more server (`maxEjectionPercent`).
    private func canSpare(_ server: UnsafeMutablePointer<Server>, _ now: Int64) -> Bool {
        guard let current else { return false }
        for arm in current.arms where arm.plan.pointee.contains(server) {
            let out = arm.plan.pointee.ejected(now)
            guard server.pointee.rules.spares(out, of: arm.plan.pointee.count) else { return false }
        }
        return true
    }

    /// Reads addresses and probe results from the registry.
    func readHealth() {
        let content = registry.snapshot
        for (key, server) in servers { read(content, key, server) }
    }

    private func read(_ content: HealthRegistry.Content, _ key: ServerKey, _ server: UnsafeMutablePointer<Server>) {
        if let check = key.healthCheck {
            server.pointee.health.isUnhealthy =
                content.unhealthy[ProbeKey(endpoint: key.endpoint, check: check)] != nil
        }
        guard let address = content.addresses[key.endpoint] else { return }
        if server.pointee.health.isResolved {
            guard !server.pointee.address.isSame(as: address) else { return }
            // Idle connections lead to the old address. Requests that are under way may end there.
            server.pointee.addressVersion &+= 1
            pool.closeIdle(server)
            server.pointee.health.connected()
        }
        server.pointee.address = address
        server.pointee.health.isResolved = true
    }

    /// The health of the servers of each arm.
    func health(_ now: Int64) -> [ArmHealth] { (current?.arms ?? []).map { health(of: $0, now) } }

    private func health(of arm: RouteTable.ArmEntry, _ now: Int64) -> ArmHealth {
        let plan = arm.plan
        let states = (0..<plan.pointee.count).map { plan.pointee.servers[$0].pointee.health.reported(now) }
        var reachable = states.count { $0 == .up }
        // Ejected servers are used as a last resort; how they do is seen in the requests.
        if reachable == 0, plan.pointee.isLastResort { reachable = states.count { $0 == .ejected } }
        var health = ArmHealth(slot: arm.slot, arm: arm.arm, servers: states.count, reachable: reachable)
        let content = states.allSatisfy { $0 == .up } ? nil : registry.snapshot
        for (i, state) in states.enumerated() {
            health.states.append(
                serverState(state, arm.keys[i], plan.pointee.servers[i].pointee.health.ejectedUntil, content))
        }
        return health
    }

    private func serverState(
        _ state: ServerHealth.State, _ key: ServerKey, _ ejectedUntil: Int64, _ content: HealthRegistry.Content?
    ) -> ServerState {
        switch state {
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
