import PolicyModel

@testable import TrafficProxy

/// A routing table of one service in memory, with a server for each arm, and no loop.
final class PlanFixture {
    let table: RouteTable
    let gauges = ServiceGauges()
    private var servers: [ServerKey: UnsafeMutablePointer<Server>] = [:]

    init(
        candidate weight: Int = 5_000, traffic: TrafficRules = TrafficRules(), judged: JudgedRequests = JudgedRequests()
    ) {
        let service = RoutedService(
            name: "s", slot: 7, listen: [], route: Route(),
            baseline: RoutedVersion(name: "v1", servers: [Endpoint(host: "127.0.0.1", port: 1)]),
            candidate: RoutedVersion(name: "v2", servers: [Endpoint(host: "127.0.0.1", port: 2)]),
            split: TrafficSplit(candidate: Weight(clamping: weight), generation: 1, salt: 3), traffic: traffic,
            judged: judged)
        var made: [ServerKey: UnsafeMutablePointer<Server>] = [:]
        table = RouteTable(RoutingPlan(services: [service]), gauges: gauges) { key in
            if let known = made[key] { return known }
            let server = UnsafeMutablePointer<Server>.allocate(capacity: 1)
            server.initialize(to: Server())
            server.pointee.health.isResolved = true
            made[key] = server
            return server
        }
        servers = made
    }

    deinit { for server in servers.values { server.deallocate() } }

    var service: UnsafeMutablePointer<ServicePlan> { table.services[0] }
}
