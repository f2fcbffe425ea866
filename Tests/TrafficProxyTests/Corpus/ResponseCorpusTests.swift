import TestSupport
import Testing

@testable import TrafficProxy

/// Raw bytes from a server, verdict at the client. After each the server ends the connection, as a broken one does.
@Suite("Corpus of responses", .timeLimit(.minutes(15)))
struct ResponseCorpusTests {
    enum Verdict: Equatable {
        /// A 502 of ours.
        case refused
        /// A 502, or where a head went out already, a reply that the client sees is not whole.
        case cut
        /// The status and the body, whole.
        case whole(Int, String)
    }

    struct Row: CustomTestStringConvertible {
        var kind: String
        var bytes: String
        var verdict: Verdict
        var method = "GET"

        var testDescription: String { "\(kind): \(bytes.prefix(80).debugDescription)" }
    }

    private static func head(_ kind: String, _ lines: String, _ verdict: Verdict, _ body: String = "") -> Row {
        Row(kind: kind, bytes: "HTTP/1.1 200 OK\r\n\(lines)\r\n\r\n\(body)", verdict: verdict)
    }

    private static func status(_ kind: String, _ line: String, _ verdict: Verdict) -> Row {
        Row(kind: kind, bytes: "\(line)\r\nContent-Length: 3\r\n\r\nabc", verdict: verdict)
    }

    private static func chunks(_ text: String, _ verdict: Verdict = .cut) -> Row {
        head("chunks", "Transfer-Encoding: chunked", verdict, "2\r\nok\r\n" + text)
    }

    static let framing: [Row] = [
        head("both lengths", "Content-Length: 3\r\nTransfer-Encoding: chunked", .refused, "0\r\n\r\n"),
        head("both lengths", "Transfer-Encoding: chunked\r\nContent-Length: 3", .refused, "0\r\n\r\n"),
        head("several lengths", "Content-Length: 3\r\nContent-Length: 3", .whole(200, "abc"), "abc"),
        head("several lengths", "Content-Length: 3\r\nContent-Length: 4", .refused, "abcd"),
        head("signed length", "Content-Length: +3", .refused, "abc"),
        head("signed length", "Content-Length: -3", .refused, "abc"),
        head("empty length", "Content-Length:", .refused, "abc"),
        head("huge length", "Content-Length: 9223372036854775808", .refused, "abc"),
        head("huge length", "Content-Length: 18446744073709551619", .refused, "abc"),
        head("comma-joined lengths", "Content-Length: 3, 3", .whole(200, "abc"), "abc"),
        head("comma-joined lengths", "Content-Length: 3, 4", .refused, "abcd"),
        head("comma-joined lengths", "Content-Length: 3,", .refused, "abc"),
        head("odd length", "Content-Length: 3 3", .refused, "abc"),
        head("odd length", "Content-Length: 0x3", .refused, "abc"),
        head("odd length", "Content-Length: \u{b3}", .refused, "abc"),
        head("odd length", "Content_Length: 3", .refused, "abc"),
        head("other coding", "Transfer-Encoding: gzip", .refused, "abc"),
        head("other coding", "Transfer-Encoding: gzip, chunked", .refused, "0\r\n\r\n"),
        head("other coding", "Transfer-Encoding: identity", .refused, "abc"),
        head("chunked twice", "Transfer-Encoding: chunked, chunked", .refused, "0\r\n\r\n"),
        head("chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", .refused, "0\r\n\r\n"),
        head("chunked not last", "Transfer-Encoding: chunked, gzip", .refused, "0\r\n\r\n"),
        head("odd coding", "Transfer-Encoding: \u{b}chunked", .refused, "0\r\n\r\n"),
        head("odd coding", "Transfer-Encoding: chunked\u{ff}", .refused, "0\r\n\r\n"),
        Row(
            kind: "coding in HTTP/1.0", bytes: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            verdict: .refused),
        head("length", "Content-Length: 3", .whole(200, "abc"), "abc"),
        head("length", "Content-Length: 0", .whole(200, "")),
        head("chunked", "Transfer-Encoding: chunked", .whole(200, "abc"), "3\r\nabc\r\n0\r\nA: b\r\n\r\n"),
        head("until close", "A: b", .whole(200, "abc"), "abc"), head("until close", "A: b", .whole(200, "")),
        Row(kind: "until close", bytes: "HTTP/1.0 200 OK\r\n\r\nabc", verdict: .whole(200, "abc")),
    ]

    static let chunkRows: [Row] = [
        chunks("fffffffffffffffff\r\n"), chunks("10000000000000003\r\nabc\r\n0\r\n\r\n"),
        chunks("+3\r\nabc\r\n0\r\n\r\n"),
        chunks("-3\r\nabc\r\n0\r\n\r\n"), chunks(" 3\r\nabc\r\n0\r\n\r\n"), chunks("3 \r\nabc\r\n0\r\n\r\n"),
        chunks("0x3\r\nabc\r\n0\r\n\r\n"), chunks("g\r\n"), chunks("\r\n"), chunks("3\nabc\r\n0\r\n\r\n"),
        chunks("3\r\nabc\n0\r\n\r\n"), chunks("3\r\nabcd\r\n0\r\n\r\n"), chunks("3\r\nabc0\r\n\r\n"),
        chunks("0\n\n"), chunks("0\r\n\n"), chunks("3;a=\"\r\n\"\r\nabc\r\n0\r\n\r\n"),
        chunks("3;\r\nabc\r\n0\r\n\r\n"),
        chunks("0\r\nA b: c\r\n\r\n"), chunks("0\r\nA: b\r\n c\r\n\r\n"), chunks("0\r\nA: b\u{0}\r\n\r\n"),
        chunks("3\r\nab"), chunks("3\r\nabc"), chunks("3\r\nabc\r\n"), chunks("0\r\n"), chunks(""),
        chunks("3;a=b\r\nabc\r\n0\r\n\r\n", .whole(200, "okabc")), chunks("0\r\n\r\n", .whole(200, "ok")),
    ]

    static let heads: [Row] = [
        status("bare CR", "HTTP/1.1 200 O\rK", .refused), head("bare CR", "A: b\rc", .refused),
        Row(kind: "bare LF", bytes: "HTTP/1.1 200 OK\nContent-Length: 3\n\nabc", verdict: .refused),
        head("bare LF", "A: b\nContent-Length: 3", .refused, "abc"), head("NUL", "A: \u{0}", .refused),
        head("NUL", "A\u{0}: b", .refused), head("control", "A: \u{1}", .refused),
        head("control", "A: \u{7f}", .refused),
        status("control", "HTTP/1.1 200 \u{1b}[31m", .refused), head("folding", "A: b\r\n c", .refused),
        Row(kind: "folding", bytes: "HTTP/1.1 200 OK\r\n A: b\r\n\r\n", verdict: .refused),
        head("space before colon", "Content-Length : 3", .whole(200, "abc"), "abc"),
        head("empty name", ": b", .refused),
        head("odd name", "A b: c", .refused), head("odd name", "\u{e9}: c", .refused),
        head("odd name", "no colon", .refused),
        head("odd name", String(repeating: "A: b\r\n", count: 200) + "Content-Length: 3", .refused, "abc"),
        head("odd name", "A: " + String(repeating: "b", count: 40_000), .refused),
        Row(kind: "HTTP/0.9", bytes: "<html>hello</html>", verdict: .refused),
        Row(kind: "HTTP/0.9", bytes: "<html>\r\n\r\n</html>", verdict: .refused),
        status("unknown version", "HTTP/2.0 200 OK", .refused), status("unknown version", "HTTP/1.2 200 OK", .refused),
        status("unknown version", "ICY 200 OK", .refused), status("unknown version", "http/1.1 200 OK", .refused),
        status("status", "HTTP/1.1 20 OK", .refused), status("status", "HTTP/1.1 2000 OK", .refused),
        status("status", "HTTP/1.1 099 OK", .refused), status("status", "HTTP/1.1 600 OK", .refused),
        status("status", "HTTP/1.1 -20 OK", .refused), status("status", "HTTP/1.1  200 OK", .refused),
        status("status", "HTTP/1.1\t200 OK", .refused), status("status", "HTTP/1.1 2xx OK", .refused),
        status("status", "HTTP/1.1 200\tOK", .refused), status("status", "\r\nHTTP/1.1 200 OK", .refused),
        status("status", "HTTP/1.1 200 ", .whole(200, "abc")),
        status("status", "HTTP/1.1 299 \u{e9}", .whole(299, "abc")),
    ]

    private static let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    private static let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

    static let bodies: [Row] = [
        Row(
            kind: "bytes after a response", bytes: ok + "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            verdict: .whole(200, "ok")),
        Row(kind: "bytes after a response", bytes: ok + "garbage", verdict: .whole(200, "ok")),
        Row(kind: "1xx storm", bytes: String(repeating: interim, count: 40) + ok, verdict: .refused),
        Row(kind: "1xx with a body", bytes: "HTTP/1.1 103 x\r\nContent-Length: 3\r\n\r\nabc" + ok, verdict: .refused),
        Row(kind: "1xx and no more", bytes: interim, verdict: .refused),
        Row(
            kind: "response to HEAD", bytes: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
            verdict: .whole(200, ""),
            method: "HEAD"),
        Row(
            kind: "response to HEAD",
            bytes: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            verdict: .whole(200, ""), method: "HEAD"),
        Row(
            kind: "response to HEAD", bytes: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
            verdict: .refused, method: "HEAD"),
        Row(
            kind: "204 and a body", bytes: "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc",
            verdict: .whole(204, "")),
        Row(
            kind: "204 and a body", bytes: "HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            verdict: .whole(204, "")),
        Row(kind: "304 and a body", bytes: "HTTP/1.1 304 x\r\nContent-Length: 3\r\n\r\nabc", verdict: .whole(304, "")),
        Row(kind: "early close", bytes: "", verdict: .refused),
        Row(kind: "early close", bytes: "HTTP/1.1 200 OK\r\nA", verdict: .refused),
        head("early close", "Content-Length: 10", .cut, "abc"), head("early close", "Content-Length: 10", .cut),
        head("early close", "Content-Length: 100000", .cut, String(repeating: "a", count: 99_999)),
        head("early close", "Transfer-Encoding: chunked", .cut),
        head("early close", "Transfer-Encoding: chunked", .cut, "a\r\nabc"),
    ]

    static let all = framing + chunkRows + heads + bodies

    @Test("each row has its verdict, and the next request gets its own answer")
    func verdicts() throws {
        let rows = Self.all
        let upstream = ScriptedUpstream { peer, _ in
            let head = peer.receive(until: "\r\n\r\n")
            guard let path = head.split(separator: " ").dropFirst().first, let row = Int(path.dropFirst()) else {
                peer.send(Self.ok)
                return
            }
            peer.send(latin1(rows[row].bytes))
        }
        let fixture = try ProxyFixture(baseline: [upstream.port])
        for (index, row) in rows.enumerated() {
            let client = fixture.client()
            client.send("\(row.method) /\(index) HTTP/1.1\r\nHost: h\r\n\r\n")
            var response = client.receiveResponse(toHead: row.method == "HEAD")
            while (100..<200).contains(response.status) { response = client.receiveResponse() }
            switch row.verdict {
            case .refused: #expect(response.status == 502 && response.isComplete, "\(row)")
            case .cut: #expect(response.status == 502 || !response.isComplete, "\(row)")
            case .whole(let status, let body):
                #expect(response.status == status && response.isComplete && response.text == body, "\(row)")
            }
            guard response.isComplete else { continue }
            client.send("GET /ok HTTP/1.1\r\nHost: h\r\n\r\n")
            let next = client.receiveResponse()
            #expect(next.status == 200 && next.text == "ok", "\(row)")
        }
    }

    @Test("every class is there")
    func classes() {
        let kinds = Set(Self.all.map(\.kind))
        let named = [
            "both lengths", "several lengths", "signed length", "empty length", "huge length", "comma-joined lengths",
            "other coding", "chunked twice", "chunked not last", "chunks", "bare CR", "bare LF", "NUL", "control",
            "folding", "space before colon", "empty name", "odd name", "HTTP/0.9", "unknown version",
            "bytes after a response", "1xx storm", "response to HEAD", "204 and a body", "early close",
        ]
        for kind in named { #expect(kinds.contains(kind), "no row for \(kind)") }
    }
}
