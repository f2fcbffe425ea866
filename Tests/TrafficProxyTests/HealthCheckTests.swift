import Analysis
import Glibc
import PolicyModel
import Synchronization
import TestSupport
import Testing

@testable import TrafficProxy

@Suite("Health checks", .timeLimit(.minutes(15)))
struct HealthCheckTests {
    private static let get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    private static let never = Duration.seconds(3600)

    private static func rules(
        _ interval: Duration = .milliseconds(10), timeout: Duration = .seconds(5),
        expected: ClosedRange<Int> = 200...299
    ) -> TrafficRules {
        TrafficRules(
            healthCheck: HealthCheck(
                path: "/ready", interval: interval, timeout: timeout, expectedStatus: expected))
    }

    /// Answers probes as it is told, and all else with 200.
    private final class Server: Sendable {
        let reply = Mutex("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        let probes = Mutex<[String]>([])
        let upstream = Mutex<ScriptedUpstream?>(nil)
        var port: UInt16 { upstream.withLock { $0!.port } }

        init() {
            // A connection may be accepted in the moment in which the test ends.
            let upstream = ScriptedUpstream { [weak self] peer, _ in
                while let self {
                    let head = peer.receive(until: "\r\n\r\n")
                    guard !head.isEmpty else { return }
                    guard head.hasPrefix("GET /ready ") else {
                        peer.send(BodyTests.ok)
                        continue
                    }
                    probes.withLock { $0.append(head) }
                    peer.send(reply.withLock { $0 })
                    return
                }
            }
            self.upstream.withLock { $0 = upstream }
        }

        func say(_ reply: String) { self.reply.withLock { $0 = reply } }
    }

    private func isUnhealthy(_ state: ServerState, _ part: String) -> Bool {
        if case .unhealthy(let reason) = state { reason.contains(part) } else { false }
    }

    @Test("a server that says it is not ready is out until it says it is, and nothing of it is judged")
    func turns() throws {
        let server = Server()
        server.say("HTTP/1.1 503 Loading\r\nContent-Length: 0\r\n\r\n")
        let old = try NamedServer("old")
        let other = Server()
        let fixture = try ProxyFixture(
            baseline: [other.port], candidate: [server.port], weight: 10_000, traffic: Self.rules())
        #expect(fixture.waitFor(.candidate) { isUnhealthy($0[0], "answers GET /ready with 503") } == 0)
        #expect(fixture.exchange(Self.get).status == 503)
        #expect(fixture.observations(1)[0].outcome == .connectFailure)
        server.say("HTTP/1.1 204 No Content\r\n\r\n")
        #expect(fixture.waitFor(.candidate) { $0[0] == .healthy } == 1)
        #expect(fixture.exchange(Self.get).status == 200)
        let probe = server.probes.withLock { $0[0] }
        #expect(
            probe == "GET /ready HTTP/1.1\r\nHost: 127.0.0.1:\(server.port)\r\nUser-Agent: canaryd-health-check\r\n"
                + "Connection: close\r\n\r\n")
        #expect(fixture.observations(1)[0].outcome == .success)
        #expect(fixture.proxy.drain().ended.isEmpty)
        #expect(old.requests.isEmpty)
    }

    @Test("a baseline that fails all its probes is still used, and counts as not reachable")
    func baseline() throws {
        let server = Server()
        server.say("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        let fixture = try ProxyFixture(baseline: [server.port], traffic: Self.rules())
        #expect(fixture.waitFor(.baseline) { isUnhealthy($0[0], "with 404") } == 0)
        #expect(fixture.exchange(Self.get).status == 200)
    }

    @Test("many loops probe a server no more often than one, and two arms that share it neither")
    func once() throws {
        let server = Server()
        server.say("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
        let fixture = try ProxyFixture(
            baseline: [server.port], candidate: [server.port], traffic: Self.rules(Self.never), loops: 4)
        _ = fixture.waitFor(.baseline) { isUnhealthy($0[0], "500") }
        _ = fixture.waitFor(.candidate) { isUnhealthy($0[0], "500") }
        fixture.setWeight(5000)
        _ = fixture.waitFor(.candidate) { isUnhealthy($0[0], "500") }
        #expect(server.probes.withLock { $0.count } == 1)
    }

    @Test(
        "what counts as not well",
        arguments: [
            ("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "with 302"), ("nonsense\r\n\r\n", "no HTTP/1.1"),
            ("HTTP/1.1 200 OK\n\n", "no HTTP/1.1"), ("", "closes the connection"), ("HTTP/1.1 200", "closes the con"),
            (String(repeating: "HTTP/1.1 102 Processing\r\n\r\n", count: 20), "no end of 1xx"),
            ("HTTP/1.1 200 OK\r\nA: " + String(repeating: "a", count: 20_000), "too large a head"),
        ])
    func bad(_ reply: String, _ reason: String) throws {
        let server = Server()
        server.say(reply)
        let fixture = try ProxyFixture(baseline: [server.port], traffic: Self.rules(Self.never))
        _ = fixture.waitFor(.baseline) { isUnhealthy($0[0], reason) }
    }

    @Test("a status from the range, and one after interim answers, is well; other statuses are what the range says")
    func good() throws {
        let server = Server()
        server.say("HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 429 Busy\r\nContent-Length: 0\r\n\r\n")
        let fixture = try ProxyFixture(baseline: [server.port], traffic: Self.rules(expected: 429...429))
        eventually { server.probes.withLock({ $0.count }) >= 5 }
        #expect(fixture.proxy.drain().health[0].states == [.healthy])
        server.say("HTTP/1.1 200 OK\r\n\r\n")
        _ = fixture.waitFor(.baseline) { isUnhealthy($0[0], "with 200") }
    }

    @Test("a server that refuses, and one that never answers, are named with what they do")
    func silent() throws {
        let refusing = try ProxyFixture(baseline: [deadPort()], traffic: Self.rules(Self.never))
        _ = refusing.waitFor(.baseline) { isUnhealthy($0[0], "takes no connection: Connection refused") }
        let hanging = ScriptedUpstream { peer, _ in while peer.receive() != nil {} }
        let fixture = try ProxyFixture(
            baseline: [hanging.port], traffic: Self.rules(Self.never, timeout: .milliseconds(20)))
        _ = fixture.waitFor(.baseline) { isUnhealthy($0[0], "answers no GET /ready within 20ms") }
    }

    @Test("a plan without the check ends the probes, and forgets what they found")
    func ended() throws {
        let server = Server()
        server.say("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
        let fixture = try ProxyFixture(baseline: [server.port], traffic: Self.rules())
        _ = fixture.waitFor(.baseline) { isUnhealthy($0[0], "500") }
        fixture.plan.services[0].baseline.healthCheck = nil
        fixture.proxy.publish(fixture.plan)
        #expect(fixture.proxy.drain().health[0].states == [.healthy])
    }

    @Test("more servers than are probed at once all get their turn")
    func many() throws {
        let server = Server()
        server.say("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
        let ports = (0..<Prober.maxInFlight + 40).map { _ in server.port }
        var traffic = Self.rules(Self.never)
        let fixture = try ProxyFixture(baseline: [server.port], traffic: traffic)
        traffic.healthCheck = nil
        for (i, port) in ports.enumerated() {
            var service = fixture.plan.services[0]
            service.name = "s\(i)"
            service.slot = UInt32(100 + i)
            service.route = Route(path: "/\(i)")
            service.baseline.servers = [Endpoint(host: "127.0.0.1", port: port)]
            service.baseline.healthCheck?.path = "/ready"
            service.baseline.healthCheck?.healthyThreshold = i + 1
            fixture.plan.services.append(service)
        }
        fixture.proxy.publish(fixture.plan)
        eventually { fixture.proxy.drain().health.allSatisfy({ $0.reachable == 0 }) }
        #expect(fixture.proxy.drain().health.count == ports.count + 1)
    }
}
