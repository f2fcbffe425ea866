import Glibc
import HTTPEngine

/// Removes the HTTP/1 framing from a body.
struct BodyReader {
    enum Kind: UInt8 { case none, length, chunked, untilClose }

    enum Step {
        /// A piece of content, at an offset of the input.
        case data(start: Int, count: Int)
        case needsMore
        case end
        /// The chunked coding is malformed.
        case broken
    }

    private(set) var kind = Kind.none
    /// The number of bytes that are still to come of a body with a content length.
    private(set) var remaining: Int64 = 0
    private(set) var isDone = true
    private var decoder = ChunkDecoder()

    init() {}

    init(_ framing: BodyFraming) {
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

    /// Reads the next piece of the body.
    /// - Parameter consumed: the number of input bytes that were read, which may be more than the piece has.
    @inline(__always)
    mutating func next(_ input: UnsafePointer<UInt8>, _ count: Int, _ consumed: inout Int) -> Step {
        switch kind {
        case .none: return .end
        case .length, .untilClose:
            consumed = own(of: count)
            take(consumed)
            return consumed > 0 ? .data(start: 0, count: consumed) : isDone ? .end : .needsMore
        case .chunked:
            switch decoder.next(input, count, &consumed) {
            case .needsMore: return .needsMore
            case .data(let start, let count): return .data(start: start, count: count)
            case .failed: return .broken
            case .end:
                isDone = true
                return .end
            }
        }
    }

    /// The number of input bytes that belong to a body without chunked coding.
    @inline(__always) func own(of count: Int) -> Int {
        kind == .length ? Int(min(remaining, Int64(count))) : count
    }

    /// Counts content of a body without chunked coding that was relayed without `next`.
    @inline(__always) mutating func take(_ count: Int) {
        guard kind == .length else { return }
        remaining -= Int64(count)
        if remaining == 0 { isDone = true }
    }

    /// Handles the end of the sender's input. Returns true if that is how the body ends.
    mutating func closed() -> Bool {
        if kind == .untilClose { isDone = true }
        return isDone
    }
}

/// Puts the HTTP/1 framing on a body.
struct BodyWriter {
    private(set) var isChunked = false

    /// The number of bytes that a piece needs beside its content: the chunk's size, two line ends, and the last chunk.
    @inline(__always) var overhead: Int { isChunked ? 32 : 0 }

    /// Appends a piece of content.
    /// - Precondition: the output has room for the piece and `overhead`.
    @inline(__always)
    func append(_ from: UnsafePointer<UInt8>, _ count: Int, _ output: inout ByteSlice) {
        guard isChunked else { return output.append(from, count) }
        output.append(hexadecimal: count)
        output.append("\r\n")
        output.append(from, count)
        output.append("\r\n")
    }

    @inline(__always) func end(_ output: inout ByteSlice) {
        if isChunked { output.append("0\r\n\r\n") }
    }
}

/// Relays a body from one side to the other and replaces its framing.
struct BodyRelay {
    enum Progress {
        /// All input was consumed.
        case needsInput
        /// The output is full.
        case needsRoom
        case done
        /// The chunked coding is malformed.
        case broken
    }

    private(set) var reader = BodyReader()
    private(set) var writer = BodyWriter()
    /// True if `relay` has relayed at least one byte of content; framing does not count.
    private(set) var hasContent = false

    init() {}

    init(_ framing: BodyFraming, chunkedOut: Bool) {
        reader = BodyReader(framing)
        writer = BodyWriter(isChunked: chunkedOut)
    }

    /// The number of bytes that the end of a body may need.
    static let endLength = 16

    @inline(__always) var isDone: Bool { reader.isDone }

    /// True if the content is relayed unchanged, so that it can be sent from where it was read.
    @inline(__always) var isVerbatim: Bool {
        !writer.isChunked && (reader.kind == .length || reader.kind == .untilClose)
    }

    /// The number of input bytes that can be sent as they are.
    @inline(__always) func verbatim(of count: Int) -> Int { reader.own(of: count) }

    /// Counts bytes that were sent as they are.
    @inline(__always) mutating func sent(verbatim count: Int) { reader.take(count) }

    /// Relays as much input as the output has room for.
    mutating func relay(_ input: inout ByteSlice, _ output: inout ByteSlice) -> Progress {
        guard !reader.isDone else { return .done }
        while !input.isEmpty {
            let space = output.room - writer.overhead
            guard space > 0 else { return .needsRoom }
            let from = input.first
            var consumed = 0
            let step = reader.next(from, min(input.count, space), &consumed)
            input.start += consumed
            if case .data(let start, let count) = step {
                hasContent = true
                writer.append(from + start, count, &output)
            }
            if case .broken = step { return .broken }
            if reader.isDone {
                writer.end(&output)
                return .done
            }
        }
        return .needsInput
    }

    /// Handles the end of the sender's input. Returns true if that is how the body ends.
    /// - Precondition: the output has room for `endLength` bytes.
    mutating func closed(_ output: inout ByteSlice) -> Bool {
        guard !reader.isDone else { return true }
        guard reader.closed() else { return false }
        writer.end(&output)
        return true
    }
}
