/// An incremental reader of responses. It does not use the proxy's parser, so that a mistake of that parser does not go
/// unnoticed here.
struct ReplyReader {
    enum Step: Equatable {
        /// The response is incomplete.
        case more
        /// The response is complete.
        case whole
        /// The bytes are not a response to the request.
        case nonsense
    }

    private(set) var status = 0
    /// The value of the header `x-canary-version`.
    private(set) var version = ""
    /// The length of the body that the origin states in the header `x-length`; negative if it does not.
    private(set) var stated = -1
    private(set) var bodyCount = 0
    private(set) var closes = false
    private var length = -1
    private var isChunked = false
    private var isInBody = false
    private var line: [UInt8] = []
    private var chunk = ChunkPart.size
    private var chunkRest = 0

    private enum ChunkPart { case size, data, dataEnd, trailer }

    /// True if the body has as many bytes as the origin stated.
    var isAsStated: Bool { stated < 0 || stated == bodyCount }

    mutating func take(_ bytes: UnsafeBufferPointer<UInt8>) -> Step {
        var at = 0
        while at < bytes.count {
            if isInBody {
                let step = isChunked ? takeChunk(bytes, &at) : takeLength(bytes, &at)
                if step != .more { return at == bytes.count ? step : .nonsense }
            } else {
                line.append(bytes[at])
                at += 1
                guard line.count < 16_384 else { return .nonsense }
                if line.last == 10, line.suffix(4) == [13, 10, 13, 10] {
                    guard readHead() else { return .nonsense }
                    if status < 200 {
                        self = ReplyReader()
                    } else if isInBody, !isChunked, length == 0 {
                        return at == bytes.count ? .whole : .nonsense
                    }
                }
            }
        }
        return .more
    }

    private mutating func readHead() -> Bool {
        let text = String(decoding: line.dropLast(4), as: UTF8.self)
        line.removeAll(keepingCapacity: true)
        for (index, part) in text.split(separator: "\r\n", omittingEmptySubsequences: false).enumerated() {
            if index == 0 {
                guard part.hasPrefix("HTTP/1.1 "), let code = Int(part.dropFirst(9).prefix(3)) else { return false }
                status = code
                continue
            }
            guard let colon = part.firstIndex(of: ":") else { return false }
            let value = part[part.index(after: colon)...].drop { $0 == " " }
            switch part[..<colon].lowercased() {
            case "content-length": length = Int(value) ?? -1
            case "transfer-encoding": isChunked = value == "chunked"
            case "connection": closes = value == "close"
            case "x-canary-version": version = String(value)
            case "x-length": stated = Int(value) ?? -1
            default: break
            }
        }
        isInBody = true
        // No response here ends with the connection.
        return status < 200 || length >= 0 || isChunked
    }

    private mutating func takeLength(_ bytes: UnsafeBufferPointer<UInt8>, _ at: inout Int) -> Step {
        let count = min(length - bodyCount, bytes.count - at)
        bodyCount += count
        at += count
        return bodyCount == length ? .whole : .more
    }

    private mutating func takeChunk(_ bytes: UnsafeBufferPointer<UInt8>, _ at: inout Int) -> Step {
        if chunk == .data {
            let count = min(chunkRest, bytes.count - at)
            bodyCount += count
            chunkRest -= count
            at += count
            if chunkRest == 0 { chunk = .dataEnd }
            return .more
        }
        line.append(bytes[at])
        at += 1
        guard line.suffix(2) == [13, 10] else { return line.count < 1_000 ? .more : .nonsense }
        let text = String(decoding: line.dropLast(2), as: UTF8.self)
        line.removeAll(keepingCapacity: true)
        switch chunk {
        case .size:
            guard let size = Int(text, radix: 16), size >= 0 else { return .nonsense }
            chunkRest = size
            chunk = size == 0 ? .trailer : .data
        case .dataEnd:
            guard text.isEmpty else { return .nonsense }
            chunk = .size
        case .trailer: if text.isEmpty { return .whole }
        case .data: break
        }
        return .more
    }
}
