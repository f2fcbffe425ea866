import Analysis
import Glibc
import PolicyModel
import Synchronization
import TestSupport
import Testing

@testable import TrafficProxy

@Suite("Mirror", .timeLimit(.minutes(15)))
struct MirrorTests {
    private static let post = "POST /infer HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"

    private func fixture(
        baseline: UInt16, candidate: UInt16?, share: Int = 10_000, weight: Int = 0, match: [HeaderMatch] = [],
        response: Duration = .seconds(60), limits: ProxyLimits = ProxyLimits()
    ) throws -> ProxyFixture {
        try ProxyFixture(
            baseline: [baseline], candidate: candidate.map { [$0] }, weight: weight,
            traffic: TrafficRules(
                match: match, mirror: Mirror(share: Weight(clamping: share)), timeouts: Timeouts(response: response)),
            judged: JudgedRequests(methods: ["POST", "HEAD"], paths: ["/infer"]), limits: limits)
    }

    /// Waits until so many copies have come to their end, and says how.
    private func counts(_ fixture: ProxyFixture, _ total: UInt64) -> MirrorCounts {
        var counts = MirrorCounts()
        eventually("\(total) copies end; \(counts)") {
            counts = fixture.proxy.mirrorCounts
            return counts.completed + counts.failed + counts.dropped >= total
        }
        return counts
    }

    @Test("the candidate gets a marked copy, the client the baseline's answer, and the pair is kept")
    func copies() throws {
        let baseline = try NamedServer("b")
        let candidate = try NamedServer("c", status: 404)
        let fixture = try fixture(baseline: baseline.port, candidate: candidate.port)
        let client = fixture.client()
        for i in 1...5 {
            client.send("POST /infer?a=b HTTP/1.1\r\nHost: x\r\nX-Mine: 1\r\nContent-Length: 1\r\n\r\n\(i)")
            let response = client.receiveResponse()
            #expect(response.text == "b POST /infer \(i)")
            #expect(response["x-canary-version"] == "old")
            #expect(response["x-canary-mirror"] == nil)
            _ = counts(fixture, UInt64(i))
        }
        #expect(counts(fixture, 5) == MirrorCounts(completed: 5))
        #expect(candidate.requests.map(\.path) == baseline.requests.map(\.path))
        #expect(candidate.requests.map { $0.headers["x-canary-mirror"] } == Array(repeating: "1", count: 5))
        #expect(baseline.requests.allSatisfy { $0.headers["x-canary-mirror"] == nil })
        let ids = baseline.requests.map { $0.headers["x-request-id"] }
        #expect(candidate.requests.map { $0.headers["x-request-id"] } == ids)
        let pairs = fixture.proxy.drainMirrored()
        #expect(pairs.map(\.primary.status) == Array(repeating: 200, count: 5))
        #expect(pairs.map(\.mirrored.status) == Array(repeating: 404, count: 5))
        #expect(pairs.map { String(decoding: $0.primary.body, as: UTF8.self) } == (1...5).map { "b POST /infer \($0)" })
        #expect(
            pairs.map { String(decoding: $0.mirrored.body, as: UTF8.self) } == (1...5).map { "c POST /infer \($0)" })
        #expect(pairs.allSatisfy { $0.slot == 7 && !$0.primary.isCut && !$0.mirrored.isCut })
        let seen = fixture.observations(5)
        #expect(seen.map(\.requestHash) == pairs.map(\.requestHash))
        #expect(seen.allSatisfy { $0.arm == .baseline && $0.outcome == .success })
        // Nothing is left behind, and one connection served all copies.
        #expect(fixture.proxy.drainMirrored().isEmpty)
        #expect(fixture.proxy.buffersInUse == 0)
        #expect(fixture.proxy.upstreamConnectionCount == 2)
    }

    @Test("a copy goes out only when the primary is answered")
    func after() throws {
        let asked = Mutex(false)
        let answer = Mutex(false)
        let baseline = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "body")
            asked.withLock { $0 = true }
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
            eventually { answer.withLock({ $0 }) }
            peer.send("b")
            _ = peer.receive()
        }
        let candidate = try NamedServer("c")
        let fixture = try fixture(baseline: baseline.port, candidate: candidate.port)
        let client = fixture.client()
        client.send(Self.post)
        eventually { asked.withLock({ $0 }) }
        usleep(20_000)
        #expect(candidate.requests.isEmpty)
        answer.withLock { $0 = true }
        #expect(client.receiveResponse().text == "ab")
        #expect(counts(fixture, 1) == MirrorCounts(completed: 1))
    }

    @Test("a share of the requests is mirrored, whatever the weight")
    func share() throws {
        let baseline = try NamedServer("b")
        let candidate = try NamedServer("c")
        let fixture = try fixture(baseline: baseline.port, candidate: candidate.port, share: 3_000)
        let client = fixture.client()
        for _ in 0..<1_000 {
            client.send(Self.post)
            #expect(client.receiveResponse().status == 200)
        }
        let total = counts(fixture, 1)
        // Six standard deviations.
        #expect((213...387).contains(Int(total.completed + total.dropped)))
        #expect(total.failed == 0)
    }

    @Test("what is not judged, what a header chose, what the candidate answers and what fails is not mirrored")
    func population() throws {
        let baseline = try NamedServer("b")
        let candidate = try NamedServer("c")
        let match = [HeaderMatch(header: "x-canary", equals: "never", to: .baseline)]
        let plain = try fixture(baseline: baseline.port, candidate: candidate.port, match: match)
        let client = plain.client()
        for request in [
            "GET /infer HTTP/1.1\r\nHost: x\r\n\r\n", "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
            "POST /infer HTTP/1.1\r\nHost: x\r\nx-canary: never\r\nContent-Length: 0\r\n\r\n",
        ] {
            client.send(request)
            #expect(client.receiveResponse().text.hasPrefix("b "))
        }
        #expect(plain.proxy.mirrorCounts == MirrorCounts())
        let all = try fixture(baseline: baseline.port, candidate: candidate.port, weight: 10_000)
        #expect(all.exchange(Self.post).text.hasPrefix("c "))
        #expect(all.proxy.mirrorCounts == MirrorCounts())
        let alone = try fixture(baseline: baseline.port, candidate: nil)
        #expect(alone.exchange(Self.post).text.hasPrefix("b "))
        #expect(alone.proxy.mirrorCounts == MirrorCounts())
        let broken = try NamedServer("b", status: 503)
        let failing = try fixture(baseline: broken.port, candidate: candidate.port)
        #expect(failing.exchange(Self.post).status == 503)
        #expect(counts(failing, 1) == MirrorCounts(dropped: 1))
        #expect(candidate.requests.count == 1)
    }

    @Test("a candidate that hangs delays nobody: copies are bounded, dropped first, and end in their time")
    func hanging() throws {
        let baseline = try NamedServer("b")
        let candidate = ScriptedUpstream { peer, _ in while peer.receive() != nil {} }
        var limits = ProxyLimits()
        limits.maxMirrored = 4
        let fixture = try fixture(
            baseline: baseline.port, candidate: candidate.port, response: .milliseconds(400), limits: limits)
        let client = fixture.client()
        for _ in 0..<50 {
            client.send(Self.post)
            #expect(client.receiveResponse().status == 200)
        }
        #expect(fixture.proxy.buffersInUse <= 3 * 4)
        let seen = fixture.observations(50)
        #expect(seen.allSatisfy { $0.arm == .baseline && $0.outcome == .success })
        // None of them waited for a copy.
        #expect(seen.allSatisfy { $0.total < 400_000 })
        let counts = counts(fixture, 50)
        #expect(counts.completed == 0)
        #expect(counts.failed >= 4)
        #expect(fixture.proxy.drainMirrored().isEmpty)
        #expect(fixture.proxy.buffersInUse == 0)
        let batch = fixture.proxy.drain()
        #expect(batch.ended == [] && batch.open == [])
        #expect(batch.health.map(\.reachable) == [1, 1])
    }

    @Test("a candidate that refuses, resets or says nonsense is neither judged nor taken for down by its copies")
    func failing() throws {
        let baseline = try NamedServer("b")
        let resets = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "body")
            peer.reset()
        }
        let nonsense = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "body")
            peer.send("garbage\r\n\r\n")
        }
        let short = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "body")
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        }
        for port in [deadPort(), resets.port, nonsense.port, short.port] {
            let fixture = try fixture(baseline: baseline.port, candidate: port)
            for _ in 0..<3 { #expect(fixture.exchange(Self.post).status == 200) }
            #expect(counts(fixture, 3) == MirrorCounts(failed: 3))
            let batch = fixture.proxy.drain()
            #expect(batch.ended.map(\.arm) == [.baseline, .baseline, .baseline])
            #expect(batch.health.map(\.reachable) == [1, 1])
            #expect(fixture.proxy.buffersInUse == 0)
        }
    }

    @Test("a copy has the request's whole body, in chunks too; one that is too large is dropped")
    func bodies() throws {
        let baseline = try NamedServer("b")
        let candidate = try NamedServer("c")
        let fixture = try fixture(baseline: baseline.port, candidate: candidate.port)
        let client = fixture.client()
        client.send("POST /infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        client.send("2\r\nde\r\n0\r\n\r\n")
        #expect(client.receiveResponse().status == 200)
        let large = String(repeating: "a", count: 60_000)
        client.send("POST /infer HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n\(large)")
        #expect(client.receiveResponse().status == 200)
        #expect(counts(fixture, 2) == MirrorCounts(completed: 2))
        let sizes = candidate.requests.map(\.body.count)
        #expect(sizes == [5, 60_000])
        client.send("POST /infer HTTP/1.1\r\nHost: x\r\nContent-Length: 120000\r\n\r\n\(large)\(large)")
        #expect(client.receiveResponse().status == 200)
        #expect(counts(fixture, 3) == MirrorCounts(completed: 2, dropped: 1))
        #expect(baseline.requests.count == 3)
        #expect(candidate.requests.count == 2)
    }

    @Test("answers are kept without their framing, up to a limit, and the candidate's is read to its end")
    func answers() throws {
        let chunk = String(repeating: "x", count: 10_000)
        let baseline = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "body")
            peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in 0..<10 { peer.send("2710\r\n\(chunk)\r\n") }
            peer.send("0\r\n\r\n")
        }
        let ended = Mutex(false)
        let candidate = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "body")
            peer.send("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")
            for _ in 0..<300 { peer.send(chunk) }
            ended.withLock { $0 = true }
        }
        let fixture = try fixture(baseline: baseline.port, candidate: candidate.port)
        #expect(fixture.exchange(Self.post).body.count == 100_000)
        #expect(counts(fixture, 1) == MirrorCounts(completed: 1))
        #expect(ended.withLock { $0 })
        let pair = try #require(fixture.proxy.drainMirrored().first)
        let lengths = [pair.primary.body.count, pair.mirrored.body.count]
        #expect(lengths == [MirrorRecord.bodyLimit, MirrorRecord.bodyLimit])
        #expect(pair.primary.isCut && pair.mirrored.isCut)
        let isPlain = pair.primary.body.allSatisfy { $0 == 0x78 } && pair.mirrored.body.allSatisfy { $0 == 0x78 }
        #expect(isPlain)
        #expect(fixture.proxy.buffersInUse == 0)
    }

    @Test("pipelined requests and HEAD are answered in order, each with its copy")
    func pipelined() throws {
        let baseline = try NamedServer("b")
        let candidate = try NamedServer("c")
        let fixture = try fixture(baseline: baseline.port, candidate: candidate.port)
        let client = fixture.client()
        let head = "HEAD /infer HTTP/1.1\r\nHost: x\r\n\r\n"
        client.send(Self.post + head + Self.post)
        #expect(client.receiveResponse().text == "b POST /infer body")
        #expect(client.receiveResponse(toHead: true).status == 200)
        #expect(client.receiveResponse().text == "b POST /infer body")
        #expect(counts(fixture, 3) == MirrorCounts(completed: 3))
        // Mirrored requests may reach the candidate over several connections, and so in any order.
        let bodies = fixture.proxy.drainMirrored().map { String(decoding: $0.mirrored.body, as: UTF8.self) }
        #expect(bodies.sorted() == ["", "c POST /infer body", "c POST /infer body"])
    }

    @Test("a mark that a client sends is taken off, unless it is trusted; with underscores always")
    func forged() throws {
        let baseline = try NamedServer("b")
        let forged = "GET / HTTP/1.1\r\nHost: x\r\nX-Canary-Mirror: 1\r\nx_canary_mirror: 1\r\n\r\n"
        for trusted in [TrustedNetworks(), .host] {
            let fixture = try ProxyFixture(baseline: [baseline.port], trusted: trusted)
            #expect(fixture.exchange(forged).status == 200)
        }
        #expect(baseline.requests.map { $0.headers["x-canary-mirror"] } == [nil, "1"])
        #expect(baseline.requests.allSatisfy { $0.headers["x_canary_mirror"] == nil })
    }

    @Test("what nobody drains is bounded: the newest pairs stay, and the lost are counted")
    func undrained() throws {
        let baseline = try NamedServer("b")
        let candidate = try NamedServer("c")
        var limits = ProxyLimits()
        limits.maxPairs = 3
        let fixture = try fixture(baseline: baseline.port, candidate: candidate.port, limits: limits)
        for i in 1...10 {
            _ = fixture.exchange("POST /infer HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n\(i + 10)")
            _ = counts(fixture, UInt64(i))
        }
        #expect(fixture.proxy.mirrorCounts == MirrorCounts(completed: 10, lostPairs: 7))
        #expect(fixture.proxy.buffersInUse == 3)
        let bodies = fixture.proxy.drainMirrored().map { String(decoding: $0.mirrored.body.suffix(2), as: UTF8.self) }
        #expect(bodies == ["18", "19", "20"])
        #expect(fixture.proxy.buffersInUse == 0)
    }

    @Test("whatever the candidate does to requests and copies, every client gets its own answer, in bounded memory")
    func underLoad() throws {
        let baseline = try NamedServer("b")
        let candidate = ScriptedUpstream { peer, _ in
            while true {
                let request = peer.receive(until: "end")
                guard request.hasSuffix("end"), let mood = request.dropLast(3).last else { return }
                switch mood {
                case "0": return peer.reset()
                case "1": return
                case "2": peer.send("HTTP/1.1 500 Broken\r\nContent-Length: 3\r\n\r\nbad")
                case "3": peer.send("HTTP/1.1 503 Busy\r\n\r\n")
                case "4": return _ = peer.send(Array("garbage\r\n\r\n".utf8))
                case "5": return _ = peer.receive()
                default:
                    let body = request.split(separator: "\r\n").last ?? ""
                    peer.send("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count + 2)\r\n\r\nc \(body)")
                }
                if mood == "3" { return }
            }
        }
        let traffic = TrafficRules(
            mirror: Mirror(share: .full), rescue: Rescue(), timeouts: Timeouts(response: .milliseconds(300)))
        let fixture = try ProxyFixture(
            baseline: [baseline.port], candidate: [candidate.port], weight: 5_000, traffic: traffic,
            judged: JudgedRequests(paths: ["/infer"]))
        let wrong = Mutex<[String]>([])
        let finished = Mutex(0)
        let most = Mutex(0)
        for worker in 0..<8 {
            let client = fixture.client()
            spawn {
                for i in 0..<100 {
                    let body = "\(worker)-\(i)-\((worker + i) % 10)end"
                    client.send("POST /infer HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
                    let response = client.receiveResponse()
                    let isRight = response.status == 200 && response.text.hasSuffix(" \(body)") && response.isComplete
                    if !isRight { wrong.withLock { $0.append("\(body): \(response.status) \(response.text)") } }
                }
                finished.withLock { $0 += 1 }
            }
        }
        while finished.withLock({ $0 }) < 8 {
            let now = fixture.proxy.buffersInUse
            most.withLock { $0 = max($0, now) }
            usleep(1_000)
        }
        #expect(wrong.withLock { $0 } == [])
        let limits = ProxyLimits()
        // Each client three, each copy three, each pair one.
        #expect(most.withLock { $0 } <= 8 * 3 + limits.maxMirrored * 3 + limits.maxPairs)
        let seen = fixture.observations(800)
        let isSound = seen.allSatisfy { $0.flags.contains(.judged) && ($0.arm == .candidate || $0.outcome == .success) }
        #expect(isSound)
        #expect(seen.allSatisfy { $0.flags.contains(.rescued) == $0.outcome.isError })
        _ = counts(fixture, UInt64(seen.count { $0.arm == .baseline }))
        _ = fixture.proxy.drainMirrored()
        #expect(fixture.proxy.buffersInUse == 0)
    }

    @Test("a rollout that ends, and an agent that stops, do not wait for copies")
    func ends() throws {
        let baseline = try NamedServer("b")
        let gone = Mutex(false)
        let candidate = ScriptedUpstream { peer, _ in
            while peer.receive() != nil {}
            gone.withLock { $0 = true }
        }
        let fixture = try fixture(baseline: baseline.port, candidate: candidate.port)
        #expect(fixture.exchange(Self.post).status == 200)
        eventually { candidate.accepted != 0 }
        fixture.plan.services[0].candidate = nil
        fixture.proxy.publish(fixture.plan)
        #expect(fixture.exchange(Self.post).status == 200)
        #expect(fixture.proxy.mirrorCounts == MirrorCounts())
        fixture.proxy.shutdown(grace: .seconds(10))
        eventually { gone.withLock({ $0 }) }
    }
}
