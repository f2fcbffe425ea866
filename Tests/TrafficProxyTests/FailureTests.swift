import Analysis
import Glibc
import PolicyModel
import Synchronization
import TestSupport
import Testing

@testable import TrafficProxy

@Suite("Failing servers", .timeLimit(.minutes(15)))
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
            #expect(response["x-canary-error"] == "connect-failed")
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
        "what is no HTTP/1.1 answer is a 502 that says why",
        arguments: [
            ("garbage\r\n\r\n", "response-malformed-version"),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                "response-length-and-chunked"
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
                "response-two-content-lengths"
            ),
            ("HTTP/1.1 200 OK\nA: b\n\n", "response-line-without-crlf"),
            ("HTTP/1.1 200 OK\r\nA: b\nContent-Length: 2\r\n\r\nab", "response-line-without-crlf"),
            ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "response-folded-field"),
            ("HTTP/1.1 200 OK\r\nA b: c\r\n\r\n", "response-invalid-field-name"),
            ("HTTP/2.0 200 OK\r\n\r\n", "response-unsupported-version"),
            ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "response-unexpected-101"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "response-unknown-transfer-encoding"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                "response-chunked-twice"
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nab",
                "response-identity-transfer-encoding"
            ),
            ("HTTP/1.1 200 O", "upstream-closed"),
            ("HTTP/1.1 200 OK\r\nA: " + String(repeating: "a", count: 40_000), "response-head-too-large"),
            ("HTTP/1.1 999 OK\r\n\r\n", "response-malformed-status-line"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "response-broken-chunks"),
        ])
    func garbage(reply: String, reason: String) throws {
        let upstream = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            peer.send(reply)
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let response = fixture.exchange(Self.get)
        #expect(response.status == 502)
        #expect(response.isComplete)
        #expect(response.all("x-canary-error") == [reason])
        #expect(fixture.observations(1)[0].outcome == .truncated)
        #expect(fixture.failures.map(\.reason) == [reason])
        #expect(fixture.failures.map(\.count) == [1])
        #expect(fixture.failures.allSatisfy { $0.slot == 7 && $0.arm == .baseline && !$0.message.isEmpty })
    }

    @Test(
        "what the RFCs let a proxy repair in a response is repaired",
        arguments: [
            "Content-Length: 2\r\nContent-Length: 2", "Content-Length: 2, 2", "Content-Length : 2\r\nX-A \t: b",
        ])
    func repaired(fields: String) throws {
        let upstream = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            peer.send("HTTP/1.1 200 OK\r\n\(fields)\r\n\r\nab")
            _ = peer.receive()
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let response = fixture.exchange(Self.get)
        #expect(response.status == 200)
        #expect(response.all("content-length") == ["2"])
        #expect(!response.head.contains(" :") && !response.head.contains("\t"))
        #expect(response.text == "ab")
    }

    @Test("a response that is cut has its reason counted, and the client sees no whole one")
    func cut() throws {
        for (reply, reason) in [
            ("Content-Length: 10\r\n\r\nabc", "response-incomplete"),
            ("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nx", "response-broken-chunks"),
        ] {
            let upstream = ScriptedUpstream { peer, _ in
                _ = peer.receive(until: "\r\n\r\n")
                peer.send("HTTP/1.1 200 OK\r\n\(reply.prefix { $0 != "x" })")
                // The head goes out before the fault comes.
                usleep(100_000)
                peer.send("\(reply.drop { $0 != "x" })")
            }
            let fixture = try ProxyFixture(baseline: [upstream.port])
            #expect(!fixture.exchange(Self.get).isComplete)
            #expect(fixture.observations(1)[0].outcome == .truncated)
            #expect(fixture.failures.map(\.reason) == [reason])
        }
    }

    @Test("a server's own x-canary-error does not reach the client")
    func ownError() throws {
        let upstream = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            peer.send("HTTP/1.1 200 OK\r\nX-Canary-Error: made-up\r\nX_Canary_Error: x\r\nContent-Length: 0\r\n\r\n")
            _ = peer.receive()
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let response = fixture.exchange(Self.get)
        #expect(response.status == 200)
        #expect(response.all("x-canary-error").isEmpty)
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
        #expect(response["x-canary-error"] == "response-timeout")
        let cut = fixture.exchange(Self.get)
        #expect(cut.status == 200)
        #expect(!cut.isComplete)
        let seen = fixture.observations(2)
        #expect(seen.map(\.outcome) == [.timeout, .timeout])
        #expect(seen[0].total >= 100_000)
        #expect(seen[0].firstByte == .max)
        #expect(seen[1].firstByte < seen[1].total)
        eventually { release.withLock({ $0 }) }
    }

    @Test("4xx and 5xx are told apart")
    func statuses() throws {
        for (status, outcome) in [(200, Outcome.success), (302, .success), (404, .clientError), (500, .serverError)] {
            let server = try NamedServer("a", status: status)
            let fixture = try ProxyFixture(baseline: [server.port])
            #expect(fixture.exchange(Self.get).status == status)
            let seen = fixture.observations(1)[0]
            #expect(seen.outcome == outcome && seen.status == status)
        }
    }
}

@Suite("Leaving clients", .timeLimit(.minutes(15)))
struct LeavingTests {
    /// Whoever ends its side after its request has left.
    private static var noHalfClose: ProxyLimits {
        var limits = ProxyLimits()
        limits.halfCloseWindow = .zero
        return limits
    }

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
        let fixture = try ProxyFixture(baseline: [upstream.port], limits: Self.noHalfClose)
        let client = fixture.client()
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually { got.withLock({ $0 }) }
        #expect(fixture.proxy.drain().open.count == 1)
        if reset { client.reset() } else { client.close() }
        let seen = fixture.observations(1)[0]
        #expect(seen.outcome == .clientClosed)
        #expect(seen.firstByte == .max)
        eventually { closed.withLock({ $0 }) }
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
        eventually { closed.withLock({ $0 }) }
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

    @Test("a client that sends nothing more gets the response to all that it sent", arguments: [1, 200_000])
    func halfClosed(bodySize: Int) throws {
        let go = Mutex(false)
        let upstream = ScriptedUpstream { peer, _ in
            for number in 0..<2 {
                let head = peer.receive(until: "\r\n\r\n")
                let length = head.contains("content-length") ? bodySize : 0
                let body = peer.receive(exactly: length)
                eventually { number != 0 || go.withLock({ $0 }) }
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n\(String("\(body.count)      ".prefix(6)))")
            }
            _ = peer.receive()
        }
        var limits = ProxyLimits()
        limits.halfCloseWindow = .seconds(3600)
        let fixture = try ProxyFixture(baseline: [upstream.port], limits: limits)
        let client = fixture.client()
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \(bodySize)\r\n\r\n")
        client.send([UInt8](repeating: 0x61, count: bodySize))
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        client.finishWriting()
        // The end of input has been seen before the response is there, or right after it: both are well.
        usleep(20_000)
        go.withLock { $0 = true }
        #expect(client.receiveResponse().text == String("\(bodySize)      ".prefix(6)))
        let last = client.receiveResponse()
        #expect(last.text == "0     ")
        #expect(last["connection"] == "close")
        #expect(client.receiveAll() == "")
        #expect(fixture.observations(2).map(\.outcome) == [.success, .success])
        #expect(fixture.proxy.connectionCount == 0)
    }

    @Test("half a request is none: a client that ends there has left", arguments: ["", "GET / HT", "POST"])
    func halfRequest(rest: String) throws {
        let server = try NamedServer("a")
        let fixture = try ProxyFixture(baseline: [server.port])
        let client = fixture.client()
        let body = rest == "POST" ? " / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc" : ""
        client.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n" + rest + body)
        client.finishWriting()
        #expect(client.receiveResponse().text == "a GET /a ")
        #expect(client.receiveAll() == "")
        let seen = fixture.observations(rest == "POST" ? 2 : 1)
        #expect(seen.map(\.outcome) == (rest == "POST" ? [.success, .clientClosed] : [.success]))
        #expect(server.requests.count == 1)
    }

    @Test("refused requests and those that no service takes reach a client that sends nothing more, too")
    func halfClosedRefusals() throws {
        let server = try NamedServer("a")
        let fixture = try ProxyFixture(baseline: [server.port], route: Route(path: "/v2"))
        for (request, status, reason) in [
            ("GET / HTTP/1.1\r\n\r\n", 400, "request-no-host"),
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404, "no-service"),
            ("CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n", 501, "request-connect"),
        ] {
            let client = fixture.client()
            client.send(request)
            client.finishWriting()
            let response = client.receiveResponse()
            #expect(response.status == status)
            #expect(response["x-canary-error"] == reason)
            #expect(client.receiveAll() == "")
        }
    }

    @Test("connections that wait for a request head give way to new ones, and busy ones never do")
    func givingWay() throws {
        let server = try NamedServer("a")
        var limits = ProxyLimits()
        limits.maxConnections = 4
        limits.giveWayAfter = .zero
        limits.headTimeout = .seconds(3600)
        let hanging = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            if peer.receive(until: "never").isEmpty { return }
        }
        let fixture = try ProxyFixture(
            baseline: [server.port], candidate: [hanging.port],
            traffic: TrafficRules(match: [HeaderMatch(header: "a", equals: "b", to: .candidate)]), limits: limits)
        let busy = fixture.client()
        busy.send("GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n")
        eventually { hanging.accepted != 0 }
        let silent = (0..<20).map { _ in fixture.client() }
        for client in silent.suffix(10) { client.send("GET /dripping HTTP/1.1\r\nHost:") }
        let client = fixture.client()
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(client.receiveResponse().status == 200)
        #expect(fixture.proxy.connectionCount <= 4)
        #expect(fixture.proxy.displacedConnectionCount == 18)
        #expect(fixture.proxy.drain().open.count == 0)
        #expect(hanging.accepted == 1)
        // The busy one is still open: nothing comes, not even an end.
        var byte: UInt8 = 0
        #expect(recv(busy.descriptor, &byte, 1, Int32(MSG_DONTWAIT)) == -1)
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
