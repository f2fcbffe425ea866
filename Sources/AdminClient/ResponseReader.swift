import HTTPEngine

/// An incremental reader of one HTTP/1.1 response, on the parser and the chunk decoder of the HTTP engine. Its work is
/// linear in the bytes, however they are divided.
struct ResponseReader {
    /// The largest head in bytes; the agent's heads have a few hundred.
    static let maximumHead = 16 << 10
    /// The largest body in bytes; 1,000 events have about half a megabyte.
    static let maximumBody = 32 << 20
    /// The most interim responses (1xx) before the final one.
    static let maximumInterim = 16

    /// The error for bytes that are not an HTTP/1.1 response.
    struct Malformed: Error {}

    private enum State {
        case head
        case length(Int64)
        case chunks
        case untilClose
        case complete
    }

    /// The status code; nil until the head is complete.
    private(set) var status: Int?
    var isComplete: Bool { if case .complete = state { true } else { false } }

    private var state = State.head
    /// The bytes of the head that have come so far.
    private var head: [UInt8] = []
    private var scanner = HeadScanner()
    private let parser = HeadParser()
    private var interim = 0
    private var decoder = ChunkDecoder()

    /// Reads the next bytes of the response.
    /// - Returns: the bytes of the body among them. Bytes behind the end of the response are ignored.
    mutating func read(_ bytes: ArraySlice<UInt8>) throws(Malformed) -> [UInt8] {
        var rest = bytes
        while case .head = state {
            guard let body = try readHead(rest) else { return [] }
            rest = body
        }
        switch state {
        case .head, .complete: return []
        case .untilClose: return Array(rest)
        case .length(let left):
            let body = rest.prefix(Int(min(left, Int64(rest.count))))
            let missing = left - Int64(body.count)
            state = missing == 0 ? .complete : .length(missing)
            return Array(body)
        case .chunks: return try decode(rest)
        }
    }

    /// Handles the end of the connection.
    mutating func end() throws(Malformed) {
        switch state {
        case .complete: break
        case .untilClose: state = .complete
        case .head, .length, .chunks: throw Malformed()
        }
    }

    /// Reads on in the head of this response, or of an interim one before it.
    /// - Returns: the bytes behind the head; nil if it is not complete yet.
    private mutating func readHead(_ bytes: ArraySlice<UInt8>) throws(Malformed) -> ArraySlice<UInt8>? {
        head += bytes
        let found = head.withUnsafeBufferPointer { buffer in
            buffer.baseAddress.map { scanner.scan($0, buffer.count) } ?? .incomplete
        }
        switch found {
        case .failed: throw Malformed()
        case .incomplete:
            guard head.count <= Self.maximumHead else { throw Malformed() }
            return nil
        case .complete(let length):
            guard length <= Self.maximumHead else { throw Malformed() }
            var parsed = ResponseHead()
            let error = head.withUnsafeBufferPointer { buffer in
                buffer.baseAddress.flatMap { parser.parse(response: $0, length, toHead: false, into: &parsed) }
            }
            guard error == nil else { throw Malformed() }
            let rest = head[length...]
            head = []
            scanner = HeadScanner()
            if parsed.status < 200, parsed.status != 101 {
                interim += 1
                guard interim <= Self.maximumInterim else { throw Malformed() }
                return rest
            }
            status = parsed.status
            switch parsed.framing {
            case .none: state = .complete
            case .length(let count): state = .length(count)
            case .chunked: state = .chunks
            case .untilClose: state = .untilClose
            }
            return rest
        }
    }

    private mutating func decode(_ bytes: ArraySlice<UInt8>) throws(Malformed) -> [UInt8] {
        var body: [UInt8] = []
        let isWhole: Bool? = bytes.withUnsafeBufferPointer { buffer in
            guard let start = buffer.baseAddress else { return false }
            var place = 0
            while true {
                switch decoder.next(start, buffer.count, &place) {
                case .needsMore: return false
                case .data(let offset, let count): body += buffer[offset..<offset + count]
                case .end: return true
                case .failed: return nil
                }
            }
        }
        guard let isWhole else { throw Malformed() }
        if isWhole { state = .complete }
        return body
    }
}
