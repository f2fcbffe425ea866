/// Takes the bytes of one HTTP/1.1 response apart as they come. Only what our own server sends: a head, then a body
/// by Content-Length, chunked, or until the end.
struct ResponseReader {
    /// Bytes of a head; ours have a few hundred.
    static let maximumHead = 16 << 10
    /// Bytes of a body held at once: 1,000 events have about half a megabyte.
    static let maximumBody = 32 << 20

    private enum Framing {
        case length(Int)
        case chunked(left: Int)
        case untilEnd
    }

    private(set) var status: Int?
    private(set) var isComplete = false
    private var pending: [UInt8] = []
    private var framing = Framing.untilEnd

    /// What cannot be an answer of the agent.
    struct Garbled: Error {}

    /// - Returns: the bytes of the body that these brought.
    mutating func take(_ bytes: some Sequence<UInt8>) throws(Garbled) -> [UInt8] {
        pending += bytes
        while status == nil || status == 100 {
            guard let end = Self.endOfHead(pending) else {
                guard pending.count <= Self.maximumHead else { throw Garbled() }
                return []
            }
            let head = String(decoding: pending[..<end], as: UTF8.self)
            pending.removeFirst(end + 4)
            try read(head)
        }
        return try takeBody()
    }

    /// The connection ended.
    mutating func end() throws(Garbled) {
        guard status != nil else { throw Garbled() }
        switch framing {
        case .untilEnd: isComplete = true
        case .length(let left): if left > 0 { throw Garbled() }
        case .chunked: if !isComplete { throw Garbled() }
        }
    }

    private static func endOfHead(_ bytes: [UInt8]) -> Int? {
        guard bytes.count >= 4 else { return nil }
        for i in 0...(bytes.count - 4) where bytes[i] == 13 && bytes[i + 1] == 10 && bytes[i + 2] == 13 { return i }
        return nil
    }

    private mutating func read(_ head: String) throws(Garbled) {
        let lines = head.split(separator: "\r\n", omittingEmptySubsequences: false)
        let start = lines[0].split(separator: " ", maxSplits: 2)
        guard start.count >= 2, start[0].hasPrefix("HTTP/1."), let code = Int(start[1]) else { throw Garbled() }
        status = code
        framing = .untilEnd
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            let value = parts[1].drop { $0 == " " || $0 == "\t" }
            switch parts[0].lowercased() {
            case "content-length":
                guard let length = Int(value), length >= 0 else { throw Garbled() }
                framing = .length(length)
                isComplete = length == 0
            case "transfer-encoding": framing = .chunked(left: 0)
            default: break
            }
        }
    }

    private mutating func takeBody() throws(Garbled) -> [UInt8] {
        switch framing {
        case .untilEnd: return drain(pending.count)
        case .length(let left):
            let body = drain(min(left, pending.count))
            framing = .length(left - body.count)
            isComplete = left == body.count
            return body
        case .chunked(var left):
            var body: [UInt8] = []
            while !pending.isEmpty, !isComplete {
                if left > 0 {
                    let part = drain(min(left, pending.count))
                    body += part
                    left -= part.count
                    continue
                }
                // What remains of the chunk before: its line break.
                if pending.starts(with: [13, 10]) { pending.removeFirst(2) }
                guard let end = pending.firstIndex(of: 10) else { break }
                let line = String(decoding: pending[..<end].prefix { $0 != 13 && $0 != 0x3b }, as: UTF8.self)
                guard let size = Int(line, radix: 16), size >= 0 else { throw Garbled() }
                pending.removeFirst(end + 1)
                if size == 0 { isComplete = true }
                left = size
            }
            framing = .chunked(left: left)
            return body
        }
    }

    private mutating func drain(_ count: Int) -> [UInt8] {
        let part = Array(pending.prefix(count))
        pending.removeFirst(count)
        return part
    }
}
