import CLinuxEngine

/// Reads request heads from the bytes of a connection, over as many reads as each takes. Both servers use it: the proxy
/// and `HTTPServer`.
public struct RequestHeadReader: Sendable {
    public enum Progress: Sendable {
        /// The head goes on beyond what has come.
        case incomplete
        /// The bytes begin with an empty line of this length, which is no part of a head: they are to be dropped, and
        /// the rest read again.
        case emptyLine(Int)
        /// The head's length, with its empty line.
        case complete(Int)
        case refused(HeadError)
    }

    private var scanner = HeadScanner()
    private var skippedEmptyLine = false
    private var checkedFirstLine = false

    public init() {}

    /// Looks at the bytes of the next head. After `complete` or `refused` the reader is ready for another one.
    /// - Parameters:
    ///   - bytes: from the head's first byte; the same bytes and more at the next call. `count` is above 0.
    ///   - maxHead: the most bytes that a head may have.
    public mutating func read(
        _ bytes: UnsafePointer<UInt8>, _ count: Int, maxHead: Int, _ parser: HeadParser, into head: inout RequestHead
    ) -> Progress {
        if !skippedEmptyLine, count >= 2, bytes[0] == 13, bytes[1] == 10 {
            // RFC 9112, 2.2: one empty line before a request is ignored.
            skippedEmptyLine = true
            return .emptyLine(2)
        }
        let count = min(count, maxHead)
        switch scanner.scan(bytes, count) {
        case .complete(let length):
            self = RequestHeadReader()
            if let error = parser.parse(request: bytes, length, into: &head) { return .refused(error) }
            return .complete(length)
        case .failed(let error):
            self = RequestHeadReader()
            return .refused(error)
        case .incomplete:
            guard let error = early(bytes, count, maxHead, parser) else { return .incomplete }
            self = RequestHeadReader()
            return .refused(error)
        }
    }

    /// The verdict on what can be no HTTP/1.1 head, which need not wait for its end, or for its deadline.
    private mutating func early(
        _ bytes: UnsafePointer<UInt8>, _ count: Int, _ maxHead: Int, _ parser: HeadParser
    ) -> HeadError? {
        if ce_class(bytes[0]) & UInt8(CE_TOKEN) == 0, bytes[0] != 13 { return .method }
        let line = HeadScanner.firstLine(bytes, count)
        if let line, !checkedFirstLine {
            checkedFirstLine = true
            if let error = parser.check(requestLine: bytes, line) { return error }
        }
        guard count >= maxHead || line == nil && count > parser.maxTarget + Self.lineSlack else { return nil }
        return line == nil ? .targetTooLong : .headTooLarge
    }

    /// The bytes that a first line may have beside its target.
    private static let lineSlack = 64
}
