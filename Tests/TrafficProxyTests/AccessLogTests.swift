import Glibc
import PolicyModel
import TestSupport
import Testing

@testable import TrafficProxy

/// A file that goes with the test.
private final class TemporaryFile {
    let path: String

    init() {
        var template = Array("/tmp/canaryd-access-XXXXXX".utf8CString)
        close(mkstemp(&template))
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        unlink(path)
        unlink(path + ".1")
    }

    static func lines(_ path: String) -> [String] {
        guard let file = fopen(path, "r") else { return [] }
        defer { fclose(file) }
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while case let n = fread(&buffer, 1, buffer.count, file), n > 0 { text += buffer[..<n] }
        return String(decoding: text, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    /// Waits for so many.
    func lines(_ count: Int) -> [String] {
        eventually("\(count) lines in the log") { Self.lines(path).count >= count }
        return Self.lines(path)
    }
}

@Suite("Access log", .timeLimit(.minutes(15)))
struct AccessLogTests {
    private func fixture(
        _ file: TemporaryFile, baseline: [UInt16], sample: Double = 1, errors: Bool = true, query: Bool = false,
        loops: Int = 1, limits: ProxyLimits = ProxyLimits()
    ) throws -> ProxyFixture {
        try ProxyFixture(
            baseline: baseline, loops: loops, limits: limits,
            accessLog: AccessLogSettings(
                destination: .file(file.path), sample: sample, errors: errors, query: query))
    }

    @Test("a request is one line of JSON that says who, what, where to, how it ended and how long it took")
    func fields() throws {
        let server = try NamedServer("a")
        let file = TemporaryFile()
        let fixture = try fixture(file, baseline: [server.port])
        let response = fixture.exchange(
            "POST /v2/x?user=secret HTTP/1.1\r\nHost: x\r\nX-Request-Id: r-1\r\nContent-Length: 4\r\n\r\nbody")
        let line = file.lines(1)[0]
        #expect(line.hasPrefix("{\"time\":\"20") && line.hasSuffix("}"))
        let total = response.head.utf8.count + response.body.count
        for part in [
            "\"service\":\"test\"", "\"version\":\"old\"", "\"method\":\"POST\"", "\"path\":\"/v2/x\"",
            "\"status\":200", "\"outcome\":\"success\"", "\"bytesIn\":4,", "\"bytesOut\":\(total),",
            "\"duration\":0.", "\"ttfb\":0.", "\"client\":\"127.0.0.1\"", "\"requestId\":\"r-1\"",
            "\"server\":\"127.0.0.1:\(server.port)\"", "\"attempts\":1",
        ] { #expect(line.contains(part), "\(part)") }
        #expect(!line.contains("secret"))
        eventually { fixture.proxy.accessLogCounts?.written == 1 }
    }

    @Test("a valid traceparent is logged as the server gets it, and any other is only relayed")
    func traceparent() throws {
        let server = try NamedServer("a")
        let file = TemporaryFile()
        let fixture = try fixture(file, baseline: [server.port])
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        let invalid = [
            valid.uppercased(), "01" + valid.dropFirst(2), valid + "0", String(valid.dropLast()),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "x\"}",
        ]
        for value in [valid] + invalid {
            _ = fixture.exchange("GET /a HTTP/1.1\r\nHost: x\r\nTraceParent: \(value)\r\n\r\n")
        }
        let lines = file.lines(7)
        #expect(lines[0].contains("\"traceparent\":\"\(valid)\""))
        #expect(lines.dropFirst().allSatisfy { !$0.contains("traceparent") })
        #expect(server.requests.count == 7)
        #expect(server.requests.map { $0.headers["traceparent"] } == [valid] + invalid)
    }

    @Test("the query stands behind the path where it is asked for, cut where it is long, and cannot break out")
    func query() throws {
        let server = try NamedServer("a")
        let file = TemporaryFile()
        let fixture = try fixture(file, baseline: [server.port], query: true)
        _ = fixture.exchange("GET /a?x=\\%22,\\u HTTP/1.1\r\nHost: x\r\n\r\n")
        _ = fixture.exchange("GET /\(String(repeating: "b", count: 3000)) HTTP/1.1\r\nHost: x\r\n\r\n")
        let lines = file.lines(2)
        #expect(lines[0].contains("\"path\":\"/a?x=\\\\%22,\\\\u\",\"status\""))
        #expect(lines[1].contains("\"path\":\"/\(String(repeating: "b", count: 1023))\",\"pathLength\":3001,"))
    }

    @Test("of a head that was refused nothing is shown but that it was")
    func refused() throws {
        let server = try NamedServer("a")
        let file = TemporaryFile()
        let fixture = try fixture(file, baseline: [server.port])
        _ = fixture.exchange("GET /\"},{\"evil\":1 HTTP/1.1\r\nHost: x\r\nA: \u{1}\r\n\r\n")
        _ = fixture.exchange("CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n")
        let lines = file.lines(2)
        #expect(lines[0].contains("\"status\":400,\"outcome\":\"refused\"") && !lines[0].contains("evil"))
        #expect(lines[0].hasSuffix(",\"error\":\"request-invalid-field-value\"}"))
        #expect(
            lines[1].contains("\"method\":\"CONNECT\"") && lines[1].contains("\"status\":501,\"outcome\":\"refused\""))
        #expect(!lines[1].contains("service"))
        #expect(lines[1].hasSuffix(",\"error\":\"request-connect\"}"))
    }

    @Test("errors are logged beside the sample, unless they are not wanted", arguments: [true, false])
    func errors(wanted: Bool) throws {
        let server = try NamedServer("a")
        let file = TemporaryFile()
        let fixture = try fixture(file, baseline: [server.port], sample: 0, errors: wanted)
        let request = "GET /good HTTP/1.1\r\nHost: x\r\n\r\n"
        #expect(fixture.exchange(request).status == 200)
        fixture.plan.services[0].baseline.servers = [Endpoint(host: "127.0.0.1", port: deadPort())]
        try fixture.proxy.prepare(fixture.plan)
        fixture.proxy.publish(fixture.plan)
        #expect(fixture.exchange(request).status == 503)
        fixture.proxy.shutdown(grace: .zero)
        let lines = TemporaryFile.lines(file.path)
        #expect(lines.count == (wanted ? 1 : 0))
        #expect(lines.allSatisfy { $0.contains("\"status\":503,\"outcome\":\"connect_failure\"") })
        #expect(lines.allSatisfy { $0.hasSuffix(",\"error\":\"connect-failed\"}") })
    }

    @Test("a sample of half is about half, from every loop, and no line is lost or torn")
    func sample() throws {
        let server = try NamedServer("a")
        let file = TemporaryFile()
        let fixture = try fixture(file, baseline: [server.port], sample: 0.5, loops: 2)
        for _ in 0..<8 {
            let client = fixture.client()
            for _ in 0..<100 {
                client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                _ = client.receiveResponse()
            }
        }
        fixture.proxy.shutdown(grace: .zero)
        let lines = TemporaryFile.lines(file.path)
        // Six standard deviations.
        #expect((316...484).contains(lines.count))
        #expect(lines.allSatisfy { $0.hasPrefix("{\"time\"") && $0.hasSuffix("}") })
    }

    @Test("after a rotation lines go to the new file; where it cannot be opened, to the old one")
    func rotation() throws {
        let server = try NamedServer("a")
        let file = TemporaryFile()
        let fixture = try fixture(file, baseline: [server.port])
        _ = fixture.exchange("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(file.lines(1).count == 1)
        rename(file.path, file.path + ".1")
        mkdir(file.path, 0o700)
        let error = #expect(throws: AccessLogError.self) { try fixture.proxy.reopenAccessLog() }
        #expect(error?.description.contains("write the path of a file") == true)
        _ = fixture.exchange("GET /2 HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually { TemporaryFile.lines(file.path + ".1").count >= 2 }
        rmdir(file.path)
        try fixture.proxy.reopenAccessLog()
        _ = fixture.exchange("GET /3 HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(file.lines(1)[0].contains("\"path\":\"/3\""))
    }

    @Test("a reader that hangs costs lines, which are counted, and no request")
    func hanging() throws {
        let server = try NamedServer("a")
        let file = TemporaryFile()
        unlink(file.path)
        #expect(throws: AccessLogError.self) {
            mkfifo(file.path, 0o600)
            _ = try self.fixture(file, baseline: [server.port])
        }
        let reader = open(file.path, O_RDONLY | O_NONBLOCK)
        defer { close(reader) }
        let fixture = try fixture(file, baseline: [server.port])
        let client = fixture.client()
        let path = String(repeating: "p", count: 1000)
        for _ in 0..<600 {
            client.send("GET /\(path) HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(client.receiveResponse().status == 200)
        }
        #expect(fixture.observations(600).count == 600)
        #expect((fixture.proxy.accessLogCounts?.dropped ?? 0) > 0)
    }

    @Test("a full disk costs lines, which are counted")
    func full() throws {
        let server = try NamedServer("a")
        let fixture = try ProxyFixture(
            baseline: [server.port], accessLog: AccessLogSettings(destination: .file("/dev/full")))
        #expect(fixture.exchange("GET / HTTP/1.1\r\nHost: x\r\n\r\n").status == 200)
        eventually { fixture.proxy.accessLogCounts?.failed == 1 }
        #expect(fixture.proxy.accessLogCounts?.written == 0)
        #expect(fixture.proxy.accessLogCounts?.error == ENOSPC)
    }

    @Test("a tunnel is logged at its end, with what went through it")
    func tunnel() throws {
        let upstream = ScriptedUpstream { peer, _ in
            _ = peer.receive(until: "\r\n\r\n")
            peer.send(TunnelTests.switched)
            while let bytes = peer.receive() { peer.send(bytes) }
        }
        let file = TemporaryFile()
        let fixture = try fixture(file, baseline: [upstream.port])
        let client = fixture.client()
        client.send(TunnelTests.upgrade)
        let head = client.receive(until: "\r\n\r\n")
        client.send("12345")
        #expect(client.receive(exactly: 5).count == 5)
        #expect(TemporaryFile.lines(file.path).isEmpty)
        client.close()
        let line = file.lines(1)[0]
        #expect(
            line.contains("\"status\":101,\"outcome\":\"success\",\"bytesIn\":5,\"bytesOut\":\(head.utf8.count + 5),"))
    }

    @Test("a rescued request is logged as what the client got, and as an error though it got none")
    func rescued() throws {
        let old = try NamedServer("old")
        let new = try NamedServer("new", status: 500)
        let file = TemporaryFile()
        let fixture = try ProxyFixture(
            baseline: [old.port], candidate: [new.port], weight: 10_000, traffic: TrafficRules(rescue: Rescue()),
            accessLog: AccessLogSettings(destination: .file(file.path), sample: 0))
        #expect(fixture.exchange("GET / HTTP/1.1\r\nHost: x\r\n\r\n").text == "old GET / ")
        let line = file.lines(1)[0]
        #expect(line.contains("\"version\":\"old\"") && line.contains("\"status\":200,\"outcome\":\"success\""))
        #expect(line.contains("\"server\":\"127.0.0.1:\(old.port)\"") && line.hasSuffix("\"rescued\":true}"))
    }

    @Test("why a response was refused or cut is in its line, and in that of a request that was rescued from it")
    func reasons() throws {
        let upstream = ScriptedUpstream { peer, number in
            _ = peer.receive(until: "\r\n\r\n")
            let lengths = number == 0 ? "Content-Length: 3\r\nContent-Length: 4" : "Content-Length: 4"
            peer.send("HTTP/1.1 200 OK\r\n\(lengths)\r\n\r\nabc")
        }
        let file = TemporaryFile()
        let fixture = try fixture(file, baseline: [upstream.port])
        #expect(fixture.exchange("GET / HTTP/1.1\r\nHost: x\r\n\r\n").status == 502)
        #expect(!fixture.exchange("GET / HTTP/1.1\r\nHost: x\r\n\r\n").isComplete)
        let lines = file.lines(2)
        #expect(lines[0].hasSuffix(",\"error\":\"response-two-content-lengths\"}"))
        #expect(lines[1].contains("\"status\":200,\"outcome\":\"truncated\""))
        #expect(lines[1].hasSuffix(",\"error\":\"response-incomplete\"}"))

        let old = try NamedServer("old")
        let other = TemporaryFile()
        let rescuing = try ProxyFixture(
            baseline: [old.port], candidate: [deadPort()], weight: 10_000, traffic: TrafficRules(rescue: Rescue()),
            accessLog: AccessLogSettings(destination: .file(other.path)))
        #expect(rescuing.exchange("GET / HTTP/1.1\r\nHost: x\r\n\r\n").status == 200)
        #expect(other.lines(1)[0].hasSuffix(",\"error\":\"connect-failed\",\"rescued\":true}"))
    }

    @Test("a client that left has no status")
    func left() throws {
        let upstream = ScriptedUpstream { peer, _ in while peer.receive() != nil {} }
        let file = TemporaryFile()
        var limits = ProxyLimits()
        limits.halfCloseWindow = .zero
        let fixture = try fixture(file, baseline: [upstream.port], limits: limits)
        let client = fixture.client()
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually { upstream.accepted != 0 }
        client.close()
        #expect(file.lines(1)[0].contains("\"status\":null,\"outcome\":\"client_closed\""))
    }

    @Test("a client that is too slow with its head or its body has its 408, and did not close")
    func tooSlow() throws {
        let server = try NamedServer("a")
        let file = TemporaryFile()
        var limits = ProxyLimits()
        limits.headTimeout = .milliseconds(100)
        limits.bodyGrace = .milliseconds(100)
        let fixture = try ProxyFixture(
            baseline: [server.port], limits: limits, accessLog: AccessLogSettings(destination: .file(file.path)))
        #expect(fixture.exchange("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc").status == 408)
        #expect(file.lines(1)[0].contains("\"status\":408,\"outcome\":\"client_timeout\""))
        #expect(fixture.exchange("POST / HTTP/1.1\r\nHost:").status == 408)
        #expect(file.lines(2)[1].contains("\"status\":408,\"outcome\":\"refused\""))
    }
}

@Suite("Lines", .timeLimit(.minutes(15)))
struct LineTests {
    private func text(_ body: (inout ByteSlice) -> Void) -> String {
        var slice = ByteSlice()
        slice.base = .allocate(capacity: 4096)
        defer { slice.base?.deallocate() }
        body(&slice)
        return String(decoding: UnsafeBufferPointer(start: slice.first, count: slice.count), as: UTF8.self)
    }

    @Test("no byte can end a string, a line or the encoding")
    func escapes() {
        let all = (0...255).map { UInt8($0) }
        let written = all.withUnsafeBufferPointer { bytes in
            text { $0.append(json: Bytes(start: bytes.baseAddress!, count: 256)) }
        }
        let expected = all.map { byte in
            switch byte {
            case 0x22: "\\\""
            case 0x5c: "\\\\"
            case 0x20..<0x7f: String(UnicodeScalar(byte))
            default: "\\u00" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }
        }.joined()
        #expect(written == expected)
    }

    @Test(
        "times are dates of the calendar",
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_001, "2000-02-29T00:00:00.001Z"), (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (1_795_249_083_120, "2026-11-21T08:18:03.120Z"), (1_704_067_199_000, "2023-12-31T23:59:59.000Z"),
        ] as [(Int64, String)])
    func time(milliseconds: Int64, expected: String) {
        #expect(text { $0.append(time: milliseconds) } == expected)
        #expect(text { $0.append(seconds: 61_000_002_999) } == "61.000002")
    }

    @Test("what goes through a ring comes out whole and in order, and what does not fit is counted")
    func ring() {
        let ring = LineRing()
        var sent: [UInt8] = []
        var received: [UInt8] = []
        for round in 0..<5000 {
            let line = [UInt8](repeating: UInt8(truncatingIfNeeded: round), count: round * 7 % 900 + 1)
            if ring.append(line, line.count) { sent += line }
            if round % 350 == 349 { ring.takeAll { received += $0 } }
        }
        ring.takeAll { received += $0 }
        let isSame = sent == received
        #expect(isSame && ring.dropped == 0 && ring.count == 0)
        let line = [UInt8](repeating: 1, count: 1000)
        for _ in 0..<LineRing.capacity / 1000 { #expect(ring.append(line, 1000)) }
        #expect(!ring.append(line, 1000) && ring.dropped == 1)
    }
}
