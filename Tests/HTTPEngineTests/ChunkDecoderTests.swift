import HTTPEngine
import Testing

@Suite("Chunked coding", .timeLimit(.minutes(15)))
struct ChunkDecoderTests {
    enum Verdict: Equatable {
        case body(String, rest: Int)
        case more
        case failed
    }

    /// Feeds the bytes in pieces of `pieces` bytes and concatenates the content.
    static func decode(_ text: String, pieces: Int) -> Verdict {
        var decoder = ChunkDecoder()
        var content: [UInt8] = []
        let bytes = Array(text.utf8)
        var start = 0
        while start < bytes.count {
            let piece = Array(bytes[start..<min(start + pieces, bytes.count)])
            var at = 0
            steps: while true {
                let step = piece.withUnsafeBufferPointer { decoder.next($0.baseAddress!, $0.count, &at) }
                switch step {
                case .needsMore: break steps
                case .data(let from, let count): content += piece[from..<from + count]
                case .end: return .body(String(decoding: content, as: UTF8.self), rest: bytes.count - start - at)
                case .failed: return .failed
                }
            }
            start += pieces
        }
        return .more
    }

    @Test(
        "well-formed bodies are decoded alike in pieces of any size",
        arguments: [
            ("0\r\n\r\n", "", 0), ("3\r\nabc\r\n0\r\n\r\n", "abc", 0), ("3\r\nabc\r\n0\r\n\r\nGET", "abc", 3),
            ("a\r\n0123456789\r\nB\r\n0123456789a\r\n00\r\n\r\n", "01234567890123456789a", 0),
            ("003\r\nabc\r\n000\r\n\r\n", "abc", 0), ("3;a\r\nabc\r\n0;b=c\r\n\r\n", "abc", 0),
            ("3 ; a = \"x;\\\" y\" ;b\r\nabc\r\n0\r\n\r\n", "abc", 0),
            ("0\r\nA: b\r\nC:\r\n\r\n", "", 0),
        ])
    func good(text: String, content: String, rest: Int) {
        for size in [1, 2, 3, 7, 1000] {
            #expect(Self.decode(text, pieces: size) == .body(content, rest: rest))
        }
    }

    @Test(
        "malformed bodies are refused",
        arguments: [
            "3;a=\"x;\\\"\r\"\r\nabc\r\n0\r\n\r\n",
            "\r\n", "x\r\n", "-1\r\n", "+3\r\nabc\r\n", " 3\r\nabc\r\n", "3 \r\nabc\r\n", "3\t\r\nabc\r\n",
            "0x3\r\nabc\r\n",
            "3\nabc\n0\n\n", "3\rabc\r\n", "3\r\nabcd\r\n", "3\r\nab\r\n0\r\n\r\n", "3\r\nabc\n0\r\n\r\n",
            "3\r\nabc\r0\r\n",
            "3\r\nabc0\r\n\r\n", "1000000000000000\r\n", "fffffffffffffffff\r\n", "0000000000000000003\r\nabc\r\n",
            "3;\r\nabc\r\n", "3;a=\r\nabc\r\n", "3;a=\"b\r\nabc\r\n", "3;a\nabc\r\n", "3;\u{0}\r\n", "3;a b\r\n",
            "3;=b\r\n",
            "3;a=\"b\"c\r\n", "3,\r\nabc\r\n", "0\r\nA b\r\n\r\n", "0\r\n: b\r\n\r\n", "0\r\nA: b\u{0}\r\n\r\n",
            "0\r\n a\r\n",
            "0\r\nA: b\n\r\n", "0\r\n\n", "0\r\n\rX", "0\n\r\n", "3.0\r\n", "３\r\n",
        ])
    func bad(text: String) {
        for size in [1, 2, 5, 1000] { #expect(Self.decode(text, pieces: size) == .failed) }
    }

    @Test("extensions and trailers are bounded over the whole body")
    func overhead() {
        let chunk = "1;" + String(repeating: "a", count: 1000) + "\r\nx\r\n"
        #expect(
            Self.decode(String(repeating: chunk, count: 8) + "0\r\n\r\n", pieces: 1000) == .body("xxxxxxxx", rest: 0))
        #expect(Self.decode(String(repeating: chunk, count: 9) + "0\r\n\r\n", pieces: 1000) == .failed)
        let trailer = "A: " + String(repeating: "a", count: 9000)
        #expect(Self.decode("0\r\n\(trailer)\r\n\r\n", pieces: 1000) == .failed)
    }

    @Test("a body that ends early is not complete")
    func early() {
        for text in ["3\r\nabc", "3\r\nabc\r\n", "3", "0\r\n", "0\r\n\r", "3;a"] {
            #expect(Self.decode(text, pieces: 100) == .more)
        }
    }
}
