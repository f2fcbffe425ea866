import Analysis
import Glibc
import HTTPEngine
import PolicyModel
import Synchronization
import TestSupport
import Testing

@testable import TrafficProxy

/// A proxy on a port of its own before servers of its own.
final class ProxyFixture {
    let proxy: TrafficProxy
    var plan: RoutingPlan
    let port: UInt16
    private var gathered: [Observation] = []
    /// The failed requests that `drain` has reported to this fixture.
    private(set) var failures: [FailureCount] = []
    private static let listener = ListenAddress.tcp(host: "127.0.0.1", port: 0)

    init(
        baseline: [UInt16], candidate: [UInt16]? = nil, weight: Int = 0, traffic: TrafficRules = TrafficRules(),
        judged: JudgedRequests = JudgedRequests(), route: Route = Route(), loops: Int = 1,
        limits: ProxyLimits = ProxyLimits(), trusted: TrustedNetworks = .host,
        accessLog: AccessLogSettings? = nil, host: String = "127.0.0.1", times: Resolver.Times = Resolver.Times(),
        lookUp: @escaping @Sendable (Endpoint) -> Resolver.LookUpResult = Resolver.system
    ) throws {
        func version(_ name: String, _ ports: [UInt16]) -> RoutedVersion {
            RoutedVersion(
                name: name, servers: ports.map { Endpoint(host: host, port: $0) }, healthCheck: traffic.healthCheck)
        }
        plan = RoutingPlan(services: [
            RoutedService(
                name: "test", slot: 7, listen: [Self.listener], route: route, baseline: version("old", baseline),
                candidate: candidate.map { version("new", $0) },
                split: TrafficSplit(candidate: Weight(clamping: weight), generation: 1, salt: 42), traffic: traffic,
                judged: judged)
        ])
        proxy = try TrafficProxy(
            loops: loops, limits: limits, trusted: trusted, accessLog: accessLog, times: times, lookUp: lookUp)
        try proxy.prepare(plan)
        proxy.publish(plan)
        guard case .tcp(_, let port) = proxy.boundAddress(of: Self.listener) else { throw PlanError("not bound") }
        self.port = port
    }

    deinit { proxy.shutdown(grace: .zero) }

    func client() -> RawClient { RawClient(port: port) }

    func setWeight(_ basisPoints: Int) {
        plan.services[0].split.candidate = Weight(clamping: basisPoints)
        plan.services[0].split.generation += 1
        proxy.publish(plan)
    }

    /// Waits until the servers of an arm stand as given, and says how many of them can be reached.
    func waitFor(_ arm: Arm, _ isReached: ([ServerState]) -> Bool) -> Int {
        var reachable = 0
        eventually("the servers of the \(arm) stand as expected") {
            let batch = proxy.drain()
            gathered += batch.ended
            guard let health = batch.health.first(where: { $0.arm == arm }), isReached(health.states) else {
                return false
            }
            reachable = health.reachable
            return true
        }
        return reachable
    }

    /// One request on a connection of its own.
    func exchange(_ bytes: String) -> RawResponse {
        let client = client()
        client.send(bytes)
        return client.receiveResponse()
    }

    /// Waits until so many requests have ended, and gives their observations in the order of their begin.
    func observations(_ count: Int) -> [Observation] {
        eventually("\(count) requests end; \(gathered.count) did") {
            let batch = proxy.drain()
            gathered += batch.ended
            failures += batch.failures
            return gathered.count >= count
        }
        defer { gathered = [] }
        return gathered.sorted { $0.startedAt < $1.startedAt }
    }
}

/// A decent server for each version, which says its name and what it was asked.
final class NamedServer: Sendable {
    let loop: EventLoop
    let server: HTTPServer
    let port: UInt16
    private let seen = Mutex<[HTTPRequest]>([])

    var requests: [HTTPRequest] { seen.withLock { $0 } }

    init(_ name: String, status: Int = 200, port: UInt16 = 0) throws {
        loop = try EventLoop(name: name)
        let box = Box()
        server = HTTPServer(loop: loop) { request, responder in
            box.owner?.note(request)
            let text =
                "\(name) \(request.method) \(request.path) \(String(decoding: request.body.prefix(64), as: UTF8.self))"
            responder.respond(status: status, headers: [("Content-Type", "text/plain")], body: Array(text.utf8))
        }
        guard case .tcp(_, let port) = try server.listen(.tcp(host: "127.0.0.1", port: port)) else {
            throw PlanError("not bound")
        }
        self.port = port
        box.owner = self
        loop.start()
    }

    private final class Box: @unchecked Sendable { weak var owner: NamedServer? }

    private func note(_ request: HTTPRequest) { seen.withLock { $0.append(request) } }

    deinit {
        loop.stop()
        if !loop.isCurrent { loop.join() }
        server.close()
    }
}
