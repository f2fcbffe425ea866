import Analysis
import Glibc
import PolicyModel
import Synchronization
import TestSupport
import Testing

@testable import TrafficProxy

/// A healthy baseline, and a candidate that gets every request.
private final class RescueFixture {
    let baseline: NamedServer
    let proxy: ProxyFixture

    init(
        candidate: UInt16, rescue: Rescue? = Rescue(), response: Duration = .seconds(60), match: [HeaderMatch] = [],
        judged: JudgedRequests = JudgedRequests(methods: ["POST"], paths: ["/infer"])
    ) throws {
        baseline = try NamedServer("b")
        let timeouts = Timeouts(connect: .milliseconds(100), response: response)
        proxy = try ProxyFixture(
            baseline: [baseline.port], candidate: [candidate], weight: 10_000,
            traffic: TrafficRules(match: match, rescue: rescue, timeouts: timeouts), judged: judged)
    }

    static func post(_ path: String = "/infer", body: String = "body", headers: String = "") -> String {
        "POST \(path) HTTP/1.1\r\nHost: x\r\n\(headers)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }
}

/// A server that reads a request with its four-byte body, sends `reply`, and closes the connection.
private func failing(_ reply: String) -> ScriptedUpstream {
    ScriptedUpstream { peer, _ in
        _ = peer.receive(until: "body")
        peer.send(reply)
    }
}

@Suite("Rescue", .timeLimit(.minutes(15)))
struct RescueTests {
    private static let get = "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"

    @Test(
        "the baseline serves what the candidate failed, and the request counts once, as the candidate's failure",
        arguments: [
            ("HTTP/1.1 500 Broken\r\nContent-Length: 3\r\n\r\nbad", Outcome.serverError),
            ("HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n", .serverError),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 502 Broken\r\n\r\n", .serverError),
            ("", .connectFailure), ("HTTP/1.1 200 O", .truncated), ("garbage\r\n\r\n", .truncated),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", .truncated),
        ])
    func rescued(reply: String, outcome: Outcome) throws {
        let candidate = failing(reply)
        let fixture = try RescueFixture(candidate: candidate.port)
        let client = fixture.proxy.client()
        client.send(RescueFixture.post())
        var response = client.receiveResponse()
        if response.status == 100 { response = client.receiveResponse() }
        #expect(response.status == 200)
        #expect(response.text == "b POST /infer body")
        #expect(response.isComplete)
        #expect(response["x-canary-version"] == "old")
        #expect(candidate.accepted == 1)
        #expect(fixture.baseline.requests.count == 1)
        let batch = fixture.proxy.proxy.drain()
        #expect(batch.ended.map(\.outcome) == [outcome])
        // The observed status is that of the candidate's response, not of the one that the client got.
        if outcome == .serverError { #expect(reply.contains("HTTP/1.1 \(batch.ended[0].status) ")) }
        #expect(batch.ended.map(\.arm) == [.candidate])
        #expect(batch.ended.map(\.flags) == [[.judged, .rescued]])
        #expect(batch.ended[0].firstByte == .max)
        #expect(batch.open == [])
    }

    @Test("a request to a candidate that hangs is rescued after the response timeout, which its observation shows")
    func hanging() throws {
        let release = Mutex(false)
        let candidate = ScriptedUpstream { peer, _ in
            while peer.receive() != nil {}
            release.withLock { $0 = true }
        }
        let fixture = try RescueFixture(candidate: candidate.port, response: .milliseconds(100))
        #expect(fixture.proxy.exchange(RescueFixture.post()).text == "b POST /infer body")
        let seen = fixture.proxy.observations(1)
        #expect(seen.map(\.outcome) == [.timeout])
        #expect(seen[0].total >= 100_000)
        #expect(seen[0].firstByte == .max)
        // The candidate's connection was closed and not kept.
        eventually { release.withLock({ $0 }) }
    }

    @Test("a request of which nothing was sent is rescued, whatever its method, path and size")
    func unsent() throws {
        let full = FullBacklog()
        for port in [deadPort(), full.port] {
            let fixture = try RescueFixture(candidate: port, rescue: Rescue(methods: [], paths: [], maxBody: 0))
            let body = String(repeating: "a", count: 300_000)
            let response = fixture.proxy.exchange(RescueFixture.post("/other", body: body))
            #expect(response.text.hasPrefix("b POST /other aaa"))
            let whole = fixture.baseline.requests.map(\.body.count) == [300_000]
            #expect(whole)
            #expect(fixture.proxy.observations(1).map(\.outcome) == [.connectFailure])
        }
        withExtendedLifetime(full) {}
    }

    @Test(
        "what was sent and is not declared safe goes to nobody else",
        arguments: [
            (nil, "POST /infer"), (nil, "GET /infer"), (Rescue(), "POST /other"), (Rescue(), "PATCH /infer"),
            (Rescue(methods: ["GET"], paths: ["/other"]), "POST /infer"), (Rescue(methods: []), "GET /other"),
        ] as [(Rescue?, String)])
    func undeclared(rescue: Rescue?, line: String) throws {
        let candidate = failing("HTTP/1.1 500 Broken\r\nContent-Length: 3\r\n\r\nbad")
        let fixture = try RescueFixture(candidate: candidate.port, rescue: rescue)
        let response = fixture.proxy.exchange("\(line) HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
        #expect(response.status == 500)
        #expect(response.text == "bad")
        #expect(response["x-canary-version"] == "new")
        #expect(fixture.baseline.requests.isEmpty)
        let seen = fixture.proxy.observations(1)[0]
        #expect(seen.outcome == .serverError)
        #expect(!seen.flags.contains(.rescued))
    }

    @Test(
        "methods and paths that are declared safe are replayed",
        arguments: [
            (Rescue(), "PUT /other"), (Rescue(methods: ["PATCH"]), "PATCH /other"),
            (Rescue(methods: [], paths: ["/other"]), "POST /other?a=b"),
        ] as [(Rescue, String)])
    func declared(rescue: Rescue, line: String) throws {
        let candidate = failing("HTTP/1.1 500 Broken\r\n\r\n")
        let fixture = try RescueFixture(candidate: candidate.port, rescue: rescue)
        let response = fixture.proxy.exchange("\(line) HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
        #expect(response.status == 200)
        #expect(response.text.hasSuffix(" body"))
    }

    @Test("a body beyond the limit is not replayed, one at the limit is", arguments: [1000, 1001, 30_000, 70_000])
    func bodyLimit(size: Int) throws {
        let candidate = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            _ = peer.receive(exactly: size)
            peer.send("HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n")
        }
        let limit = size == 70_000 ? Rescue.bodyLimit : 1000
        let fixture = try RescueFixture(candidate: candidate.port, rescue: Rescue(maxBody: limit))
        let body = String(repeating: "a", count: size)
        #expect(fixture.proxy.exchange(RescueFixture.post(body: body)).status == (size == 1000 ? 200 : 500))
        let sizes = fixture.baseline.requests.map(\.body.count)
        #expect(sizes == (size == 1000 ? [1000] : []))
        #expect(fixture.proxy.observations(1).map(\.outcome) == [.serverError])
    }

    @Test("a body that came in pieces is replayed whole, by length and in chunks", arguments: [true, false])
    func pieces(chunked: Bool) throws {
        let candidate = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "END")
            peer.send("HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n")
        }
        let fixture = try RescueFixture(candidate: candidate.port)
        let client = fixture.proxy.client()
        let piece = String(repeating: "p", count: 9_000)
        client.send("POST /infer HTTP/1.1\r\nHost: x\r\n")
        client.send(chunked ? "Transfer-Encoding: chunked\r\n\r\n" : "Content-Length: 45003\r\n\r\n")
        for _ in 0..<5 {
            client.send(chunked ? "2328\r\n\(piece)\r\n" : piece)
            usleep(2_000)
        }
        client.send(chunked ? "3\r\nEND\r\n0\r\n\r\n" : "END")
        #expect(client.receiveResponse().status == 200)
        let bodies = fixture.baseline.requests.map { $0.body.count }
        #expect(bodies == [45_003])
        let isWhole = fixture.baseline.requests.first.map { $0.body.suffix(4).elementsEqual("pEND".utf8) } ?? false
        #expect(isWhole)
    }

    @Test("a failure before the body was all there is rescued, and the rest of the body follows")
    func early() throws {
        let candidate = failing("HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n")
        let fixture = try RescueFixture(candidate: candidate.port)
        let client = fixture.proxy.client()
        client.send("POST /infer HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n1234body")
        eventually { !fixture.proxy.proxy.drain().ended.isEmpty }
        client.send("rest")
        #expect(client.receiveResponse().text == "b POST /infer 1234bodyrest")
    }

    @Test("once a byte of the response was sent, a failure truncates it, and no second response follows")
    func cut() throws {
        let candidate = failing("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        let fixture = try RescueFixture(candidate: candidate.port)
        let client = fixture.proxy.client()
        client.send(RescueFixture.post())
        let all = client.receiveAll()
        #expect(all.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(all.hasSuffix("\r\n\r\nabc"))
        #expect(fixture.baseline.requests.isEmpty)
        #expect(fixture.proxy.observations(1).map(\.outcome) == [.truncated])
    }

    @Test("requests that follow a rescued one on its connection are served correctly, pipelined ones too")
    func pipelined() throws {
        let candidate = ScriptedUpstream { peer, _ in
            while true {
                guard peer.receive(until: "body").hasSuffix("body") else { return }
                peer.send("HTTP/1.1 500 Broken\r\nContent-Length: 3\r\n\r\nbad")
            }
        }
        let fixture = try RescueFixture(candidate: candidate.port)
        let client = fixture.proxy.client()
        client.send((1...5).map { RescueFixture.post(body: "\($0)body") }.joined())
        for i in 1...5 { #expect(client.receiveResponse().text == "b POST /infer \(i)body") }
        client.send(RescueFixture.post("/other"))
        #expect(client.receiveResponse().status == 500)
        client.send(RescueFixture.post())
        #expect(client.receiveResponse().status == 200)
        let seen = fixture.proxy.observations(7)
        #expect(seen.allSatisfy { $0.arm == .candidate && $0.outcome == .serverError })
        #expect(seen.count { $0.flags.contains(.rescued) } == 6)
        // The responses were complete, so the candidate's connection served all requests.
        #expect(candidate.accepted == 1)
        #expect(fixture.proxy.proxy.buffersInUse == 0)
    }

    @Test("a request that a header match assigned gets the response of that arm and is not rescued")
    func matched() throws {
        let match = [HeaderMatch(header: "x-canary", equals: "always", to: .candidate)]
        for port in [deadPort(), failing("HTTP/1.1 500 Broken\r\n\r\n").port] {
            let fixture = try RescueFixture(candidate: port, match: match)
            let response = fixture.proxy.exchange(RescueFixture.post(headers: "x-canary: always\r\n"))
            #expect(response.status >= 500)
            #expect(response["x-canary-version"] == "new")
            #expect(fixture.baseline.requests.isEmpty)
        }
    }

    @Test("a request that the baseline failed is never sent to the candidate")
    func baselineFails() throws {
        let candidate = try NamedServer("c")
        for port in [deadPort(), failing("HTTP/1.1 500 Broken\r\n\r\n").port] {
            let fixture = try ProxyFixture(
                baseline: [port], candidate: [candidate.port], traffic: TrafficRules(rescue: Rescue()),
                judged: JudgedRequests(paths: ["/infer"]))
            #expect(fixture.exchange(RescueFixture.post()).status >= 500)
            #expect(fixture.observations(1).map(\.arm) == [.baseline])
        }
        #expect(candidate.requests.isEmpty)
    }

    @Test("if the baseline fails as well, the client gets an error, and the request still counts once")
    func bothFail() throws {
        let candidate = failing("HTTP/1.1 500 Broken\r\nContent-Length: 3\r\n\r\nbad")
        let fixture = try ProxyFixture(
            baseline: [deadPort()], candidate: [candidate.port], weight: 10_000,
            traffic: TrafficRules(rescue: Rescue()), judged: JudgedRequests(paths: ["/infer"]))
        #expect(fixture.exchange(RescueFixture.post()).status == 503)
        #expect(fixture.observations(1).map(\.outcome) == [.serverError])
    }

    @Test("a client that leaves during the rescue adds no second observation")
    func leaves() throws {
        let got = Mutex(false)
        let closed = Mutex(false)
        let baseline = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "body")
            got.withLock { $0 = true }
            _ = peer.receive()
            closed.withLock { $0 = true }
        }
        var limits = ProxyLimits()
        limits.halfCloseWindow = .zero
        let fixture = try ProxyFixture(
            baseline: [baseline.port], candidate: [deadPort()], weight: 10_000,
            traffic: TrafficRules(rescue: Rescue()), limits: limits)
        let client = fixture.client()
        client.send(RescueFixture.post())
        eventually { got.withLock({ $0 }) }
        let batch = fixture.proxy.drain()
        #expect(batch.ended.map(\.outcome) == [.connectFailure])
        #expect(batch.open == [])
        client.close()
        eventually { closed.withLock({ $0 }) }
        eventually { fixture.proxy.connectionCount == 0 }
        #expect(fixture.proxy.drain().ended == [])
    }
}
