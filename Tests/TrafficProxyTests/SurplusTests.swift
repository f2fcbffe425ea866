import Analysis
import Glibc
import HTTPEngine
import PolicyModel
import Synchronization
import TestSupport
import Testing

@testable import TrafficProxy

/// Servers that send more than was asked for. What they send beyond a response must not become another client's.
@Suite("Surplus responses", .timeLimit(.minutes(15)))
struct SurplusTests {
    private static let get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    private static let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"

    @Test("a second response that came before a connection was used again reaches nobody")
    func beforeReuse() throws {
        let surplus = Flag()
        let upstream = ScriptedUpstream { peer, number in
            while peer.receive(until: "\r\n\r\n") != "" {
                peer.send(BodyTests.ok)
                guard number == 0 else { continue }
                surplus.waitUntilWanted()
                peer.send(Self.evil)
                surplus.isThere()
            }
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let (first, victim) = (fixture.client(), fixture.client())
        // Both are known to the loop, so that what follows are events of connections that it has.
        for client in [first, victim] {
            client.send("GET / HTTP/1.1\r\n")
            eventually { fixture.proxy.buffersInUse != 0 }
            if client === first {
                client.send("Host: x\r\n\r\n")
                #expect(client.receiveResponse().text == "ok")
                eventually { fixture.proxy.buffersInUse == 0 }
            }
        }
        // While the loop is held the victim's request comes first and the surplus second: the loop learns of both at
        // once, and handles the request before it hears of the surplus.
        let held = HeldLoop(fixture.loop)
        victim.send("Host: x\r\n\r\n")
        surplus.want()
        held.release()
        #expect(victim.receiveResponse().text == "ok")
        #expect(upstream.accepted == 2)
        expectSurplus(1, fixture)
    }

    @Test("bytes that come while a connection rests close it at once")
    func whileIdle() throws {
        let closed = Flag()
        let upstream = ScriptedUpstream { peer, number in
            _ = peer.receive(until: "\r\n\r\n")
            peer.send(BodyTests.ok)
            if number == 0 {
                closed.waitUntilWanted()
                peer.send(Self.evil)
            }
            while peer.receive() != nil {}
            closed.isThere()
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let client = fixture.client()
        client.send(Self.get)
        #expect(client.receiveResponse().text == "ok")
        // Returns when the server has seen the connection end.
        closed.want()
        client.send(Self.get)
        #expect(client.receiveResponse().text == "ok")
        #expect(upstream.accepted == 2)
        expectSurplus(1, fixture)
    }

    @Test("the connection of a server that speaks before it was asked carries one request only")
    func outOfTurn() throws {
        let spoken = Flag()
        let upstream = ScriptedUpstream { peer, number in
            if number == 0 {
                // One response ahead from here on.
                peer.send(BodyTests.ok)
                spoken.isThere()
            }
            while peer.receive(until: "\r\n\r\n") != "" { peer.send(number == 0 ? Self.evil : BodyTests.ok) }
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let client = fixture.client()
        client.send("GET / HTTP/1.1\r\n")
        eventually { fixture.proxy.buffersInUse != 0 }
        // The first turn connects. The next is held until the server has spoken.
        let loop = fixture.loop
        let first = HeldLoop(loop)
        client.send("Host: x\r\n\r\n")
        let next = HeldLoop(loop, waitsForStart: false)
        first.release()
        next.waitForStart()
        spoken.wait()
        next.release()
        #expect(client.receiveResponse().text == "ok")
        client.send(Self.get)
        #expect(client.receiveResponse().text == "ok")
        #expect(upstream.accepted == 2)
        expectSurplus(1, fixture)
    }

    @Test("a second response in the packet of the first is counted; a server that closes is not")
    func inOnePacket() throws {
        let upstream = ScriptedUpstream { peer, number in
            _ = peer.receive(until: "\r\n\r\n")
            peer.send(number == 0 ? BodyTests.ok + Self.evil : BodyTests.ok)
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let client = fixture.client()
        for _ in 0..<3 {
            client.send(Self.get)
            #expect(client.receiveResponse().text == "ok")
            // The server closes its connection; what is idle goes.
            eventually { fixture.proxy.upstreamConnectionCount == 0 }
        }
        #expect(upstream.accepted == 3)
        expectSurplus(1, fixture)
    }

    /// Expects so many connections with surplus bytes, and no other failure.
    private func expectSurplus(_ count: UInt64, _ fixture: ProxyFixture) {
        let failures = fixture.proxy.drain().failures
        #expect(failures.map(\.reason) == ["surplus-bytes"])
        #expect(failures.map(\.count) == [count])
        #expect(failures.allSatisfy { $0.slot == 7 && $0.arm == .baseline && $0.stage == .afterResponse })
    }

    @Test(
        "a version whose connections are not reused gets a new one for each request, and is told so",
        arguments: Arm.allCases)
    func withoutReuse(arm: Arm) throws {
        let heads = Mutex<[String]>([])
        let upstream = ScriptedUpstream { peer, _ in
            let head = peer.receive(until: "\r\n\r\n")
            heads.withLock { $0.append(head) }
            peer.send(BodyTests.ok)
            peer.send(Self.evil)
            while peer.receive() != nil {}
        }
        let other = try NamedServer("other")
        let isBaseline = arm == .baseline
        let fixture = try ProxyFixture(
            baseline: [isBaseline ? upstream.port : other.port], candidate: [isBaseline ? other.port : upstream.port])
        if isBaseline {
            fixture.plan.services[0].baseline.upstream.reuse = false
        } else {
            fixture.plan.services[0].candidate?.upstream.reuse = false
        }
        fixture.setWeight(isBaseline ? 0 : 10_000)
        let client = fixture.client()
        for _ in 0..<3 {
            client.send(Self.get)
            let response = client.receiveResponse()
            #expect(response.text == "ok")
            // That concerns the server alone.
            #expect(response["connection"] == nil)
        }
        #expect(upstream.accepted == 3)
        #expect(heads.withLock { $0.allSatisfy { $0.contains("\r\nconnection: close\r\n") } })
        #expect(fixture.proxy.upstreamConnectionCount == 0)
        fixture.setWeight(isBaseline ? 10_000 : 0)
        for _ in 0..<2 {
            client.send(Self.get)
            #expect(client.receiveResponse().text.hasPrefix("other"))
        }
        #expect(other.requests.allSatisfy { $0.headers["connection"] == nil })
        #expect(fixture.proxy.upstreamConnectionCount == 1)
    }
}

/// Something that a test wants of a server's thread, and that it waits for; all waits are bounded in time.
private final class Flag: Sendable {
    private let wanted = Atomic<Bool>(false)
    private let done = Atomic<Bool>(false)

    func waitUntilWanted() { eventually { wanted.load(ordering: .acquiring) } }

    func isThere() { done.store(true, ordering: .releasing) }

    func want() {
        wanted.store(true, ordering: .releasing)
        wait()
    }

    func wait() { #expect(eventually { done.load(ordering: .acquiring) }) }
}

extension ProxyFixture {
    /// The only loop of a proxy with one.
    fileprivate var loop: EventLoop { proxy.onLoops { $0.loop }[0] }
}

/// Keeps a proxy's only loop from handling events until it is released.
private final class HeldLoop: Sendable {
    private let started = Atomic<Bool>(false)
    private let released = Atomic<Bool>(false)

    init(_ loop: EventLoop, waitsForStart: Bool = true) {
        loop.post { [self] in
            started.store(true, ordering: .releasing)
            eventually { released.load(ordering: .acquiring) }
        }
        if waitsForStart { waitForStart() }
    }

    func waitForStart() { #expect(eventually { started.load(ordering: .acquiring) }) }

    func release() { released.store(true, ordering: .releasing) }
}
