import Glibc
import PolicyModel
import Synchronization
import TestSupport
import Testing

@testable import TrafficProxy

@Suite("Fields", .timeLimit(.minutes(15)))
struct HeaderTests {
    /// The head that the server gets for what a client sends, and the head that the client gets for what it answers.
    private func relay(_ request: String, reply: String = BodyTests.ok) throws -> (String, RawResponse) {
        let seen = Mutex("")
        let upstream = ScriptedUpstream { peer, _ in
            let head = peer.receive(until: "\r\n\r\n")
            seen.withLock { $0 = head }
            peer.send(reply)
            _ = peer.receive()
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        let response = fixture.exchange(request)
        return (seen.withLock { $0 }, response)
    }

    @Test("hop-by-hop fields and those that Connection names stop here, in both directions")
    func hopByHop() throws {
        let (head, response) = try relay(
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, X-Mine\r\nKeep-Alive: 5\r\nX-Mine: 1\r\nTE: trailers\r\n"
                + "Proxy-Connection: close\r\nUpgrade: websocket\r\nTrailer: a\r\nX-Other: 2\r\n\r\n",
            reply: "HTTP/1.1 200 OK\r\nConnection: X-Theirs\r\nX-Theirs: 1\r\nKeep-Alive: 9\r\nUpgrade: h2c\r\n"
                + "X-Other: 3\r\nContent-Length: 0\r\n\r\n")
        for name in ["connection", "keep-alive", "x-mine", "te:", "upgrade", "trailer"] {
            #expect(!head.lowercased().contains("\r\n\(name)"))
        }
        #expect(head.contains("\r\nX-Other: 2\r\n"))
        #expect(response["x-theirs"] == nil)
        #expect(response["keep-alive"] == nil)
        #expect(response["upgrade"] == nil)
        #expect(response["connection"] == nil)
        #expect(response["x-other"] == "3")
    }

    @Test("naming our own fields in Connection does not remove them")
    func connectionNamesOurs() throws {
        let (head, response) = try relay(
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: host, x-request-id, x-forwarded-for, content-length\r\n"
                + "X-Forwarded-For: 1.1.1.1\r\nX-Request-Id: abc\r\n\r\n",
            reply: "HTTP/1.1 200 OK\r\nConnection: x-canary-version, x-request-id\r\nContent-Length: 0\r\n\r\n")
        #expect(head.contains("\r\nHost: x\r\n"))
        #expect(head.contains("\r\nx-request-id: "))
        #expect(head.contains("\r\nx-forwarded-for: 127.0.0.1\r\n"))
        #expect(response["x-canary-version"] == "old")
        #expect(response["x-request-id"] != nil)
    }

    @Test("fields are forwarded in canonical form, in order, repeated ones as well")
    func canonical() throws {
        let (head, _) = try relay(
            "GET http://Real:8080/a?b HTTP/1.1\r\nA:1\r\nB:   2\t \r\nA: 3\r\nHost: fake\r\nEmpty:\r\nC: 4\r\n"
                + "Inference-Header-Content-Length: 17\r\nContent-Length: 000\r\n\r\n")
        #expect(head.hasPrefix("GET /a?b HTTP/1.1\r\nHost: Real:8080\r\n"))
        #expect(!head.contains("fake"))
        #expect(
            head.contains(
                "\r\nA: 1\r\nB: 2\r\nA: 3\r\nEmpty: \r\nC: 4\r\nInference-Header-Content-Length: 17\r\n"))
        #expect(head.contains("\r\ncontent-length: 0\r\n"))
    }

    @Test("forwarded addresses are joined and the client's is appended")
    func forwardedFor() throws {
        let (head, _) = try relay(
            "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2\r\nx-forwarded-for: 3.3.3.3\r\n"
                + "X-Forwarded-Proto: https\r\nX_Forwarded_For: 6.6.6.6\r\n\r\n")
        #expect(head.contains("\r\nx-forwarded-for: 1.1.1.1, 2.2.2.2, 3.3.3.3, 127.0.0.1\r\n"))
        #expect(head.contains("\r\nX-Forwarded-Proto: https\r\n"))
        #expect(!head.contains("6.6.6.6"))
    }

    @Test("x-canary-version is ours alone")
    func canaryVersion() throws {
        let (head, response) = try relay(
            "GET / HTTP/1.1\r\nHost: x\r\nX-Canary-Version: forged\r\nx_canary_version: forged\r\n\r\n",
            reply: "HTTP/1.1 200 OK\r\nX-Canary-Version: forged\r\nX-Request-ID: forged\r\nContent-Length: 0\r\n\r\n")
        #expect(!head.contains("forged"))
        #expect(response.all("x-canary-version") == ["old"])
        #expect(response.all("x-request-id").count == 1)
        #expect(!response.head.contains("forged"))
    }

    @Test(
        "one sane request id is kept, anything else is replaced",
        arguments: [
            ("X-Request-ID: 7e-A:b/c~1", true), ("X-Request-Id: a\r\nX-Request-Id: a", false), ("X-Request-Id:", false),
            ("X-Request-Id: a b", false), ("X-Request-Id: a\"b", false), ("X-Request-Id: a,b", false),
            ("X-Request-Id: é", false), ("X-Request-Id: " + String(repeating: "a", count: 129), false),
            ("X-Request-Id: " + String(repeating: "a", count: 128), true),
        ])
    func requestID(line: String, isKept: Bool) throws {
        let (head, response) = try relay("GET / HTTP/1.1\r\nHost: x\r\n\(line)\r\n\r\n")
        let id = try #require(response["x-request-id"])
        #expect(head.contains("\r\nx-request-id: \(id)\r\n"))
        #expect(head.lowercased().components(of: "x-request-id:") == 1)
        if isKept {
            #expect(line.hasSuffix(": " + id))
        } else {
            #expect(id.utf8.count == 32)
            #expect(id.allSatisfy { $0.isHexDigit })
        }
    }

    @Test("made ids do not repeat")
    func uniqueIDs() throws {
        let server = try NamedServer("a")
        let fixture = try ProxyFixture(baseline: [server.port])
        let client = fixture.client()
        var seen = Set<String>()
        for _ in 0..<600 {
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            seen.insert(client.receiveResponse()["x-request-id"] ?? "")
        }
        #expect(seen.count == 600)
        #expect(Set(fixture.observations(600).map(\.requestHash)).count == 600)
    }
}

extension String {
    /// How often a text occurs.
    fileprivate func components(of text: String) -> Int {
        var count = 0
        var rest = self[...]
        while let range = rest.firstRange(of: text) {
            count += 1
            rest = rest[range.upperBound...]
        }
        return count
    }
}
