import CLinuxEngine

/// Reads request heads from the bytes of a connection, over any number of reads. Used by the proxy and by `HTTPServer`.
public struct RequestHeadReader: Sendable {
    public enum Progress: Sendable {
        /// The head is not complete.
        case incomplete
        /// The bytes begin with an empty line of this length, which does not belong to a head. The caller drops it and
        /// reads again.
        case emptyLine(Int)
        /// The head's length, including its empty line.
        case complete(Int)
        case refused(HeadError)
    }

    private var scanner = HeadScanner()
    private var skippedEmptyLine = false
    private var checkedFirstLine = false

    public init() {}

    /// Examines the bytes of the next head. After `complete` or `refused` the reader is ready for another one.
    /// - Parameters:
    ///   - bytes: the bytes from the head's first one on; each call has those of the last one and more.
    ///   - count: their number, > 0.
    ///   - maxHead: the largest head in bytes.
    public mutating func read(
        _ bytes: UnsafePointer<UInt8>, _ count: Int, maxHead: Int, _ parser: HeadParser, into head: inout RequestHead
    ) -> Progress {
        if !skippedEmptyLine, count >= 2, bytes[0] == 13, bytes[1] == 10 {
            // RFC 9112, 2.2: an empty line before a request is ignored.
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

    /// Refuses bytes that cannot be the beginning of an HTTP/1.1 head, without waiting for its end or its deadline; nil
    /// if they can be.
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

    /// The largest number of bytes of a first line besides its target.
    private static let lineSlack = 64
}
