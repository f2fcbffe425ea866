/// An incremental reader of one HTTP/1.1 response: a head, then a body that ends by Content-Length, by chunks, or with the
/// connection.
struct ResponseReader {
    /// The largest head in bytes; the agent's heads have a few hundred.
    static let maximumHead = 16 << 10
    /// The largest body in bytes; 1,000 events have about half a megabyte.
    static let maximumBody = 32 << 20

    /// The way in which the end of the body is found, with the bytes that are still missing.
    private enum Framing {
        case length(Int)
        case chunked(left: Int)
        case untilEnd
    }

    /// The status code; nil until the head is complete.
    private(set) var status: Int?
    private(set) var isComplete = false
    /// Bytes that were received and not yet read.
    private var pending: [UInt8] = []
    private var framing = Framing.untilEnd

    /// The error for bytes that are not a response of the agent.
    struct Malformed: Error {}

    /// Reads the next bytes of the response.
    /// - Returns: the bytes of the body among them.
    mutating func read(_ bytes: some Sequence<UInt8>) throws(Malformed) -> [UInt8] {
        pending += bytes
        while status == nil || status == 100 {
            guard let end = Self.endOfHead(pending) else {
                guard pending.count <= Self.maximumHead else { throw Malformed() }
                return []
            }
            let head = String(decoding: pending[..<end], as: UTF8.self)
            pending.removeFirst(end + 4)
            try parseHead(head)
        }
        return try readBody()
    }

    /// Handles the end of the connection.
    mutating func end() throws(Malformed) {
        guard status != nil else { throw Malformed() }
        switch framing {
        case .untilEnd: isComplete = true
        case .length(let left): if left > 0 { throw Malformed() }
        case .chunked: if !isComplete { throw Malformed() }
        }
    }

    private static func endOfHead(_ bytes: [UInt8]) -> Int? {
        guard bytes.count >= 4 else { return nil }
        for i in 0...(bytes.count - 4) where bytes[i] == 13 && bytes[i + 1] == 10 && bytes[i + 2] == 13 { return i }
        return nil
    }

    private mutating func parseHead(_ head: String) throws(Malformed) {
        let lines = head.split(separator: "\r\n", omittingEmptySubsequences: false)
        let start = lines[0].split(separator: " ", maxSplits: 2)
        guard start.count >= 2, start[0].hasPrefix("HTTP/1."), let code = Int(start[1]) else { throw Malformed() }
        status = code
        framing = .untilEnd
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            let value = parts[1].drop { $0 == " " || $0 == "\t" }
            switch parts[0].lowercased() {
            case "content-length":
                guard let length = Int(value), length >= 0 else { throw Malformed() }
                framing = .length(length)
                isComplete = length == 0
            case "transfer-encoding": framing = .chunked(left: 0)
            default: break
            }
        }
    }

    private mutating func readBody() throws(Malformed) -> [UInt8] {
        switch framing {
        case .untilEnd: return removeFirst(pending.count)
        case .length(let left):
            let body = removeFirst(min(left, pending.count))
            framing = .length(left - body.count)
            isComplete = left == body.count
            return body
        case .chunked(var left):
            var body: [UInt8] = []
            while !pending.isEmpty, !isComplete {
                if left > 0 {
                    let part = removeFirst(min(left, pending.count))
                    body += part
                    left -= part.count
                    continue
                }
                // The line break that ends the chunk before.
                if pending.starts(with: [13, 10]) { pending.removeFirst(2) }
                guard let end = pending.firstIndex(of: 10) else { break }
                let line = String(decoding: pending[..<end].prefix { $0 != 13 && $0 != 0x3b }, as: UTF8.self)
                guard let size = Int(line, radix: 16), size >= 0 else { throw Malformed() }
                pending.removeFirst(end + 1)
                if size == 0 { isComplete = true }
                left = size
            }
            framing = .chunked(left: left)
            return body
        }
    }

    private mutating func removeFirst(_ count: Int) -> [UInt8] {
        let part = Array(pending.prefix(count))
        pending.removeFirst(count)
        return part
    }
}
