import HTTPEngine
import Testing

/// Raw bytes in, verdict out.
@Suite("Request heads", .timeLimit(.minutes(15)))
struct RequestHeadTests {
    /// The error, or nil for a head that is taken.
    static func verdict(_ text: String, maxFields: Int = 128) -> HeadError? {
        var scanner = HeadScanner()
        let bytes = Array(text.utf8)
        return bytes.withUnsafeBufferPointer { buffer in
            switch scanner.scan(buffer.baseAddress!, buffer.count) {
            case .failed(let error): return error
            case .incomplete: return .headTooLarge
            case .complete(let length):
                var head = RequestHead()
                return HeadParser(maxFields: maxFields).parse(request: buffer.baseAddress!, length, into: &head)
            }
        }
    }

    static func parse(_ text: String) throws -> (RequestHead, [UInt8], HeadParser) {
        let bytes = Array(text.utf8)
        let parser = HeadParser()
        var head = RequestHead()
        let error = bytes.withUnsafeBufferPointer { parser.parse(request: $0.baseAddress!, $0.count, into: &head) }
        if let error { throw error }
        return (head, bytes, parser)
    }

    @Test(
        "request lines",
        arguments: [
            ("GET / HTTP/1.1", nil), ("OPTIONS * HTTP/1.1", nil), ("GET /a?b=c&d=/?x HTTP/1.1", nil),
            ("GET http://h/ HTTP/1.1", nil), ("GET HTTP://h HTTP/1.1", nil), ("GET http://h:80?q HTTP/1.1", nil),
            ("get / HTTP/1.1", nil), ("M-SEARCH / HTTP/1.1", nil), ("CONNECT h:443 HTTP/1.1", nil),
            ("GET /%41%zz HTTP/1.1", .target), ("GET /% HTTP/1.1", .target), ("GET /a%2 HTTP/1.1", .target),
            ("GET /", .requestLine), ("GET", .requestLine), ("GET / ", .version), ("GET  / HTTP/1.1", .requestLine),
            ("GET /  HTTP/1.1", .version), ("GET / HTTP/1.1 ", .version), (" GET / HTTP/1.1", .method),
            ("GET\t/ HTTP/1.1", .method), ("G(T / HTTP/1.1", .method), ("GET:/ / HTTP/1.1", .method),
            (String(repeating: "A", count: 33) + " / HTTP/1.1", .method), ("GÉT / HTTP/1.1", .method),
            ("GET /a#b HTTP/1.1", .target), ("GET /a?b#c HTTP/1.1", .target), ("GET /?é HTTP/1.1", .target),
            ("GET /a\"<>[]{}|^`\\b?\"<>[]{}|^`\\%zz HTTP/1.1", nil), ("GET http://a\\b/ HTTP/1.1", .target),
            ("GET http://a{/ HTTP/1.1", .target), ("GET \\a HTTP/1.1", .target),
            ("GET /é HTTP/1.1", .target), ("GET /a\u{1}b HTTP/1.1", .target),
            ("GET /a\u{0}b HTTP/1.1", .target), ("GET /a\u{7f} HTTP/1.1", .target), ("GET a HTTP/1.1", .target),
            ("GET * HTTP/1.1", .target), ("OPTIONS *a HTTP/1.1", .target), ("GET h:80 HTTP/1.1", .target),
            ("GET https://h/ HTTP/1.1", nil), ("GET HTTPS://h:443?q HTTP/1.1", nil), ("GET https://h HTTP/1.1", nil),
            ("GET http://h HTTP/1.1", nil), ("GET https:// HTTP/1.1", .target), ("GET http:// HTTP/1.1", .target),
            ("GET https:/h/ HTTP/1.1", .target), ("GET https//h/ HTTP/1.1", .target),
            ("GET httpss://h HTTP/1.1", .target),
            ("GET https://u@h/ HTTP/1.1", .target), ("GET ftp://h/ HTTP/1.1", .target),
            ("GET http:/h/ HTTP/1.1", .target), ("GET http:///a HTTP/1.1", .target),
            ("GET http://u@h/ HTTP/1.1", .target), ("GET http://u:p@h/ HTTP/1.1", .target),
            ("GET http://h:x/ HTTP/1.1", .target), ("CONNECT / HTTP/1.1", .target),
            ("GET / HTTP/1.2", .unsupportedVersion), ("GET / HTTP/0.9", .unsupportedVersion),
            ("GET / HTTP/2.0", .unsupportedVersion), ("PRI * HTTP/2.0", .unsupportedVersion),
            ("GET / HTTP/3.0", .unsupportedVersion), ("GET / HTTP/1.10", .version), ("GET / HTTP/01.1", .version),
            ("GET / http/1.1", .version), ("GET / HTTP/1,1", .version), ("GET / HTTP/11", .version),
            ("GET / HTTP/1.", .version), ("GET / HTTP /1.1", .version), ("GET / XTTP/1.1", .version),
            ("GET / HTTP/1.1\rX", .lineEnding),
        ] as [(String, HeadError?)])
    func requestLines(line: String, error: HeadError?) {
        #expect(Self.verdict(line + "\r\nHost: h\r\n\r\n") == error)
    }

    @Test("a target beyond the limit is a 414")
    func longTarget() {
        let error = Self.verdict("GET /" + String(repeating: "a", count: 8192) + " HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(error == .targetTooLong)
        #expect(error?.status == 414)
    }

    @Test(
        "field lines",
        arguments: [
            ("A: b", nil), ("A:b", nil), ("A:", nil), ("A: \t b \t ", nil), ("A: b\tc", nil), ("A: é", nil),
            ("a!#$%&'*+-.^_`|~9: x", nil),
            ("A : b", .fieldName), ("A\t: b", .fieldName), (": b", .fieldName), ("A", .fieldName),
            ("A b: c", .fieldName),
            ("A(: b", .fieldName), ("A/: b", .fieldName), ("É: b", .fieldName), ("A\u{0}: b", .fieldName),
            (" A: b", .folding), ("\tA: b", .folding), ("A: b\r\n c", .folding), ("A: b\r\n\tc", .folding),
            ("A: b\u{0}c", .fieldValue), ("A: b\u{1}c", .fieldValue), ("A: b\u{7f}c", .fieldValue),
            ("A: b\u{8}", .fieldValue), ("A: b\rc", .lineEnding), ("A: b\r", .lineEnding), ("A\r: b", .fieldName),
        ] as [(String, HeadError?)])
    func fieldLines(line: String, error: HeadError?) {
        #expect(Self.verdict("GET / HTTP/1.1\r\nHost: h\r\n\(line)\r\n\r\n") == error)
        // The same as the last of many bytes, where words of eight are compared.
        let padded = "GET / HTTP/1.1\r\nHost: h\r\nPad: 0123456789\r\n\(line)\r\nEnd: 0123456789abcdef\r\n\r\n"
        #expect(Self.verdict(padded) == error)
    }

    @Test("white space between the request line and the first field is refused")
    func leadingSpace() {
        #expect(Self.verdict("GET / HTTP/1.1\r\n Host: h\r\n\r\n") == .folding)
    }

    @Test(
        "line ends",
        arguments: [
            "GET / HTTP/1.1\nHost: h\n\n", "GET / HTTP/1.1\r\nHost: h\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\n\n",
            "GET / HTTP/1.1\r\nHost: h\r\nA: b\nc: d\r\n\r\n", "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        ])
    func bareLineFeeds(text: String) {
        #expect(Self.verdict(text) == .lineEnding)
    }

    @Test(
        "Host",
        arguments: [
            ("Host: h", nil), ("Host: h:80", nil), ("Host: h:", nil), ("Host: [::1]:8080", nil),
            ("Host: 127.0.0.1", nil),
            ("HOST: a-b_c.example", nil), ("Host: a%41", nil),
            ("Host: [1:2:3:4:5:6:7:8]", nil), ("Host: [::]", nil), ("Host: [1::8]:80", nil),
            ("Host: [1:2:3:4:5:6:7::]", nil), ("Host: [::ffff:1.2.3.4]", nil), ("Host: [1:2:3:4:5:6:1.2.3.4]", nil),
            ("Host: [1:2:3:4:5:6:7]", .badHost), ("Host: [1:2:3:4:5:6:7:8:9]", .badHost),
            ("Host: [1:2:3:4:5:6:7:8::]", .badHost), ("Host: [1::2::3]", .badHost), ("Host: [:::]", .badHost),
            ("Host: [:1::]", .badHost), ("Host: [1:]", .badHost), ("Host: [::1:]", .badHost), ("Host: []", .badHost),
            ("Host: [12345::]", .badHost), ("Host: [::1.2.3]", .badHost), ("Host: [::1.2.3.256]", .badHost),
            ("Host: [::01.2.3.4]", .badHost), ("Host: [::1.2.3.4:5]", .badHost), ("Host: [::1%25a]", .badHost),
            ("Host: [1:2:3:4:5:6:7:1.2.3.4]", .badHost), ("Host: [v1.a]", .badHost),
            ("", .missingHost), ("Host: a\r\nHost: a", .repeatedHost), ("Host: a\r\nhost: b", .repeatedHost),
            ("Host:", .badHost), ("Host: a b", .badHost), ("Host: a,b", .badHost), ("Host: u@h", .badHost),
            ("Host: h/a", .badHost), ("Host: h:8x", .badHost), ("Host: h:65536", .badHost), ("Host: h:80:80", .badHost),
            ("Host: [::1", .badHost), ("Host: [::1]x", .badHost), ("Host: ::1", .badHost), ("Host: [g::1]", .badHost),
            ("Host: é", .badHost), ("Host: :80", .badHost), ("Host: h#", .badHost), ("Host: h?", .badHost),
            ("Host: a%4", .badHost), ("Host: h\\a", .badHost), ("Host: \"h\"", .badHost),
        ] as [(String, HeadError?)])
    func host(line: String, error: HeadError?) {
        let field = line.isEmpty ? "" : line + "\r\n"
        #expect(Self.verdict("GET / HTTP/1.1\r\n\(field)\r\n") == error)
    }

    @Test("HTTP/1.0 may leave Host out, but not get it wrong")
    func oldHost() {
        #expect(Self.verdict("GET / HTTP/1.0\r\n\r\n") == nil)
        #expect(Self.verdict("GET / HTTP/1.0\r\nHost: a b\r\n\r\n") == .badHost)
    }

    @Test("a backslash in a path is no slash, and a quote ends nothing")
    func oddPath() throws {
        let (head, bytes, _) = try Self.parse("GET /v2\\..\\x\"y?a=\"b\\c HTTP/1.1\r\nHost: h\r\n\r\n")
        bytes.withUnsafeBufferPointer { p in
            #expect(head.path.string(in: p.baseAddress!) == "/v2\\..\\x\"y")
            #expect(head.query.string(in: p.baseAddress!) == "?a=\"b\\c")
        }
    }

    @Test("an absolute target replaces Host, which still has to be there and well-formed")
    func absolute() throws {
        let (head, bytes, _) = try Self.parse("GET http://Target:81/a?b HTTP/1.1\r\nHost: other\r\n\r\n")
        bytes.withUnsafeBufferPointer { p in
            #expect(head.authority.string(in: p.baseAddress!) == "Target:81")
            #expect(head.host.string(in: p.baseAddress!) == "Target")
            #expect(head.path.string(in: p.baseAddress!) == "/a")
            #expect(head.query.string(in: p.baseAddress!) == "?b")
        }
        let (secure, text, _) = try Self.parse("GET https://Target:443/a HTTP/1.1\r\nHost: other\r\n\r\n")
        text.withUnsafeBufferPointer { p in
            #expect(secure.authority.string(in: p.baseAddress!) == "Target:443")
            #expect(secure.host.string(in: p.baseAddress!) == "Target")
            #expect(secure.path.string(in: p.baseAddress!) == "/a")
        }
        #expect(Self.verdict("GET http://h/ HTTP/1.1\r\n\r\n") == .missingHost)
        #expect(Self.verdict("GET http://h/ HTTP/1.1\r\nHost: u@h\r\n\r\n") == .badHost)
    }

    @Test(
        "framing",
        arguments: [
            ("Content-Length: 5", .length(5)), ("content-length:5", .length(5)),
            ("Content-Length: 0", BodyFraming.none),
            ("Content-Length: 0005", .length(5)), ("Content-Length: 9223372036854775807", .length(.max)),
            ("Transfer-Encoding: chunked", .chunked), ("transfer-encoding: CHUNKED", .chunked),
            ("Transfer-Encoding: \tchunked ", .chunked), ("A: b", BodyFraming.none),
        ] as [(String, BodyFraming)])
    func framing(line: String, expected: BodyFraming) throws {
        #expect(try Self.parse("POST / HTTP/1.1\r\nHost: h\r\n\(line)\r\n\r\n").0.framing == expected)
    }

    @Test(
        "ambiguous framing is refused",
        arguments: [
            ("Content-Length: 5\r\nTransfer-Encoding: chunked", .bothLengths),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5", .bothLengths),
            ("Content-Length: 0\r\nTransfer-Encoding: chunked", .bothLengths),
            ("Content-Length: 5\r\nContent-Length: 5", .repeatedContentLength),
            ("Content-Length: 5\r\ncontent-length: 6", .repeatedContentLength),
            ("Content-Length: 5, 5", .badContentLength), ("Content-Length: 5,", .badContentLength),
            ("Content-Length: +5", .badContentLength), ("Content-Length: -5", .badContentLength),
            ("Content-Length: ", .badContentLength), ("Content-Length: 5 5", .badContentLength),
            ("Content-Length: 0x5", .badContentLength), ("Content-Length: 5.0", .badContentLength),
            ("Content-Length: \"5\"", .badContentLength), ("Content-Length: 5a", .badContentLength),
            ("Content-Length: 9223372036854775808", .badContentLength),
            ("Content-Length: 18446744073709551621", .badContentLength), ("Content-Length: ５", .badContentLength),
            ("Transfer-Encoding: gzip, chunked", .unknownTransferCoding),
            ("Transfer-Encoding: gzip", .unknownTransferCoding),
            ("Transfer-Encoding: identity", .identityTransferCoding),
            ("Transfer-Encoding: chunked, chunked", .repeatedTransferCoding),
            ("Transfer-Encoding: chunked, gzip", .badTransferCoding),
            ("Transfer-Encoding: chunked, identity", .identityTransferCoding),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", .repeatedTransferCoding),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", .identityTransferCoding),
            ("Transfer-Encoding: \"chunked\"", .badTransferCoding),
            ("Transfer-Encoding: chunked;q=1", .badTransferCoding),
            ("Transfer-Encoding: ,chunked", .badTransferCoding), ("Transfer-Encoding: chunked,", .badTransferCoding),
            ("Transfer-Encoding:", .badTransferCoding), ("Transfer-Encoding: xchunked", .unknownTransferCoding),
            ("Transfer-Encoding: chun ked", .badTransferCoding), ("Transfer-Encoding: \u{b}chunked", .fieldValue),
            ("Content_Length: 5", .aliasedFraming), ("Transfer_Encoding: chunked", .aliasedFraming),
        ] as [(String, HeadError)])
    func ambiguity(lines: String, error: HeadError) {
        #expect(Self.verdict("POST / HTTP/1.1\r\nHost: h\r\n\(lines)\r\n\r\n") == error)
    }

    @Test("HTTP/1.0 has no transfer codings")
    func oldCoding() {
        #expect(
            Self.verdict("POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
                == .transferCodingInOldVersion)
    }

    @Test("one field too many is a 431")
    func tooManyFields() {
        let fields = String(repeating: "a: b\r\n", count: 7)
        #expect(Self.verdict("GET / HTTP/1.1\r\nHost: h\r\n\(fields)\r\n", maxFields: 8) == nil)
        #expect(Self.verdict("GET / HTTP/1.1\r\nHost: h\r\n\(fields)c: d\r\n\r\n", maxFields: 8) == .tooManyFields)
        #expect(HeadError.tooManyFields.status == 431)
    }

    @Test("what Connection names is marked, but for what frames and routes the message")
    func hopByHop() throws {
        let (head, bytes, parser) = try Self.parse(
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: close, X-Secret ,host,,content-length\r\nx-secret: 1\r\n"
                + "Content-Length: 3\r\nY: 2\r\n\r\n")
        #expect(head.fields.connectionClose)
        let marked = bytes.withUnsafeBufferPointer { p in
            (0..<head.fields.count).filter { parser.fields[$0].isHopByHop }.map {
                parser.fields[$0].name.string(in: p.baseAddress!)
            }
        }
        #expect(marked == ["x-secret"])
        #expect(Self.verdict("GET / HTTP/1.1\r\nHost: h\r\nConnection: a b\r\n\r\n") == .fieldValue)
    }

    @Test("keep-alive follows the version and Connection")
    func keepAlive() throws {
        #expect(try Self.parse("GET / HTTP/1.1\r\nHost: h\r\n\r\n").0.keepsAlive)
        #expect(try !Self.parse("GET / HTTP/1.1\r\nHost: h\r\nConnection: Close\r\n\r\n").0.keepsAlive)
        #expect(try !Self.parse("GET / HTTP/1.0\r\nHost: h\r\n\r\n").0.keepsAlive)
        #expect(try Self.parse("GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n").0.keepsAlive)
        #expect(try !Self.parse("GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive, close\r\n\r\n").0.keepsAlive)
    }

    @Test("a head is found wherever it is cut")
    func pieces() {
        let bytes = Array("GET / HTTP/1.1\r\nHost: h\r\n\r\nrest".utf8)
        bytes.withUnsafeBufferPointer { p in
            for cut in 1..<p.count {
                var scanner = HeadScanner()
                let first = scanner.scan(p.baseAddress!, cut)
                if cut < 27 {
                    #expect(first == .incomplete)
                    #expect(scanner.scan(p.baseAddress!, p.count) == .complete(27))
                } else {
                    #expect(first == .complete(27))
                }
            }
        }
    }
}
