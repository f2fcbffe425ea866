import Analysis
import Glibc
import PolicyModel
import Synchronization
import TestSupport
import Testing

@testable import TrafficProxy

@Suite("Relaying", .timeLimit(.minutes(15)))
struct RelayTests {
    @Test("a request goes through and the reply says which version answered")
    func simple() throws {
        let server = try NamedServer("a")
        let fixture = try ProxyFixture(baseline: [server.port])
        let client = fixture.client()
        for i in 0..<3 {
            client.send("POST /p\(i)?q=1 HTTP/1.1\r\nHost: models.example\r\nContent-Length: 4\r\n\r\nbody")
            let response = client.receiveResponse()
            #expect(response.status == 200)
            #expect(response.text == "a POST /p\(i) body")
            #expect(response["x-canary-version"] == "old")
            #expect(response["x-request-id"]?.count == 32)
        }
        #expect(server.requests.map(\.query) == ["q=1", "q=1", "q=1"])
        #expect(server.requests[0].headers["host"] == "models.example")
        #expect(server.requests[0].headers["x-forwarded-for"] == "127.0.0.1")
        let seen = fixture.observations(3)
        #expect(seen.allSatisfy { $0.outcome == .success && $0.arm == .baseline && $0.slot == 7 })
        #expect(seen.allSatisfy { $0.flags == .judged && $0.firstByte <= $0.total })
    }

    @Test("pipelined requests are answered in their order")
    func pipelining() throws {
        let server = try NamedServer("a")
        let fixture = try ProxyFixture(baseline: [server.port])
        let client = fixture.client()
        client.send((0..<100).map { "GET /\($0) HTTP/1.1\r\nHost: x\r\n\r\n" }.joined())
        for i in 0..<100 { #expect(client.receiveResponse().text == "a GET /\(i) ") }
        #expect(fixture.observations(100).count == 100)
    }
}

@Suite("Bodies", .timeLimit(.minutes(15)))
struct BodyTests {
    /// Reads a request head and says what it was; bodies are the script's matter.
    static let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    @Test("chunked bodies go both ways, coded anew")
    func chunked() throws {
        let heads = Mutex<[String]>([])
        let upstream = ScriptedUpstream { peer, _ in
            let head = peer.receive(until: "\r\n\r\n")
            let body = peer.receive(until: "0\r\n\r\n")
            heads.withLock { $0 = [head, body] }
            peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n")
            peer.send("0004\r\ndefg\r\n0\r\nTrailer: dropped\r\n\r\n")
            _ = peer.receive()
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let client = fixture.client()
        client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;ext\r\nhello\r\n")
        client.send("6\r\n world\r\n0\r\n\r\n")
        let response = client.receiveResponse()
        #expect(response.text == "abcdefg")
        #expect(response.isComplete)
        #expect(!response.head.contains("railer"))
        let seen = heads.withLock { $0 }
        #expect(seen[0].contains("transfer-encoding: chunked\r\n"))
        #expect(!seen[0].lowercased().contains("content-length"))
        #expect(!seen[1].contains("ext"))
        #expect(seen[1].replacing("\r\n", with: " ").contains("hello"))
        #expect(fixture.observations(1)[0].outcome == .success)
    }

    @Test("every chunk of a stream arrives before the next is sent")
    func eventStream() throws {
        let go = Mutex(0)
        let upstream = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            for i in 1...5 {
                eventually { go.withLock({ $0 }) >= i }
                peer.send("9\r\ndata: \(i)\n\n\r\n")
            }
            peer.send("0\r\n\r\n")
            _ = peer.receive()
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let client = fixture.client()
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        _ = client.receive(until: "\r\n\r\n")
        for i in 1...5 {
            go.withLock { $0 = i }
            #expect(client.receive(until: "\n\n\r\n") == "9\r\ndata: \(i)\n\n\r\n")
        }
        #expect(client.receive(until: "0\r\n\r\n") == "0\r\n\r\n")
    }

    @Test(
        "the first byte is the body's, or the end of a response without one",
        arguments: [
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", ["3", "\r\n", "abc\r\n0\r\n\r\n"], 2),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\n", ["abc\r\n", "0\r\n\r\n"], 0),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", ["0\r\n", "A: b\r\n\r\n"], 1),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", ["a", "bc"], 0),
            ("HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n", [String(repeating: "a", count: 70_000)], 0),
            ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", ["a", "bc"], 0),
            ("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", ["abc"], 0),
            ("HTTP/1.1 103 Early Hints\r\n\r\n", ["HTTP/1.1 204 No Content\r\n\r\n"], 0),
            ("HTTP/1.1 200 OK\r\n", ["Content-Length: 0\r\n\r\n"], 0), ("HTTP/1.1 200 OK\r\n", ["\r\nabc"], 0),
            ("HTTP/1.1 503 Busy\r\nContent-Length: 3\r\n\r\n", ["bad"], 0),
        ] as [(String, [String], Int)])
    func firstByte(start: String, rest: [String], first: Int) throws {
        let pieces = [start] + rest
        let wanted = Mutex(0)
        let sent = Mutex(-1)
        let upstream = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            for index in pieces.indices {
                eventually { wanted.withLock({ $0 }) >= index }
                peer.send(pieces[index])
                sent.withLock { $0 = index }
            }
            if start.contains("close") || rest == ["\r\nabc"] { peer.finishWriting() }
            while peer.receive() != nil {}
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let client = fixture.client()
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        var age: UInt32 = 0
        for index in 0...first {
            eventually { sent.withLock({ $0 }) >= index }
            // Between two questions the loop takes what came before the first.
            _ = fixture.proxy.drain()
            let open = fixture.proxy.drain().open
            #expect(open.map(\.firstByte) == [.max])
            age = open.first?.total ?? .max
            wanted.withLock { $0 = index + 1 }
        }
        wanted.withLock { $0 = pieces.count }
        while client.receiveResponse().status < 200 {}
        let seen = fixture.observations(1)[0]
        #expect(seen.firstByte >= age && seen.firstByte <= seen.total)
    }

    private static func repeated(_ period: [UInt8], _ size: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < size { bytes += period }
        bytes.removeLast(bytes.count - size)
        return bytes
    }

    @Test("eight megabytes go up and down unchanged", arguments: [true, false])
    func large(chunked: Bool) throws {
        let size = 8 << 20
        // The period is a prime, so that a piece that is lost or doubled shows.
        let period = (0..<65_521).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
        let bytes = Self.repeated(period, size)
        let upstream = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            let body = peer.receive(exactly: size)
            peer.send("HTTP/1.1 200 OK\r\n" + (chunked ? "\r\n" : "Content-Length: \(body.count)\r\n\r\n"))
            peer.send(body)
            if !chunked { _ = peer.receive() }
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let client = fixture.client()
        spawn {
            client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \(size)\r\n\r\n")
            client.send(bytes)
        }
        let response = client.receiveResponse()
        #expect(response["transfer-encoding"] == (chunked ? "chunked" : nil))
        // The bodies are compared outside the expectation, which would print them at a failure.
        let isSame = response.isComplete && response.body == bytes
        #expect(isSame)
    }

    @Test(
        "an upstream that closes early is a cut, never a clean end",
        arguments: [
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
        ])
    func earlyClose(reply: String) throws {
        let upstream = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            peer.send(reply)
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let response = fixture.exchange("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(response.status == 200)
        #expect(!response.isComplete)
        #expect(fixture.observations(1)[0].outcome == .truncated)
    }

    @Test("a body that ends with the connection is chunked for the client, and a reset within it is a cut")
    func untilClose() throws {
        let upstream = ScriptedUpstream { peer, number in
            _ = peer.receive(until: "\r\n\r\n")
            peer.send("HTTP/1.0 200 OK\r\nContent-Type: a/b\r\n\r\nall of it")
            if number == 1 { peer.reset() }
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let whole = fixture.exchange("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(whole.text == "all of it")
        #expect(whole.isComplete)
        let broken = fixture.exchange("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(broken.status == 502 || !broken.isComplete)
        let outcomes = fixture.observations(2).map(\.outcome)
        #expect(outcomes[0] == .success)
        #expect(outcomes[1].isError)
    }

    @Test("HTTP/1.0 clients get no chunks and no interim responses")
    func oldClient() throws {
        let upstream = ScriptedUpstream { peer, _ in
            let head = peer.receive(until: "\r\n\r\n")
            peer.send("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n")
            peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            peer.send("\(String(head.utf8.count, radix: 16))\r\n\(head)\r\n0\r\n\r\n")
            _ = peer.receive()
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let client = fixture.client()
        client.send("GET /old HTTP/1.0\r\n\r\n")
        let all = client.receiveAll()
        #expect(all.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(all.contains("connection: close\r\n"))
        #expect(all.contains("\r\n\r\nGET /old HTTP/1.1\r\nHost: localhost\r\n"))
        #expect(all.hasSuffix("\r\n\r\n"))
    }

    @Test("a chunked body that is broken is a 400, and nothing of it is taken for a request")
    func brokenRequest() throws {
        let upstream = ScriptedUpstream { peer, _ in while peer.receive() != nil {} }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let client = fixture.client()
        client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloGET / HTTP/1.1\r\n\r\n")
        let response = client.receiveResponse()
        #expect(response.status == 400)
        #expect(response["connection"] == "close")
        #expect(client.receiveAll() == "")
        // The 400 is the proxy's, so that the observation has no status.
        let seen = fixture.observations(1)[0]
        #expect(seen.outcome == .rejected && seen.status == 0)
    }
}

@Suite("Responses without a body", .timeLimit(.minutes(15)))
struct BodilessTests {
    @Test("HEAD keeps the stated length and sends no body, 304 likewise, 204 states none")
    func bodiless() throws {
        let upstream = ScriptedUpstream { peer, _ in
            for reply in [
                "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n",
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n",
                "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            ] {
                _ = peer.receive(until: "\r\n\r\n")
                peer.send(reply)
            }
            _ = peer.receive()
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let client = fixture.client()
        client.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(client.receiveResponse(toHead: true)["content-length"] == "1234")
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        let notModified = client.receiveResponse()
        #expect(notModified.status == 304)
        #expect(notModified["content-length"] == "99")
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        let noContent = client.receiveResponse()
        #expect(noContent.status == 204)
        #expect(noContent["content-length"] == nil)
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(client.receiveResponse()["content-length"] == "0")
        #expect(upstream.accepted == 1)
    }

    @Test(
        "bytes after a response never reach a client, and the connection is not used again",
        arguments: [
            "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nextra",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokextra",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        ])
    func bytesAfter(reply: String) throws {
        let upstream = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            peer.send(reply)
            while peer.receive() != nil {}
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let client = fixture.client()
        for _ in 0..<2 {
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            let response = client.receiveResponse()
            #expect(response.status < 300)
            #expect(response.text == "" || response.text == "ok")
        }
        #expect(upstream.accepted == 2)
    }

    @Test("interim responses are passed on, a storm of them is not")
    func interim() throws {
        let upstream = ScriptedUpstream { peer, number in
            _ = peer.receive(until: "\r\n\r\n")
            let count = number == 0 ? 3 : 100
            for i in 0..<count { peer.send("HTTP/1.1 103 Early Hints\r\nLink: <\(i)>\r\n\r\n") }
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            while peer.receive() != nil {}
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let client = fixture.client()
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        for i in 0..<3 { #expect(client.receiveResponse()["link"] == "<\(i)>") }
        #expect(client.receiveResponse().status == 200)
        let other = try ProxyFixture(baseline: [upstream.port])
        let stormy = other.client()
        stormy.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        var last = stormy.receiveResponse()
        while last.status == 103 { last = stormy.receiveResponse() }
        #expect(last.status == 502)
        #expect(other.observations(1)[0].outcome == .truncated)
    }

    @Test("characters that clients send unescaped go on as they are, and a backslash is no slash for the route")
    func oddTargets() throws {
        let upstream = ScriptedUpstream { peer, _ in
            while true {
                let head = peer.receive(until: "\r\n\r\n")
                guard let line = head.split(separator: "\r\n").first else { return }
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: \(line.utf8.count)\r\n\r\n\(line)")
            }
        }
        let fixture = try ProxyFixture(baseline: [upstream.port], route: Route(path: "/v2"))
        let client = fixture.client()
        for target in [
            "/v2/a\"{}|^`\\<>[]b", "/v2/?q=\"{}|^`\\<>[]", "/v2?a=%zz", "/v2/..\\..\\x", "/v2/%5C%2F",
        ] {
            client.send("GET \(target) HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(client.receiveResponse().text == "GET \(target) HTTP/1.1")
        }
        client.send("GET https://x:443/v2/a HTTP/1.1\r\nHost: y\r\n\r\n")
        #expect(client.receiveResponse().text == "GET /v2/a HTTP/1.1")
        for target in ["/v2\\a", "/\\/v2", "/V2/a", "/v2%2Fa", "\\v2/a"] {
            client.send("GET \(target) HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(client.receiveResponse().status == (target.hasPrefix("/") ? 404 : 400))
        }
    }

    @Test("an interim response gives the server its time anew, and the client after a 100")
    func interimRenews() throws {
        let upstream = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            for _ in 0..<4 {
                usleep(700_000)
                peer.send("HTTP/1.1 102 Processing\r\n\r\n")
            }
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            _ = peer.receive()
        }
        let traffic = TrafficRules(timeouts: Timeouts(response: .seconds(2)))
        let fixture = try ProxyFixture(baseline: [upstream.port], traffic: traffic)
        let client = fixture.client()
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        for _ in 0..<4 { #expect(client.receiveResponse().status == 102) }
        #expect(client.receiveResponse().status == 200)

        let continuing = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            peer.send("HTTP/1.1 100 Continue\r\n\r\n")
            let body = peer.receive(exactly: 4)
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: \(body.count)\r\n\r\nbody")
            _ = peer.receive()
        }
        var limits = ProxyLimits()
        limits.continueTimeout = .milliseconds(300)
        let other = try ProxyFixture(baseline: [continuing.port], limits: limits)
        let slow = other.client()
        slow.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        #expect(slow.receiveResponse().status == 100)
        usleep(700_000)
        slow.send("body")
        #expect(slow.receiveResponse().status == 200)
    }

    @Test("100 Continue comes from the server, and the body follows")
    func expectContinue() throws {
        let upstream = ScriptedUpstream { peer, _ in
            let head = peer.receive(until: "\r\n\r\n")
            guard head.lowercased().contains("expect: 100-continue") else { return }
            peer.send("HTTP/1.1 100 Continue\r\n\r\n")
            let body = peer.receive(exactly: 4)
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
            peer.send(body)
            _ = peer.receive()
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let client = fixture.client()
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        #expect(client.receiveResponse().status == 100)
        client.send("data")
        #expect(client.receiveResponse().text == "data")
    }

    @Test("a server that never sends 100 Continue is made up for")
    func silentExpect() throws {
        let upstream = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            _ = peer.receive(exactly: 4)
            peer.send(BodyTests.ok)
            _ = peer.receive()
        }
        var limits = ProxyLimits()
        limits.continueTimeout = .milliseconds(60)
        let fixture = try ProxyFixture(baseline: [upstream.port], limits: limits)
        let client = fixture.client()
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        #expect(client.receiveResponse().status == 100)
        client.send("data")
        #expect(client.receiveResponse().text == "ok")
    }

    @Test("a final answer to an expectation ends the connection, for the body may come or not")
    func refusedExpect() throws {
        let upstream = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            peer.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
            _ = peer.receive()
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let client = fixture.client()
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        let response = client.receiveResponse()
        #expect(response.status == 413)
        #expect(response["connection"] == "close")
        #expect(client.receiveAll() == "")
        #expect(fixture.observations(1)[0].outcome == .clientError)
    }
}
