import TestSupport
import Testing

@testable import TrafficProxy

/// Raw bytes in, verdict out, over the wire: what comes of a request, and what its server saw. RFC 9110 and 9112
/// decide; where they leave a choice, the strict one. `\u{ff}` in a text stands for the byte 0xFF.
@Suite("Corpus of requests", .timeLimit(.minutes(15)))
struct RequestCorpusTests {
    enum Verdict: Equatable {
        /// The response has this status and ends the connection; neither the request nor bytes after it reach a server.
        case refused(Int)
        /// This number of requests reach the server, and each gets a response.
        case passed(Int)
        /// The request reaches the server, and its body is refused afterwards.
        case broken
    }

    struct Row: CustomTestStringConvertible {
        var kind: String
        var bytes: String
        var verdict: Verdict

        var testDescription: String { "\(kind): \(bytes.prefix(80).debugDescription)" }
    }

    static func head(_ kind: String, _ lines: String, _ verdict: Verdict, _ body: String = "") -> Row {
        Row(kind: kind, bytes: "POST / HTTP/1.1\r\nHost: h\r\n\(lines)\r\n\r\n\(body)", verdict: verdict)
    }

    static func line(_ kind: String, _ line: String, _ verdict: Verdict) -> Row {
        Row(kind: kind, bytes: "\(line)\r\nHost: h\r\n\r\n", verdict: verdict)
    }

    static func chunks(_ text: String, _ verdict: Verdict = .broken) -> Row {
        head("chunks", "Transfer-Encoding: chunked", verdict, text)
    }

    static let all = lengths + codings + chunkRows + lines + hosts + requestLines + connections

    @Test("each row has its verdict, alone and in single bytes", arguments: [false, true])
    func verdicts(inSingleBytes: Bool) throws {
        let server = try NamedServer("a")
        let fixture = try ProxyFixture(baseline: [server.port])
        for row in Self.all where !inSingleBytes || row.bytes.utf8.count < 200 {
            let before = server.requests.count
            let client = fixture.client()
            let bytes = latin1(row.bytes)
            if inSingleBytes { for byte in bytes { client.send([byte]) } } else { client.send(bytes) }
            // Bytes after a refused request must not be read as a request; those after a response must be.
            let mark = Array("GET /mark HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".utf8)
            switch row.verdict {
            case .refused(let status):
                client.send(mark)
                #expect(client.receiveResponse().status == status, "\(row)")
                #expect(client.receiveAll() == "", "\(row)")
                #expect(server.requests.count == before, "\(row)")
            case .broken:
                client.send(mark)
                #expect(client.receiveResponse().status == 400, "\(row)")
                #expect(client.receiveAll() == "", "\(row)")
                #expect(server.requests.count == before, "\(row)")
            case .passed(let count):
                for _ in 0..<count { #expect(client.receiveResponse().status == 200, "\(row)") }
                client.send(mark)
                #expect(client.receiveResponse().text.hasPrefix("a GET /mark"), "\(row)")
                #expect(server.requests.count == before + count + 1, "\(row)")
            }
            client.close()
        }
    }

    @Test("every class is there")
    func classes() {
        let kinds = Set(Self.all.map(\.kind))
        let named = [
            "both lengths", "several lengths", "signed length", "empty length", "huge length", "comma-joined lengths",
            "other coding", "chunked twice", "chunked not last", "chunks", "bare CR", "bare LF", "NUL", "control",
            "folding", "space before colon", "empty name", "odd name", "missing Host", "repeated Host", "bad Host",
            "userinfo in Host", "absolute form", "authority form", "asterisk form", "HTTP/0.9", "HTTP/1.0",
            "HTTP/2.0 preface", "unknown version", "method that is no token", "pipelined after an error",
        ]
        for kind in named { #expect(kinds.contains(kind), "no row for \(kind)") }
    }
}

/// One byte for each scalar, which has to be below 256.
func latin1(_ text: String) -> [UInt8] { text.unicodeScalars.map { UInt8($0.value) } }
