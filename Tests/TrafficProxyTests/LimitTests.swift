import Analysis
import Glibc
import HTTPEngine
import PolicyModel
import Synchronization
import TestSupport
import Testing

@testable import TrafficProxy

@Suite("Limits and refusals", .timeLimit(.minutes(15)))
struct LimitTests {
    @Test(
        "what cannot be served is refused, and nothing that follows it on the connection is served",
        arguments: [
            ("GET /" + String(repeating: "a", count: 1 << 16), 414),
            ("GET / HTTP/1.1\r\nHost: x\r\nA: " + String(repeating: "a", count: 1 << 16), 431),
            ("GET / HTTP/1.1\r\nHost: x\r\n" + String(repeating: "a: b\r\n", count: 128) + "\r\n", 431),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505), ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: u@x\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\na", 400),
            ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501), ("GET / HTTP/1.1\n", 400),
            ("CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n", 501), ("\u{16}\u{3}\u{1}\u{2}", 400), ("GET /\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: miracles\r\n\r\n", 417),
        ])
    func refusals(bytes: String, status: Int) throws {
        let server = try NamedServer("a")
        let fixture = try ProxyFixture(baseline: [server.port])
        let client = fixture.client()
        client.send(bytes)
        client.send("GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
        let response = client.receiveResponse()
        #expect(response.status == status)
        #expect(response["connection"] == "close")
        #expect(response["x-canary-error"]?.hasPrefix("request-") == true)
        #expect(client.receiveAll() == "")
        #expect(server.requests.isEmpty)
    }

    @Test("a head that drips is cut at its deadline, and an idle connection at its own")
    func slowHead() throws {
        let server = try NamedServer("a")
        var limits = ProxyLimits()
        limits.headTimeout = .milliseconds(100)
        let fixture = try ProxyFixture(
            baseline: [server.port], traffic: TrafficRules(timeouts: Timeouts(idle: .milliseconds(100))), limits: limits
        )
        let dripping = fixture.client()
        dripping.send("GET / HT")
        let response = dripping.receiveResponse()
        #expect(response.status == 408)
        #expect(response["x-canary-error"] == "request-timeout")
        let idle = fixture.client()
        #expect(idle.receiveAll() == "")
        let kept = fixture.client()
        kept.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(kept.receiveResponse().status == 200)
        #expect(kept.receiveAll() == "")
    }

    @Test("a body that drips is a 408 and not the server's fault")
    func slowBody() throws {
        let server = try NamedServer("a")
        var limits = ProxyLimits()
        limits.bodyGrace = .milliseconds(100)
        let fixture = try ProxyFixture(baseline: [server.port], limits: limits)
        let response = fixture.exchange("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        #expect(response.status == 408)
        #expect(response["x-canary-error"] == "request-body-timeout")
        #expect(fixture.observations(1)[0].outcome == .clientTimeout)
    }

    @Test("a full observation log counts what it drops")
    func fullLog() {
        var log = ObservationLog()
        let one = Observation(
            slot: 1, arm: .baseline, outcome: .success, flags: [], place: 0, startedAt: 1, requestHash: 1, firstByte: 1,
            total: 1)
        for _ in 0..<ObservationLog.capacity + 5 { log.append(one) }
        let (entries, dropped) = log.swap()
        #expect(entries.count == ObservationLog.capacity)
        #expect(dropped == 5)
        log.append(one)
        let next = log.swap()
        #expect(next.entries.count == 1)
        #expect(next.dropped == 0)
        log.deallocate()
    }
}

@Suite("Publishing", .timeLimit(.minutes(15)))
struct PublishTests {
    @Test("a thousand changes of weight under load fail no request and lose no observation")
    func underLoad() throws {
        let old = try NamedServer("old")
        let new = try NamedServer("new")
        let fixture = try ProxyFixture(baseline: [old.port], candidate: [new.port], weight: 5000, loops: 2)
        let port = fixture.port
        final class Counters: Sendable {
            let failed = Atomic<Int>(0)
            let sent = Atomic<Int>(0)
            let stopped = Atomic<Int>(0)
            let stop = Atomic<Bool>(false)
        }
        let counters = Counters()
        for _ in 0..<4 {
            spawn {
                let client = RawClient(port: port)
                while !counters.stop.load(ordering: .relaxed) {
                    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
                    counters.sent.add(1, ordering: .relaxed)
                    if client.receiveResponse().status != 200 { counters.failed.add(1, ordering: .relaxed) }
                }
                counters.stopped.add(1, ordering: .relaxed)
            }
        }
        var ended = 0
        for i in 0..<1000 {
            fixture.setWeight(i * 7919 % 10_001)
            if i % 100 == 0 { ended += fixture.proxy.drain().ended.count }
        }
        counters.stop.store(true, ordering: .relaxed)
        eventually { counters.stopped.load(ordering: .relaxed) >= 4 }
        let sent = counters.sent.load(ordering: .relaxed)
        eventually("each request has an observation") {
            ended += fixture.proxy.drain().ended.count
            return ended >= sent
        }
        #expect(counters.failed.load(ordering: .relaxed) == 0)
        #expect(ended == sent)
        #expect(sent > 0)
    }

    @Test("after a revert was published no request goes to the candidate any more")
    func revert() throws {
        let old = try NamedServer("old")
        let new = try NamedServer("new")
        let fixture = try ProxyFixture(baseline: [old.port], candidate: [new.port], weight: 10_000)
        let client = fixture.client()
        for _ in 0..<50 {
            fixture.setWeight(10_000)
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(client.receiveResponse()["x-canary-version"] == "new")
            fixture.setWeight(0)
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(client.receiveResponse()["x-canary-version"] == "old")
        }
    }

    @Test("a request under way finishes as it began, under its own slot, though its version is gone from the plan")
    func inFlight() throws {
        let go = Mutex(false)
        let got = Mutex(false)
        let upstream = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            got.withLock { $0 = true }
            eventually { go.withLock({ $0 }) }
            peer.send(BodyTests.ok)
            _ = peer.receive()
        }
        let old = try NamedServer("old")
        let fixture = try ProxyFixture(baseline: [old.port], candidate: [upstream.port], weight: 10_000)
        let client = fixture.client()
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually { got.withLock({ $0 }) }
        fixture.plan.services[0].candidate = nil
        fixture.plan.services[0].slot = 8
        fixture.proxy.publish(fixture.plan)
        go.withLock { $0 = true }
        let response = client.receiveResponse()
        #expect(response.text == "ok")
        #expect(response["x-canary-version"] == "new")
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(client.receiveResponse()["x-canary-version"] == "old")
        #expect(fixture.observations(2).map(\.slot) == [7, 8])
    }

    @Test("a shutdown lets requests finish within the grace period, with `connection: close`")
    func shutdown() throws {
        let go = Mutex(false)
        let got = Mutex(false)
        let upstream = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            got.withLock { $0 = true }
            eventually { go.withLock({ $0 }) }
            peer.send(BodyTests.ok)
            _ = peer.receive()
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let idle = fixture.client()
        let client = fixture.client()
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually { got.withLock({ $0 }) }
        let proxy = fixture.proxy
        final class Box: Sendable {
            let batch = Mutex<ObservationBatch?>(nil)
        }
        let box = Box()
        spawn {
            let last = proxy.shutdown(grace: .seconds(30))
            box.batch.withLock { $0 = last }
        }
        #expect(idle.receiveAll() == "")
        go.withLock { $0 = true }
        let response = client.receiveResponse()
        #expect(response.text == "ok")
        #expect(response["connection"] == "close")
        client.close()
        eventually { box.batch.withLock({ $0 != nil }) }
        #expect(box.batch.withLock { $0?.ended.map(\.outcome) } == [.success])
    }
}
