// The chunk decoder. Compiled together with it by scripts/fuzz; no SwiftPM target.

private struct Decoded: Equatable {
    var content: [UInt8] = []
    var consumed = 0
    var ended = false
    var failed = false
}

/// The first byte is the size of the pieces that the second decoder gets.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzChunks(_ input: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    guard size > 1 else { return 0 }
    let bytes = Array(UnsafeBufferPointer(start: input + 1, count: size - 1))
    let whole = decode(bytes, pieces: bytes.count)
    guard whole == decode(bytes, pieces: Int(input[0] % 16) + 1) else { fatalError("pieces and the whole differ") }
    compare(whole, read(bytes))
    guard whole.ended else { return 0 }

    // What it took it has to take again when it is written canonically.
    var text: [UInt8] = []
    if !whole.content.isEmpty {
        text += Array((String(whole.content.count, radix: 16) + "\r\n").utf8) + whole.content + [13, 10]
    }
    text += Array("0\r\n\r\n".utf8)
    let again = decode(text, pieces: text.count)
    guard again.ended, again.content == whole.content, again.consumed == text.count else {
        fatalError("it means something else when written again")
    }
    return 0
}

/// The decoder cannot vouch for itself: a size that wraps around is decoded alike in pieces and written again.
private func compare(_ decoded: Decoded, _ reading: Reading) {
    guard decoded.content == reading.content else { fatalError("the content is not what the naive reader found") }
    switch reading.verdict {
    case .whole(let consumed):
        guard decoded.ended, decoded.consumed == consumed else { fatalError("it does not end where the body ends") }
    case .bad: guard decoded.failed else { fatalError("it takes what breaks the grammar") }
    case .unfinished: guard !decoded.ended else { fatalError("it ends before the body does") }
    }
}

private func decode(_ bytes: [UInt8], pieces: Int) -> Decoded {
    var decoder = ChunkDecoder()
    var result = Decoded()
    while result.consumed < bytes.count {
        let count = min(pieces, bytes.count - result.consumed)
        // A block of exactly this size: a read beyond it is seen.
        let piece = UnsafeMutablePointer<UInt8>.allocate(capacity: count)
        defer { piece.deallocate() }
        for index in 0..<count { piece[index] = bytes[result.consumed + index] }
        var at = 0
        steps: while true {
            switch decoder.next(piece, count, &at) {
            case .data(let start, let length):
                guard start >= 0, length > 0, start + length == at, at <= count else { fatalError("a wrong range") }
                result.content += UnsafeBufferPointer(start: piece + start, count: length)
            case .needsMore:
                guard at == count else { fatalError("it wants more and has not taken all") }
                break steps
            case .end:
                result.consumed += at
                result.ended = true
                return result
            case .failed:
                result.consumed += at
                result.failed = true
                return result
            }
        }
        result.consumed += count
    }
    return result
}
