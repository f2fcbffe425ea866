import HTTPEngine
import Testing

@Suite("Response heads", .timeLimit(.minutes(15)))
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
        "ambiguous framing is refused, and the reason named",
        arguments: [
            ("Content-Length: 5\r\nTransfer-Encoding: chunked", .bothLengths),
            ("Content-Length: 5\r\nContent-Length: 6", .repeatedContentLength),
            ("Content-Length: 5, 6", .repeatedContentLength),
            ("Content-Length: 5, 5\r\nContent-Length: 6", .repeatedContentLength),
            ("Content-Length: -1", .badContentLength), ("Content-Length: 5,", .badContentLength),
            ("Content-Length: 5, x", .badContentLength), ("Content-Length:", .badContentLength),
            ("Content-Length: ,", .badContentLength), ("Content-Length: 5 5", .badContentLength),
            ("Content-Length: 99999999999999999999", .badContentLength),
            ("Transfer-Encoding: gzip, chunked", .unknownTransferCoding),
            ("Transfer-Encoding: gzip", .unknownTransferCoding),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", .repeatedTransferCoding),
            ("Transfer-Encoding: chunked, chunked", .repeatedTransferCoding),
            ("Transfer-Encoding: identity", .identityTransferCoding),
            ("Transfer-Encoding: identity\r\nContent-Length: 5", .identityTransferCoding),
            ("Transfer-Encoding: chunked;q=1", .badTransferCoding),
            ("A: b\r\n c", .folding), ("A: b\u{0}", .fieldValue), ("A: b\nContent-Length: 5", .lineEnding),
            ("A b: c", .fieldName), (" : b", .folding), ("Content_Length: 5", .aliasedFraming),
        ] as [(String, HeadError)])
    func ambiguity(lines: String, error: HeadError) {
        #expect(Self.error("HTTP/1.1 200 OK\r\n\(lines)\r\n\r\n") == error)
    }

    @Test(
        "one length stated several times is that length",
        arguments: [
            "Content-Length: 5\r\nContent-Length: 5", "Content-Length: 5, 5",
            "content-length: 5 ,05\r\nContent-Length:5",
        ])
    func repeatedLength(lines: String) throws {
        #expect(try Self.parse("HTTP/1.1 200 OK\r\n\(lines)\r\n\r\n").get().framing == .length(5))
    }

    @Test(
        "white space before a colon is no part of the name",
        arguments: [
            ("Content-Length : 5", .length(5)), ("Transfer-Encoding \t: chunked", .chunked), ("A\t: b", .untilClose),
        ]
            as [(String, BodyFraming)])
    func spaceBeforeColon(line: String, framing: BodyFraming) throws {
        #expect(try Self.parse("HTTP/1.1 200 OK\r\n\(line)\r\n\r\n").get().framing == framing)
        #expect(RequestHeadTests.verdict("GET / HTTP/1.1\r\nHost: h\r\n\(line)\r\n\r\n") == .fieldName)
    }

    @Test("every reason has a name of its own")
    func tokens() {
        #expect(Set(HeadError.allCases.map { "\($0.token)" }).count == HeadError.allCases.count)
    }
}
