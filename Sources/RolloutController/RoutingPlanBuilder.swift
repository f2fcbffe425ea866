import PolicyModel
import RolloutEngine

/// Builds the routes of services from their files and states, and resolves the endpoints of their servers.
struct RoutingPlanBuilder {
    /// Returns the endpoint at which a server is reached, and starts embedded servers.
    private let resolve: (ServerAddress) throws -> Endpoint
    /// The last known endpoint of each server, which is used while its address cannot be resolved.
    private var known: [ServerAddress: Endpoint] = [:]

    init(resolve: @escaping (ServerAddress) throws -> Endpoint) { self.resolve = resolve }

    /// The endpoint of a server, or its last known one; nil if it was never resolved.
    mutating func endpoint(_ address: ServerAddress) -> Endpoint? {
        if let found = try? resolve(address) { known[address] = found }
        return known[address]
    }

    /// The route of a service for its state in force; nil if no server of the serving version was ever resolved.
    /// `trialRoute` refuses a new file with a server that cannot be resolved.
    mutating func route(_ runtime: ServiceRuntime) -> RoutedService? {
        let service = runtime.service
        guard let baseline = version(runtime.version(.baseline), service.traffic) else { return nil }
        let isRecovering = runtime.state.rollout?.isRecovering ?? true
        return RoutedService(
            name: service.name, slot: runtime.slot, listen: service.listen, route: service.route, baseline: baseline,
            candidate: isRecovering ? nil : version(runtime.version(.candidate), service.traffic),
            split: runtime.state.split, traffic: service.traffic, judged: service.analysis.requests)
    }

    /// A version with the endpoints of its servers; nil if none has one.
    private mutating func version(_ version: Version?, _ traffic: TrafficRules) -> RoutedVersion? {
        guard let version else { return nil }
        let servers = version.servers.compactMap { endpoint($0) }
        guard !servers.isEmpty else { return nil }
        return RoutedVersion(
            name: version.name, servers: servers, healthCheck: traffic.healthCheck(of: version),
            upstream: version.upstream)
    }

    /// The route that a service would have with a new file: its serving version and its candidate. It is passed to
    /// `DataPlane.prepare` and never published.
    /// - Throws: the error of the first server that cannot be resolved.
    func trialRoute(_ service: Service, serving: String?, candidate: String?) throws -> RoutedService {
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

    /// The endpoints of all servers of these services that can be resolved now.
    func endpoints(of services: [Service]) -> Set<Endpoint> {
        Set(services.flatMap(\.versions).flatMap(\.servers).compactMap { try? resolve($0) })
    }
}
