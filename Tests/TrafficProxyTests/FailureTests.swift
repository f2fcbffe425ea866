import Analysis
import Glibc
import PolicyModel
import Synchronization
import TestSupport
import Testing

@testable import TrafficProxy

@Suite("Failing servers")
struct FailureTests {
    private static let get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    private static let post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"

    @Test("a server that refuses is skipped, and the others take its requests")
    func refusing() throws {
        let server = try NamedServer("a")
        let fixture = try ProxyFixture(baseline: [deadPort(), server.port, deadPort()])
        let client = fixture.client()
        for _ in 0..<20 {
            client.send(Self.post)
            #expect(client.receiveResponse().status == 200)
        }
        let batch = fixture.proxy.drain()
        #expect(batch.ended.allSatisfy { $0.outcome == .success })
        let states: [ServerState] = [.refusing, .healthy, .refusing]
        #expect(batch.health == [ArmHealth(slot: 7, arm: .baseline, servers: 3, reachable: 1, states: states)])
    }

    @Test("where none can be reached it is a 503 that says so, and the connection stays")
    func noneReachable() throws {
        let fixture = try ProxyFixture(baseline: [deadPort()])
        let client = fixture.client()
        for _ in 0..<3 {
            client.send(Self.get)
            let response = client.receiveResponse()
            #expect(response.status == 503)
            #expect(response["x-canary-version"] == "old")
            #expect(response["retry-after"] == "1")
            #expect(response.text.hasPrefix("{\"error\":{\"code\":\"connect_failed\",\"message\":\""))
        }
        #expect(fixture.observations(3).allSatisfy { $0.outcome == .connectFailure && $0.firstByte == .max })
    }

    @Test("a server that came back is used again")
    func comesBack() throws {
        let port = deadPort()
        let fixture = try ProxyFixture(baseline: [port])
        #expect(fixture.exchange(Self.get).status == 503)
        let server = try NamedServer("back", port: port)
        #expect(fixture.exchange(Self.get).text.hasPrefix("back "))
        #expect(fixture.proxy.drain().health.map(\.reachable) == [1])
        #expect(server.requests.count == 1)
    }

    @Test(
        "what is no HTTP/1.1 answer is a 502",
        arguments: [
            "garbage\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "HTTP/1.1 200 OK\nA: b\n\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 O", "HTTP/1.1 200 OK\r\nA: " + String(repeating: "a", count: 40_000),
            "HTTP/1.1 999 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        ])
    func garbage(reply: String) throws {
        let upstream = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            peer.send(reply)
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let response = fixture.exchange(Self.get)
        #expect(response.status == 502)
        #expect(response.isComplete)
        #expect(fixture.observations(1)[0].outcome == .truncated)
    }

    @Test("a server that closes without a word is a 502, and a new connection is not tried twice")
    func silent() throws {
        let upstream = ScriptedUpstream { peer, _ in _ = peer.receive(until: "\r\n\r\n") }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        #expect(fixture.exchange(Self.get).status == 502)
        #expect(upstream.accepted == 1)
        #expect(fixture.observations(1)[0].outcome == .connectFailure)
    }

    @Test("on a stale connection GET is sent again and POST is not")
    func stale() throws {
        // Answers the first request of a connection and closes on the second without a word.
        let upstream = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            peer.send(BodyTests.ok)
            _ = peer.receive(until: "\r\n\r\n")
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let client = fixture.client()
        client.send(Self.get)
        #expect(client.receiveResponse().status == 200)
        client.send(Self.get)
        #expect(client.receiveResponse().status == 200)
        #expect(upstream.accepted == 2)
        client.send(Self.post)
        #expect(client.receiveResponse().status == 502)
        #expect(upstream.accepted == 2)
        let outcomes = fixture.observations(3).map(\.outcome)
        #expect(outcomes == [.success, .success, .connectFailure])
    }

    @Test("a server that hangs is a 504 in its time, and one that stops in mid-answer is a cut")
    func hanging() throws {
        let release = Mutex(false)
        let upstream = ScriptedUpstream { peer, number in
            _ = peer.receive(until: "\r\n\r\n")
            if number == 1 { peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc") }
            while peer.receive() != nil {}
            release.withLock { $0 = true }
        }
        let traffic = TrafficRules(timeouts: Timeouts(response: .milliseconds(100)))
        let fixture = try ProxyFixture(baseline: [upstream.port], traffic: traffic)
        let response = fixture.exchange(Self.get)
        #expect(response.status == 504)
        #expect(response.text.contains("\"response_timeout\""))
        let cut = fixture.exchange(Self.get)
        #expect(cut.status == 200)
        #expect(!cut.isComplete)
        let seen = fixture.observations(2)
        #expect(seen.map(\.outcome) == [.timeout, .timeout])
        #expect(seen[0].total >= 100_000)
        #expect(seen[0].firstByte == .max)
        #expect(seen[1].firstByte < seen[1].total)
        while !release.withLock({ $0 }) { usleep(500) }
    }

    @Test("4xx and 5xx are told apart")
    func statuses() throws {
        for (status, outcome) in [(200, Outcome.success), (302, .success), (404, .clientError), (500, .serverError)] {
            let server = try NamedServer("a", status: status)
            let fixture = try ProxyFixture(baseline: [server.port])
            #expect(fixture.exchange(Self.get).status == status)
            #expect(fixture.observations(1)[0].outcome == outcome)
        }
    }
}

@Suite("Leaving clients")
struct LeavingTests {
    @Test("a client that leaves before the answer closes the upstream at once", arguments: [true, false])
    func leaves(reset: Bool) throws {
        let closed = Mutex(false)
        let got = Mutex(false)
        let upstream = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            got.withLock { $0 = true }
            _ = peer.receive()
            closed.withLock { $0 = true }
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let client = fixture.client()
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        while !got.withLock({ $0 }) { usleep(500) }
        #expect(fixture.proxy.drain().open.count == 1)
        if reset { client.reset() } else { client.close() }
        let seen = fixture.observations(1)[0]
        #expect(seen.outcome == .clientClosed)
        #expect(seen.firstByte == .max)
        while !closed.withLock({ $0 }) { usleep(500) }
        #expect(fixture.proxy.connectionCount == 0)
    }

    @Test("a client that leaves in mid-stream closes the upstream, even while it is not read for")
    func leavesStream() throws {
        let closed = Mutex(false)
        let upstream = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            let block = [UInt8](repeating: 0x61, count: 1 << 16)
            while peer.send(block) {}
            closed.withLock { $0 = true }
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let client = fixture.client()
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        _ = client.receive()
        client.close()
        #expect(fixture.observations(1)[0].outcome == .clientClosed)
        while !closed.withLock({ $0 }) { usleep(500) }
    }

    @Test("a slow reader holds the server back with two buffers at most")
    func backpressure() throws {
        let sent = Mutex(0)
        let upstream = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n")
            let block = [UInt8](repeating: 0x61, count: 1 << 16)
            for _ in 0..<1024 {
                guard peer.send(block) else { return }
                sent.withLock { $0 += block.count }
            }
            _ = peer.receive()
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let client = fixture.client()
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        _ = client.receive(until: "\r\n\r\n")
        // Until nothing moves any more: the kernel's buffers and ours are full.
        var last = -1
        while true {
            usleep(100_000)
            let now = sent.withLock { $0 }
            if now == last { break }
            last = now
        }
        #expect(last < 64 << 20)
        #expect(fixture.proxy.buffersInUse <= 2)
        let body = client.receive(exactly: 64 << 20)
        #expect(body.count == 64 << 20)
        #expect(fixture.observations(1)[0].outcome == .success)
    }

    @Test("connections that rest hold no buffer")
    func idle() throws {
        let server = try NamedServer("a")
        let fixture = try ProxyFixture(baseline: [server.port])
        let clients = (0..<50).map { _ in fixture.client() }
        for client in clients {
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(client.receiveResponse().status == 200)
        }
        _ = fixture.observations(50)
        #expect(fixture.proxy.connectionCount == 50)
        #expect(fixture.proxy.buffersInUse == 0)
    }
}
