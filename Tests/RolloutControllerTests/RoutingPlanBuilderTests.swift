import PolicyModel
import RolloutEngine
import TestSupport
import Testing

@testable import RolloutController

@Suite(.timeLimit(.minutes(15))) struct RoutingPlanBuilderTests {
    /// The names that resolve, which a test changes between two calls.
    private final class Names {
        struct Unknown: Error { var server: ServerAddress }

        var hidden: Set<ServerAddress> = []
        var builder: RoutingPlanBuilder {
            RoutingPlanBuilder { [unowned self] address in
                guard case .http(let host, let port) = address, !hidden.contains(address) else {
                    throw Unknown(server: address)
                }
                return Endpoint(host: host, port: port)
            }
        }
    }

    private static let lone = ServerAddress.http(host: "old-1", port: 1)
    private static let other = ServerAddress.http(host: "old-2", port: 2)
    private static let new = ServerAddress.http(host: "new-1", port: 3)
    private static let spare = ServerAddress.http(host: "spare", port: 4)

    private static func endpoint(_ address: ServerAddress) -> Endpoint? {
        guard case .http(let host, let port) = address else { return nil }
        return Endpoint(host: host, port: port)
    }

    /// `v1` on two servers, the candidate `v2`, which asks for a connection for each request, and `v3`.
    private static let service: Service = {
        var versions = [
            Version(name: "v1", servers: [lone, other]), Version(name: "v2", servers: [new]),
            Version(name: "v3", servers: [spare]),
        ]
        versions[1].upstream.reuse = false
        return .sample(versions: versions)
    }()

    private let names = Names()

    /// The service in its first step.
    private func runtime(_ change: (inout ServiceState) -> Void = { _ in }) throws -> ServiceRuntime {
        let agent = try Agent.started(.sample([Self.service]))
        agent.run(1)
        let started = try #require(agent.controller.services["income"])
        var state = started.state
        #expect(state.rollout?.phase == .step(0) && state.split.candidate == Weight(clamping: 1000))
        change(&state)
        return ServiceRuntime(
            service: Self.service, declaration: started.declaration, state: state, slot: 17, hasMarker: false,
            now: Moment(monotonic: 0, wall: 0))
    }

    private static func route(_ runtime: ServiceRuntime, _ builder: inout RoutingPlanBuilder) throws -> RoutedService {
        let route = builder.route(runtime)
        return try #require(route)
    }

    @Test("a route has both arms with their servers and rules, and the split in force") func arms() throws {
        var builder = names.builder
        let runtime = try runtime()
        let route = try Self.route(runtime, &builder)
        #expect(route.name == "income" && route.slot == 17)
        #expect(route.listen == Self.service.listen && route.split == runtime.state.split)
        #expect(route.baseline.name == "v1" && route.candidate?.name == "v2")
        #expect(route.baseline.servers == [Self.lone, Self.other].compactMap(Self.endpoint))
        #expect(route.candidate?.servers == [Self.new].compactMap(Self.endpoint))
        #expect(route.baseline.upstream.reuse && route.candidate?.upstream.reuse == false)
    }

    @Test("a candidate has no route while its rollout recovers, nor without a rollout") func withoutCandidate() throws {
        var builder = names.builder
        let recovering = try Self.route(try runtime { $0.rollout?.isRecovering = true }, &builder)
        #expect(recovering.candidate == nil && recovering.baseline.servers.count == 2)
        let idle = try Self.route(try runtime { $0.rollout = nil }, &builder)
        #expect(idle.candidate == nil && idle.baseline.name == "v1")
    }

    @Test("a server whose name does not resolve any more keeps its last endpoint") func lastKnown() throws {
        var builder = names.builder
        let runtime = try runtime()
        _ = builder.route(runtime)
        names.hidden = [Self.lone, Self.other, Self.new]
        let route = try Self.route(runtime, &builder)
        #expect(route.baseline.servers.count == 2 && route.candidate?.servers.count == 1)
        let endpoint = builder.endpoint(Self.lone)
        #expect(endpoint == Self.endpoint(Self.lone))
        // The scrapes of servers that are gone end: only names that resolve now count.
        #expect(builder.endpoints(of: [Self.service]) == Set([Self.spare].compactMap(Self.endpoint)))
    }

    @Test("a server that never resolved is left out; without any the candidate, or the whole route, is") func unknown()
        throws
    {
        names.hidden = [Self.lone, Self.new]
        var builder = names.builder
        let runtime = try runtime()
        let route = try Self.route(runtime, &builder)
        #expect(route.baseline.servers == [Self.other].compactMap(Self.endpoint) && route.candidate == nil)
        let unknown = builder.endpoint(Self.lone)
        #expect(unknown == nil)
        names.hidden.insert(Self.other)
        var second = names.builder
        let none = second.route(runtime)
        #expect(none == nil)
    }

    @Test("a trial refuses a file with a name that does not resolve, whichever version it is of")
    func trialRefuses() throws {
        for server in [Self.lone, Self.new, Self.spare] {
            names.hidden = [server]
            let error = #expect(throws: Names.Unknown.self) {
                try names.builder.trialRoute(Self.service, serving: "v1", candidate: nil)
            }
            #expect(error?.server == server)
        }
    }

    @Test("a trial routes what serves, or else the file's baseline, and the candidate without a share of the traffic")
    func trial() throws {
        let trial = try names.builder.trialRoute(Self.service, serving: "v3", candidate: "v2")
        #expect(trial.baseline.name == "v3" && trial.baseline.servers == [Self.spare].compactMap(Self.endpoint))
        #expect(trial.candidate?.name == "v2" && trial.candidate?.upstream.reuse == false)
        #expect(trial.split.candidate == .zero)
        let first = try names.builder.trialRoute(Self.service, serving: nil, candidate: nil)
        #expect(first.baseline.name == "v1" && first.candidate == nil)
        // The version that serves may be missing from the new file.
        #expect(try names.builder.trialRoute(Self.service, serving: "v0", candidate: nil).baseline.name == "v1")
    }
}
