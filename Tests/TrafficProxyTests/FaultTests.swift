import Analysis
import Glibc
import HTTPEngine
import PolicyModel
import Synchronization
import TestSupport
import Testing

@testable import TrafficProxy

/// Short versions of the faults of scripts/test --faults, which runs for minutes and measures.
@Suite("Faults in small", .timeLimit(.minutes(15)))
struct FaultTests {
    private static let get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    private static let post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"

    @Test(
        "a candidate that dies in mid-response never gives a clean reply, and its POSTs go out once",
        arguments: ["content-length: 6\r\n\r\n", "transfer-encoding: chunked\r\n\r\n6\r\n"], [true, false])
    func killed(framing: String, reset: Bool) throws {
        let requests = Mutex(0)
        let candidate = ScriptedUpstream { peer, _ in
            guard peer.receive(until: "body") != "" else { return }
            requests.withLock { $0 += 1 }
            peer.send("HTTP/1.1 200 OK\r\n\(framing)abc")
            // And then nothing: the closed descriptor's number may be another connection's by now.
            if reset { peer.reset() } else { peer.close() }
        }
        let old = try NamedServer("old")
        let fixture = try ProxyFixture(baseline: [old.port], candidate: [candidate.port], weight: 5_000)
        var cut = 0
        for _ in 0..<60 {
            let response = fixture.exchange(Self.post)
            if response["x-canary-version"] == "old" {
                #expect(response.status == 200 && response.isComplete)
            } else {
                #expect(response.status == 502 || !response.isComplete)
                cut += 1
            }
        }
        #expect(requests.withLock { $0 } == cut)
        #expect(cut > 0)
    }

    @Test("a candidate that resets every connection costs the baseline nothing")
    func resets() throws {
        let candidate = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            peer.reset()
        }
        let old = try NamedServer("old")
        let fixture = try ProxyFixture(baseline: [old.port], candidate: [candidate.port], weight: 5_000)
        let client = fixture.client()
        for _ in 0..<60 {
            client.send(Self.get)
            let response = client.receiveResponse()
            #expect(response.status == (response["x-canary-version"] == "old" ? 200 : 502))
        }
    }

    @Test("a long body is streamed through two buffers")
    func streamed() throws {
        let total = 64 << 20
        let taken = Mutex(0)
        let upstream = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            var rest = total
            while rest > 0 {
                let count = peer.receive(exactly: min(rest, 1 << 20)).count
                guard count > 0 else { return }
                rest -= count
                taken.withLock { $0 += count }
            }
            peer.send(BodyTests.ok)
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let client = fixture.client()
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \(total)\r\n\r\n")
        let block = [UInt8](repeating: 0x61, count: 1 << 20)
        for _ in 0..<64 {
            #expect(client.send(block))
            #expect(fixture.proxy.buffersInUse <= 2)
        }
        #expect(client.receiveResponse().status == 200)
        #expect(taken.withLock { $0 } == total)
    }

    @Test("new connections leave nothing behind, however they end")
    func newConnections() throws {
        let server = try NamedServer("a")
        let fixture = try ProxyFixture(baseline: [server.port], loops: 2)
        for number in 0..<600 {
            let client = fixture.client()
            client.send(number % 3 == 0 ? "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" : Self.get)
            #expect(client.receiveResponse().status == 200)
            if number % 3 == 1 { client.reset() } else { client.close() }
        }
        eventually { fixture.proxy.connectionCount == 0 }
        #expect(fixture.proxy.buffersInUse == 0)
        #expect(fixture.proxy.upstreamConnectionCount <= 2)
    }

    @Test("clients beyond the limit wait, and are served when there is room")
    func waiting() throws {
        let server = try NamedServer("a")
        var limits = ProxyLimits()
        limits.maxConnections = 4
        let fixture = try ProxyFixture(baseline: [server.port], limits: limits)
        let served = (0..<4).map { _ in fixture.client() }
        for client in served {
            client.send(Self.get)
            #expect(client.receiveResponse().status == 200)
        }
        let waiting = (0..<20).map { _ in fixture.client() }
        for client in waiting { client.send(Self.get) }
        #expect(fixture.proxy.connectionCount == 4)
        for client in served { client.close() }
        for client in waiting {
            #expect(client.receiveResponse().status == 200)
            client.close()
        }
    }

    @Test("an idle connection to one server makes room for a new one to another")
    func roomUpstream() throws {
        let old = try NamedServer("old")
        let new = try NamedServer("new")
        var limits = ProxyLimits()
        limits.maxUpstreams = 1
        let fixture = try ProxyFixture(baseline: [old.port], candidate: [new.port], weight: 0, limits: limits)
        let client = fixture.client()
        for number in 0..<10 {
            fixture.setWeight(number % 2 == 0 ? 0 : 10_000)
            client.send(Self.get)
            #expect(client.receiveResponse()["x-canary-version"] == (number % 2 == 0 ? "old" : "new"))
            #expect(fixture.proxy.upstreamConnectionCount == 1)
        }
    }

    @Test(
        "clients and servers share the descriptors, and some are left for the admin API",
        arguments: [
            (256, 2, 48), (1_024, 2, 192), (1_024, 1, 384), (65_536, 2, 16_320), (1 << 20, 2, 20_000), (4, 8, 1),
        ])
    func budget(descriptors: Int, loops: Int, each: Int) {
        let limits = ProxyLimits().fitting(descriptors: descriptors, loops: loops)
        #expect(limits.maxConnections == each)
        #expect(limits.maxUpstreams == each)
        #expect(descriptors < 16 || 2 * each * loops + min(descriptors / 4, 256) <= descriptors)
    }
}
