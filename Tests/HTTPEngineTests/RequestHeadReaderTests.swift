import HTTPEngine
import Testing

@Suite(.timeLimit(.minutes(15))) struct RequestHeadReaderTests {
    private enum Result: Equatable {
        case head(path: String, length: Int)
        case refused(HeadError)
        case incomplete
    }

    /// Reads what has come at each of the given lengths, as a connection does over several reads.
    private func read(_ text: String, at lengths: [Int], maxHead: Int = 512) -> Result {
        let parser = HeadParser(maxTarget: 64)
        var reader = RequestHeadReader()
        var skipped = 0
        let bytes = Array(text.utf8)
        return bytes.withUnsafeBufferPointer { buffer in
            for length in lengths {
                var head = RequestHead()
                while length > skipped {
                    let start = buffer.baseAddress! + skipped
                    switch reader.read(start, length - skipped, maxHead: maxHead, parser, into: &head) {
                    case .incomplete: break
                    case .emptyLine(let count):
                        skipped += count
                        continue
                    case .complete(let count): return .head(path: head.path.string(in: start), length: skipped + count)
                    case .refused(let error): return .refused(error)
                    }
                    break
                }
            }
            return .incomplete
        }
    }

    @Test(
        "a head is the same however it is divided into reads",
        arguments: [
            "GET /a HTTP/1.1\r\nHost: h\r\n\r\n", "\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\nGET /next",
        ])
    func divided(text: String) {
        let count = text.utf8.count
        let whole = read(text, at: [count])
        guard case .head("/a", let length) = whole else {
            Issue.record("\(whole)")
            return
        }
        #expect(text.utf8.prefix(length).suffix(4).elementsEqual("\r\n\r\n".utf8))
        for cut in 1..<count { #expect(read(text, at: [cut, count]) == whole, "\(cut)") }
        #expect(read(text, at: Array(1...count)) == whole)
        #expect(read(text, at: Array(1..<length)) == .incomplete)
    }

    @Test(
        "what can be no head is refused before its end",
        arguments: [
            ("\u{16}\u{3}\u{1}", HeadError.method), ("GET /a FTP/1\r\nHost", .version),
            ("GET /" + String(repeating: "a", count: 200), .targetTooLong), ("\r\n\r\n", .emptyLine),
            ("GET /a HTTP/1.1\r\nA: " + String(repeating: "a", count: 600), .headTooLarge),
        ])
    func early(text: String, error: HeadError) {
        #expect(read(text, at: [text.utf8.count]) == .refused(error))
    }
}
