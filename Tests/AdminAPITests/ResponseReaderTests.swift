import GrowthMeasure
import Testing

@testable import AdminClient

@Suite("What the client reads of a response", .timeLimit(.minutes(15)))
struct ResponseReaderTests {
    /// The status and body of a response that comes in pieces of a size and then ends; nil if it is malformed.
    private func read(_ text: String, pieces: Int = .max) -> (status: Int?, body: String, isComplete: Bool)? {
        var reader = ResponseReader()
        var body: [UInt8] = []
        do throws(ResponseReader.Malformed) {
            var rest = Array(text.utf8)[...]
            while !rest.isEmpty {
                body += try reader.read(rest.prefix(pieces))
                rest = rest.dropFirst(pieces)
            }
            if !reader.isComplete { try reader.end() }
        } catch { return nil }
        return (reader.status, String(decoding: body, as: UTF8.self), reader.isComplete)
    }

    static let whole = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, more", 200, "hello"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=1\r\nhe\r\n3\r\nllo\r\n0\r\nA: b\r\n\r\n", 200,
            "hello"
        ),
        ("HTTP/1.0 200 OK\r\n\r\nhello", 200, "hello"),
        ("HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404, ""),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            200, "ok"
        ),
    ]

    @Test("A response is read whole, however its bytes are divided", arguments: [1, 2, 3, 7, .max])
    func divided(pieces: Int) {
        for (text, status, body) in Self.whole {
            let read = read(text, pieces: pieces)
            #expect(
                read?.status == status && read?.body == body && read?.isComplete == true, "\(text.debugDescription)")
        }
    }

    @Test(
        "What is no HTTP/1.1 response, or ends too early, is malformed",
        arguments: [
            "", "teapot\r\n\r\n", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: " + String(repeating: "x", count: ResponseReader.maximumHead),
            String(repeating: "HTTP/1.1 100 Continue\r\n\r\n", count: ResponseReader.maximumInterim + 1)
                + "HTTP/1.1 204 No Content\r\n\r\n",
        ])
    func malformed(text: String) { #expect(read(text) == nil) }

    @Test("Each byte is looked at a fixed number of times: a body of tiny chunks in one piece costs in proportion")
    func linear() {
        // The reader before this one moved the rest of the bytes after each chunk.
        func response(_ chunks: Int) -> ArraySlice<UInt8> {
            Array(
                ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    + String(repeating: "1\r\nx\r\n", count: chunks) + "0\r\n\r\n").utf8)[...]
        }
        let factor = Growth.factor(20_000, response) { bytes in
            var reader = ResponseReader()
            #expect((try? reader.read(bytes).count) != nil)
        }
        #expect(factor <= Growth.limit)
    }
}
