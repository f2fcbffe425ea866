import HTTPEngine
import Testing

@Suite("Response heads")
struct ResponseHeadTests {
    static func parse(_ text: String, toHead: Bool = false) -> Result<ResponseHead, HeadError> {
        let bytes = Array(text.utf8)
        var head = ResponseHead()
        let error = bytes.withUnsafeBufferPointer {
            HeadParser().parse(response: $0.baseAddress!, $0.count, toHead: toHead, into: &head)
        }
        return error.map { .failure($0) } ?? .success(head)
    }

    static func error(_ text: String) -> HeadError? {
        if case .failure(let error) = parse(text) { return error }
        return nil
    }

    @Test(
        "status lines",
        arguments: [
            ("HTTP/1.1 200 OK", nil), ("HTTP/1.0 200 OK", nil), ("HTTP/1.1 200 ", nil), ("HTTP/1.1 200", nil),
            ("HTTP/1.1 599 Very odd\treason é", nil),
            ("HTTP/1.1 099 x", .statusLine), ("HTTP/1.1 600 x", .statusLine), ("HTTP/1.1 20 x", .statusLine),
            ("HTTP/1.1 2000 x", .statusLine), ("HTTP/1.1  200 x", .statusLine), ("HTTP/1.1 +20 x", .statusLine),
            ("HTTP/1.1 200 a\u{0}b", .statusLine), ("HTTP/1.1 200 a\rb", .lineEnding),
            ("HTTP/2.0 200 x", .unsupportedVersion),
            ("HTP/1.1 200 x", .version), ("200 OK", .version),
        ] as [(String, HeadError?)])
    func statusLines(line: String, error: HeadError?) {
        #expect(Self.error(line + "\r\n\r\n") == error)
    }

    @Test(
        "framing",
        arguments: [
            ("200", "Content-Length: 5", false, .length(5)), ("200", "Transfer-Encoding: chunked", false, .chunked),
            ("200", "A: b", false, .untilClose), ("200", "Content-Length: 5", true, BodyFraming.none),
            ("200", "Transfer-Encoding: chunked", true, BodyFraming.none),
            ("204", "Content-Length: 5", false, BodyFraming.none),
            ("204", "Transfer-Encoding: chunked", false, BodyFraming.none),
            ("304", "Content-Length: 5", false, BodyFraming.none),
            ("100", "Content-Length: 5", false, BodyFraming.none),
        ] as [(String, String, Bool, BodyFraming)])
    func framing(status: String, line: String, toHead: Bool, expected: BodyFraming) throws {
        let head = try Self.parse("HTTP/1.1 \(status) x\r\n\(line)\r\n\r\n", toHead: toHead).get()
        #expect(head.framing == expected)
    }

    @Test(
        "ambiguous framing is refused",
        arguments: [
            "Content-Length: 5\r\nTransfer-Encoding: chunked", "Content-Length: 5\r\nContent-Length: 5",
            "Content-Length: 5, 5", "Content-Length: -1", "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "A : b", "A: b\r\n c", "A: b\u{0}",
        ])
    func ambiguity(lines: String) {
        #expect(Self.error("HTTP/1.1 200 OK\r\n\(lines)\r\n\r\n") != nil)
    }
}
