import Analysis
import Glibc
import PolicyModel
import Synchronization
import TestSupport
import Testing

@testable import TrafficProxy

@Suite("Limits of a service", .timeLimit(.minutes(15)))
struct ServiceLimitTests {
    private static let get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

    /// Answers each request when it is told to.
    private final class Gate: Sendable {
        let isOpen = Mutex(false)
        let waiting = Mutex(0)

        func server(_ reply: String = BodyTests.ok) -> ScriptedUpstream {
            ScriptedUpstream { [self] peer, _ in
                while !peer.receive(until: "\r\n\r\n").isEmpty {
                    waiting.withLock { $0 += 1 }
                    eventually { isOpen.withLock({ $0 }) }
                    peer.send(reply)
                }
            }
        }

        func wait(for count: Int) { eventually { waiting.withLock({ $0 }) >= count } }
        func open() { isOpen.withLock { $0 = true } }
    }

    @Test("requests beyond the limit get 503 at once on whatever loop, are held against no arm, and places come back")
    func requests() throws {
        let gate = Gate()
        let server = gate.server()
        let fixture = try ProxyFixture(
            baseline: [server.port], traffic: TrafficRules(limits: TrafficLimits(requests: 3)), loops: 2)
        let clients = (0..<3).map { _ in fixture.client() }
        for client in clients { client.send(Self.get) }
        gate.wait(for: 3)
        let late = fixture.client()
        for _ in 0..<8 {
            late.send(Self.get)
            let reply = late.receiveResponse()
            #expect(reply.status == 503)
            #expect(reply["retry-after"] == "1")
            #expect(reply["x-canary-version"] == nil)
            #expect(reply.text.contains("\"too_many_requests\""))
            #expect(fixture.exchange(Self.get).status == 503)
        }
        #expect(fixture.proxy.usage(of: "test").requests == 3)
        gate.open()
        for client in clients { #expect(client.receiveResponse().status == 200) }
        #expect(fixture.observations(3).map(\.outcome) == [.success, .success, .success])
        late.send(Self.get)
        #expect(late.receiveResponse().status == 200)
        #expect(fixture.observations(1).count == 1)
        let usage = fixture.proxy.usage(of: "test")
        #expect(usage.requests == 0)
        #expect(usage.refusedRequests == 16)
    }

    @Test("a request that ends badly gives its place back: its client left, its server broke, none took it")
    func badEnds() throws {
        let gate = Gate()
        let broken = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            peer.send("garbage\r\n\r\n")
        }
        for port in [gate.server().port, broken.port, deadPort()] {
            let fixture = try ProxyFixture(
                baseline: [port], traffic: TrafficRules(limits: TrafficLimits(requests: 1)))
            let client = fixture.client()
            client.send(Self.get)
            if port == broken.port { _ = client.receiveResponse() } else { usleep(20_000) }
            client.reset()
            #expect(fixture.observations(1)[0].outcome != .success)
            #expect(fixture.proxy.usage(of: "test").requests == 0)
        }
        gate.open()
    }

    @Test("connections beyond the limit are answered and closed; one that leaves makes room")
    func connections() throws {
        let server = try NamedServer("a")
        let fixture = try ProxyFixture(
            baseline: [server.port], traffic: TrafficRules(limits: TrafficLimits(connections: 2)), loops: 2)
        let first = fixture.client()
        let second = fixture.client()
        // A connection without a request belongs to no service.
        let silent = fixture.client()
        for _ in 0..<3 {
            for client in [first, second] {
                client.send(Self.get)
                #expect(client.receiveResponse().status == 200)
            }
        }
        let third = fixture.client()
        third.send(Self.get)
        let reply = third.receiveResponse()
        #expect(reply.status == 503)
        #expect(reply["connection"] == "close")
        #expect(reply.text.contains("\"too_many_connections\""))
        #expect(third.receive() == nil)
        #expect(fixture.proxy.usage(of: "test").connections == 2)
        first.close()
        eventually { fixture.proxy.usage(of: "test").connections <= 1 }
        silent.send(Self.get)
        #expect(silent.receiveResponse().status == 200)
        #expect(fixture.proxy.usage(of: "test").refusedConnections == 1)
        #expect(fixture.observations(7).count == 7)
    }

    @Test("a connection that goes on with another service is that one's")
    func moves() throws {
        let server = try NamedServer("a")
        let fixture = try ProxyFixture(
            baseline: [server.port], traffic: TrafficRules(limits: TrafficLimits(connections: 1)))
        for (name, limit) in [("free", nil), ("other", 5)] as [(String, Int?)] {
            var service = fixture.plan.services[0]
            service.name = name
            service.slot += 1
            service.route = Route(path: "/\(name)")
            service.traffic.limits.connections = limit
            fixture.plan.services.append(service)
        }
        try fixture.proxy.prepare(fixture.plan)
        fixture.proxy.publish(fixture.plan)
        let client = fixture.client()
        func held(_ path: String) -> [Int] {
            client.send("GET \(path) HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(client.receiveResponse().status == 200)
            return ["test", "free", "other"].map { fixture.proxy.usage(of: $0).connections }
        }
        #expect(held("/") == [1, 0, 0])
        #expect(held("/other") == [0, 0, 1])
        #expect(held("/") == [1, 0, 0])
        #expect(held("/free") == [0, 0, 0])
        #expect(held("/") == [1, 0, 0])
    }

    /// When nothing moves any more: the kernel's buffers are full, and ours.
    private func settledBytes(_ fixture: ProxyFixture) -> Int {
        var last = -1
        var same = 0
        while same < 4 {
            usleep(50_000)
            let now = fixture.proxy.usage(of: "test").bytes
            same = now == last ? same + 1 : 0
            last = now
        }
        return last
    }

    @Test("while its requests hold as many bytes as they may, no request is begun")
    func buffer() throws {
        let size = 32 << 20
        let server = ScriptedUpstream { peer, _ in
            while !peer.receive(until: "\r\n\r\n").isEmpty {
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")
                peer.send([UInt8](repeating: 0x61, count: size))
            }
        }
        let limit = 3 * BufferPool.bufferSize
        let fixture = try ProxyFixture(
            baseline: [server.port], traffic: TrafficRules(limits: TrafficLimits(buffer: limit)), loops: 2)
        // These clients do not read their responses.
        var slow: [RawClient] = []
        while settledBytes(fixture) < limit {
            try #require(slow.count < 16)
            slow.append(fixture.client())
            slow[slow.count - 1].send(Self.get)
        }
        let late = fixture.client()
        late.send(Self.get)
        #expect(late.receiveResponse().text.contains("\"too_much_buffered\""))
        for client in slow { client.reset() }
        _ = fixture.observations(slow.count)
        #expect(fixture.proxy.usage(of: "test").bytes == 0)
        late.send(Self.get)
        #expect(late.receive(until: "\r\n\r\n").hasPrefix("HTTP/1.1 200 "))
        #expect(late.receive(exactly: size).count == size)
        #expect(fixture.proxy.usage(of: "test").refusedBytes == 1)
    }

    @Test("limits may come and go while requests are under way")
    func changed() throws {
        let gate = Gate()
        let server = gate.server()
        let fixture = try ProxyFixture(baseline: [server.port])
        let before = fixture.client()
        before.send(Self.get)
        gate.wait(for: 1)
        fixture.plan.services[0].traffic.limits = TrafficLimits(connections: 1, requests: 1, buffer: 1 << 20)
        fixture.proxy.publish(fixture.plan)
        let counted = fixture.client()
        counted.send(Self.get)
        gate.wait(for: 2)
        #expect(fixture.exchange(Self.get).status == 503)
        fixture.plan.services[0].traffic.limits = TrafficLimits()
        fixture.proxy.publish(fixture.plan)
        gate.open()
        #expect(fixture.exchange(Self.get).status == 200)
        for client in [before, counted] { #expect(client.receiveResponse().status == 200) }
        before.send(Self.get)
        counted.send(Self.get)
        for client in [before, counted] { #expect(client.receiveResponse().status == 200) }
        _ = fixture.observations(5)
        counted.close()
        eventually { fixture.proxy.connectionCount <= 1 }
        let usage = fixture.proxy.usage(of: "test")
        #expect([usage.connections, usage.requests, usage.bytes] == [0, 0, 0])
    }
}
