import GrowthMeasure
import Testing

@testable import HTTPEngine

@Suite("The cost of a message grows with its size", .timeLimit(.minutes(15)))
struct GrowthTests {
    private static let heads: [@Sendable (Int) -> String] = [
        { count in
            "GET / HTTP/1.1\r\nHost: a\r\n" + (0..<count).map { "X-\($0): \($0)\r\n" }.joined() + "\r\n"
        },
        { count in "GET / HTTP/1.1\r\nHost: a\r\nX-A: " + String(repeating: "a ", count: 20 * count) + "\r\n\r\n" },
        { count in "GET / HTTP/1.1\r\nHost: a\r\nX-A:" + String(repeating: " ", count: 40 * count) + "\r\n\r\n" },
        { count in "GET /" + String(repeating: "%41/", count: 10 * count) + " HTTP/1.1\r\nHost: a\r\n\r\n" },
        { count in
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: " + (0..<8 * count).map { "x\($0)" }.joined(separator: ", ")
                + "\r\n\r\n"
        },
        { count in
            "GET / HTTP/1.1\r\nHost: a\r\n" + String(repeating: "Connection: close\r\nTE: trailers\r\n", count: count)
                + "\r\n"
        },
    ]

    @Test("a head", arguments: heads.indices)
    func head(shape: Int) {
        let parser = HeadParser(maxFields: 100_000, maxTarget: 10_000_000)
        let factor = Growth.factor(2_000) { count in
            [UInt8](Self.heads[shape](count).utf8)
        } _: { bytes in
            var head = RequestHead()
            _ = bytes.withUnsafeBufferPointer { parser.parse(request: $0.baseAddress!, $0.count, into: &head) }
        }
        #expect(factor <= Growth.limit)
    }

    @Test("a head that comes byte by byte is looked at once")
    func scanner() {
        let factor = Growth.factor(50_000) { count in
            [UInt8](("GET / HTTP/1.1\r\n" + String(repeating: "a:b\r\n", count: count / 5) + "\r\n").utf8)
        } _: { bytes in
            var scanner = HeadScanner()
            bytes.withUnsafeBufferPointer { for count in 1...$0.count { _ = scanner.scan($0.baseAddress!, count) } }
        }
        #expect(factor <= Growth.limit)
    }

    @Test("a chunked body, whatever its chunks and however it comes", arguments: [1, 16, 4096], [1, 4096])
    func chunks(chunk: Int, piece: Int) {
        let factor = Growth.factor(40_000) { count in
            let part = String(chunk, radix: 16) + "\r\n" + String(repeating: "a", count: chunk) + "\r\n"
            return [UInt8]((String(repeating: part, count: max(count / part.utf8.count, 1)) + "0\r\n\r\n").utf8)
        } _: { bytes in
            var decoder = ChunkDecoder()
            bytes.withUnsafeBufferPointer { body in
                var start = 0
                while start < body.count {
                    let count = min(piece, body.count - start)
                    var at = 0
                    decoding: while true {
                        switch decoder.next(body.baseAddress! + start, count, &at) {
                        case .data: continue
                        case .needsMore, .end, .failed: break decoding
                        }
                    }
                    start += count
                }
            }
        }
        #expect(factor <= Growth.limit)
    }
}
