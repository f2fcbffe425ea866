import Analysis
import Glibc
import PolicyModel
import Synchronization
import TestSupport
import Testing

@testable import TrafficProxy

@Suite("Tunnels", .timeLimit(.minutes(15)))
struct TunnelTests {
    static let upgrade =
        "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
        + "Sec-WebSocket-Key: a2V5\r\n\r\n"
    static let switched =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        + "Sec-WebSocket-Accept: YQ==\r\n\r\n"

    /// Switches, and says back what it hears until the client ends.
    private func echo(_ name: String = "") -> ScriptedUpstream {
        ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            peer.send(Self.switched + name)
            while let bytes = peer.receive() { peer.send(bytes) }
        }
    }

    @Test("a WebSocket goes through: the head both ways, then bytes as they are, then the ends")
    func tunnel() throws {
        let heads = Mutex("")
        let upstream = ScriptedUpstream { peer, _ in
            let head = peer.receive(until: "\r\n\r\n")
            heads.withLock { $0 = head }
            peer.send(Self.switched + "hello")
            #expect(peer.receive(exactly: 7) == Array("GET \r\n\0".utf8))
            #expect(peer.receive() == nil)
            // The client has ended; the server has not.
            peer.send("still here")
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let client = fixture.client()
        client.send(Self.upgrade)
        let response = RawResponse(head: client.receive(until: "\r\n\r\n"))
        #expect(response.status == 101)
        #expect(response["upgrade"] == "websocket" && response["connection"] == "upgrade")
        #expect(response["sec-websocket-accept"] == "YQ==" && response["x-canary-version"] == "old")
        #expect(response["x-request-id"] != nil && response["content-length"] == nil)
        #expect(client.receive(exactly: 5) == Array("hello".utf8))
        let head = heads.withLock { $0 }
        #expect(head.contains("\r\nconnection: upgrade\r\nupgrade: websocket\r\n"))
        #expect(head.contains("\r\nSec-WebSocket-Key: a2V5\r\n"))
        #expect(fixture.proxy.tunnelCount == 1 && fixture.proxy.connectionCount == 1)
        client.send("GET \r\n\0")
        client.finishWriting()
        #expect(client.receiveAll() == "still here")
        eventually { fixture.proxy.connectionCount == 0 && fixture.proxy.upstreamConnectionCount == 0 }
        #expect(fixture.proxy.tunnelCount == 0 && fixture.proxy.buffersInUse == 0)
    }

    @Test("the observation is of the request, up to the 101, and comes while the tunnel stands")
    func observation() throws {
        let upstream = echo()
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let client = fixture.client()
        client.send(Self.upgrade)
        _ = client.receive(until: "\r\n\r\n")
        let seen = fixture.observations(1)[0]
        #expect(seen.outcome == .success && seen.firstByte <= seen.total)
        #expect(fixture.proxy.drain().open.isEmpty)
        client.close()
        eventually { fixture.proxy.connectionCount == 0 }
        #expect(fixture.proxy.drain().ended.isEmpty)
    }

    @Test("what the client sends along with its request is held until the server has switched")
    func early() throws {
        let upstream = echo()
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let client = fixture.client()
        client.send(Self.upgrade + "early")
        _ = client.receive(until: "\r\n\r\n")
        #expect(client.receive(exactly: 5) == Array("early".utf8))
    }

    @Test("a server that does not switch gives a normal answer, and the connection goes on")
    func refused() throws {
        let upstream = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            peer.send("HTTP/1.1 403 Forbidden\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nno")
            _ = peer.receive(until: "\r\n\r\n")
            peer.send(BodyTests.ok)
            _ = peer.receive()
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let client = fixture.client()
        // A server that refuses must not make the proxy take the next request for the tunnel's.
        client.send(Self.upgrade + "GET /next HTTP/1.1\r\nHost: x\r\n\r\n")
        let response = client.receiveResponse()
        #expect(response.status == 403 && response.text == "no" && response["upgrade"] == nil)
        #expect(client.receiveResponse().text == "ok")
        #expect(fixture.observations(2).map(\.outcome) == [.clientError, .success])
    }

    @Test(
        "a 101 that nobody asked for, or to another protocol, is no answer",
        arguments: [
            ("", switched), (upgrade, "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"),
            (upgrade, "HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n"), (upgrade, "HTTP/1.1 101 S\r\n\r\n"),
            (upgrade, "HTTP/1.0 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
        ])
    func unasked(request: String, reply: String) throws {
        let upstream = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            peer.send(reply + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            _ = peer.receive()
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let response = fixture.exchange(request.isEmpty ? "GET / HTTP/1.1\r\nHost: x\r\n\r\n" : request)
        #expect(response.status == 502)
        #expect(fixture.observations(1)[0].outcome == .truncated)
    }

    @Test(
        "no other wish to switch reaches a server, and the request is answered as it would be without it",
        arguments: [
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket, h2c\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nhi",
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "0\r\n\r\n",
        ])
    func ignored(request: String) throws {
        let heads = Mutex("")
        let upstream = ScriptedUpstream { peer, _ in
            let head = peer.receive(until: "\r\n\r\n")
            heads.withLock { $0 = head }
            peer.send(BodyTests.ok)
            _ = peer.receive()
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        #expect(fixture.exchange(request).text == "ok")
        let head = heads.withLock { $0 }.lowercased()
        #expect(!head.contains("upgrade") && !head.contains("http2-settings"))
    }

    @Test("a WebSocket that the candidate refuses to make is made by the baseline, and counts once")
    func rescued() throws {
        let old = echo("old")
        let new = try NamedServer("new", status: 500)
        let fixture = try ProxyFixture(
            baseline: [old.port], candidate: [new.port], weight: 10_000, traffic: TrafficRules(rescue: Rescue()))
        let client = fixture.client()
        client.send(Self.upgrade)
        #expect(client.receive(until: "\r\n\r\n").contains(" 101 "))
        #expect(client.receive(exactly: 3) == Array("old".utf8))
        client.close()
        eventually { fixture.proxy.tunnelCount == 0 && fixture.proxy.connectionCount == 0 }
        let seen = fixture.observations(1)
        #expect(seen.map(\.outcome) == [.serverError] && seen.map(\.arm) == [.candidate])
        #expect(fixture.proxy.drain().ended.isEmpty)
    }

    @Test("CONNECT makes no tunnel")
    func connectMethod() throws {
        let upstream = echo()
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let response = fixture.exchange("CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n")
        #expect(response.status == 501 && response["connection"] == "close")
        #expect(upstream.accepted == 0)
    }

    @Test("a tunnel stays on its arm when the split changes, and the next one goes to the new")
    func pinned() throws {
        let old = echo("old")
        let new = echo("new")
        let fixture = try ProxyFixture(baseline: [old.port], candidate: [new.port])
        let first = fixture.client()
        first.send(Self.upgrade)
        _ = first.receive(until: "\r\n\r\n")
        fixture.setWeight(10_000)
        let second = fixture.client()
        second.send(Self.upgrade)
        _ = second.receive(until: "\r\n\r\n")
        fixture.plan.services[0].candidate = nil
        fixture.plan.services[0].baseline = fixture.plan.services[0].baseline
        fixture.proxy.publish(fixture.plan)
        for (client, name) in [(first, "old"), (second, "new")] {
            #expect(client.receive(exactly: 3) == Array(name.utf8))
            client.send("ping")
            #expect(client.receive(exactly: 4) == Array("ping".utf8))
        }
        #expect(fixture.proxy.tunnelCount == 2)
    }

    @Test("megabytes go both ways at once, through readers that rest, and nothing is lost")
    func bulk() throws {
        let upstream = echo()
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let client = fixture.client()
        client.send(Self.upgrade)
        _ = client.receive(until: "\r\n\r\n")
        // An odd length, so that a piece that is lost or twice there shifts all that follows.
        let block = (0..<65_521).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        spawn {
            for _ in 0..<128 { client.send(block) }
            client.finishWriting()
        }
        // Nobody reads: both buffers fill, and no more than they are held.
        usleep(100_000)
        #expect(fixture.proxy.buffersInUse <= 3)
        var same = 0
        while client.receive(exactly: block.count) == block { same += 1 }
        #expect(same == 128)
        #expect(client.receive() == nil)
        eventually { fixture.proxy.tunnelCount == 0 }
    }

    @Test("a reset on one side is a reset on the other")
    func reset() throws {
        let broken = Mutex<Int32>(0)
        let upstream = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            peer.send(Self.switched)
            var byte: UInt8 = 0
            let n = recv(peer.descriptor, &byte, 1, 0)
            broken.withLock { $0 = n < 0 ? errno : -1 }
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let client = fixture.client()
        client.send(Self.upgrade)
        _ = client.receive(until: "\r\n\r\n")
        client.reset()
        eventually { broken.withLock { $0 } != 0 }
        #expect(broken.withLock { $0 } == ECONNRESET)
        eventually { fixture.proxy.tunnelCount == 0 }
    }

    @Test("a tunnel in which nothing moves is ended, one in which something does is not")
    func idle() throws {
        let upstream = echo()
        let traffic = TrafficRules(timeouts: Timeouts(idle: .milliseconds(300)))
        let fixture = try ProxyFixture(baseline: [upstream.port], traffic: traffic)
        let client = fixture.client()
        client.send(Self.upgrade)
        _ = client.receive(until: "\r\n\r\n")
        for _ in 0..<12 {
            client.send("x")
            #expect(client.receive(exactly: 1).count == 1)
            usleep(50_000)
        }
        #expect(client.receive() == nil)
        eventually { fixture.proxy.upstreamConnectionCount == 0 }
    }

    @Test("a tunnel lives on while the agent stops, until the grace is over")
    func drained() throws {
        let upstream = echo()
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let client = fixture.client()
        client.send(Self.upgrade)
        _ = client.receive(until: "\r\n\r\n")
        fixture.proxy.beginShutdown {}
        client.send("ping")
        #expect(client.receive(exactly: 4) == Array("ping".utf8))
        fixture.proxy.shutdown(grace: .milliseconds(50))
        #expect(client.receive() == nil)
    }

    @Test("ends that both sides make at once leave no connection behind and no loop turning")
    func ends() throws {
        let upstream = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            peer.send(Self.switched)
            peer.finishWriting()
            while peer.receive() != nil {}
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        for _ in 0..<50 {
            let client = fixture.client()
            client.send(Self.upgrade)
            #expect(client.receive(until: "\r\n\r\n").contains(" 101 "))
            // The server has ended, the client has not: it can still speak.
            #expect(client.receive() == nil)
            client.send("last words")
            client.close()
        }
        eventually { fixture.proxy.connectionCount == 0 && fixture.proxy.upstreamConnectionCount == 0 }
        #expect(fixture.proxy.buffersInUse == 0)
    }
}
