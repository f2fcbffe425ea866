import Glibc
import HTTPEngine

/// Where a body is on its way from one side to the other. Touches bytes only; sockets are someone else's.
struct BodyRelay {
    enum Kind: UInt8 { case none, length, chunked, untilClose }

    enum Progress {
        /// All input was taken.
        case needsInput
        /// The output is full.
        case needsRoom
        case done
        /// The coding is broken.
        case broken
    }

    private(set) var kind = Kind.none
    private(set) var remaining: Int64 = 0
    private var decoder = ChunkDecoder()
    /// Whether the outgoing side is chunked.
    private(set) var isChunkedOut = false
    private(set) var isDone = true
    /// At least one byte of the content itself went through `relay`; its framing does not count.
    private(set) var hasContent = false

    /// What a chunk adds: size, two line ends, and the last chunk.
    private static let chunkOverhead = 32

    init() {}

    init(_ framing: BodyFraming, chunkedOut: Bool) {
        isChunkedOut = chunkedOut
        isDone = false
        switch framing {
        case .none: isDone = true
        case .length(let length):
            kind = .length
            remaining = length
            isDone = length == 0
        case .chunked: kind = .chunked
        case .untilClose: kind = .untilClose
        }
    }

    /// Bytes go through unchanged: they can be sent from where they were read.
    @inline(__always) var isVerbatim: Bool { !isChunkedOut && (kind == .length || kind == .untilClose) }

    /// Takes as much input as there is output room for.
    mutating func relay(_ input: inout ByteSlice, _ output: inout ByteSlice) -> Progress {
        if isDone { return .done }
        switch kind {
        case .none: return .done
        case .length: return relayLength(&input, &output)
        case .chunked: return relayChunks(&input, &output)
        case .untilClose: return relayRest(&input, &output)
        }
    }

    /// So many bytes went out by themselves.
    @inline(__always) mutating func sent(verbatim count: Int) {
        guard kind == .length else { return }
        remaining -= Int64(count)
        if remaining == 0 { isDone = true }
    }

    /// How many bytes of the input belong to the body, for sending them as they are.
    @inline(__always) func verbatim(of count: Int) -> Int {
        kind == .length ? Int(min(remaining, Int64(count))) : count
    }

    /// The sender closed. True where that is how the body ends; needs room for a last chunk.
    mutating func closed(_ output: inout ByteSlice) -> Bool {
        guard kind == .untilClose, !isDone else { return isDone }
        if isChunkedOut { output.append("0\r\n\r\n") }
        isDone = true
        return true
    }

    private mutating func relayLength(_ input: inout ByteSlice, _ output: inout ByteSlice) -> Progress {
        let count = min(verbatim(of: input.count), output.room)
        if count > 0 {
            hasContent = true
            output.append(input.first, count)
            input.start += count
            remaining -= Int64(count)
        }
        if remaining == 0 {
            isDone = true
            return .done
        }
        return input.isEmpty ? .needsInput : .needsRoom
    }

    private mutating func relayRest(_ input: inout ByteSlice, _ output: inout ByteSlice) -> Progress {
        let space = output.room - (isChunkedOut ? Self.chunkOverhead : 0)
        let count = min(input.count, max(space, 0))
        if count > 0 {
            hasContent = true
            appendChunk(input.first, count, &output)
            input.start += count
        }
        return input.isEmpty ? .needsInput : .needsRoom
    }

    private mutating func relayChunks(_ input: inout ByteSlice, _ output: inout ByteSlice) -> Progress {
        while !input.isEmpty {
            let space = output.room - Self.chunkOverhead
            guard space > 0 else { return .needsRoom }
            var at = 0
            let step = decoder.next(input.first, min(input.count, space), &at)
            let from = input.first
            input.start += at
            switch step {
            case .needsMore: continue
            case .data(let start, let count):
                hasContent = true
                appendChunk(from + start, count, &output)
            case .failed: return .broken
            case .end:
                if isChunkedOut { output.append("0\r\n\r\n") }
                isDone = true
                return .done
            }
        }
        return .needsInput
    }

    @inline(__always)
    private func appendChunk(_ from: UnsafePointer<UInt8>, _ count: Int, _ output: inout ByteSlice) {
        guard isChunkedOut else { return output.append(from, count) }
        output.append(hexadecimal: count)
        output.append("\r\n")
        output.append(from, count)
        output.append("\r\n")
    }
}
