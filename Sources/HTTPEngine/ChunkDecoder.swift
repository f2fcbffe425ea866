import CLinuxEngine

/// A strict decoder of the chunked coding of RFC 9112, 7.1. Extensions and trailers are checked and dropped.
public struct ChunkDecoder: Sendable {
    private enum State: UInt8 {
        case sizeStart, size, afterSize, extensionName, extensionNameStart, extensionEquals, extensionValueStart,
            extensionValue, extensionQuoted, extensionEscaped, extensionQuotedEnd
        case sizeLineFeed, data, dataReturn, dataLineFeed
        case trailerStart, trailerName, trailerValue, trailerLineFeed, endLineFeed, ended
    }

    public enum Step: Equatable, Sendable {
        /// All input was consumed, without further content.
        case needsMore
        /// A piece of content: its offset and length in the input.
        case data(Int, Int)
        case end
        case failed
    }

    private var state = State.sizeStart
    private var remaining: UInt64 = 0
    private var digits: UInt8 = 0
    private var overhead: Int32 = 0

    /// The largest number of bytes of extensions and trailers in a body. They are dropped anyway, so they must not cost
    /// much.
    private static var maxOverhead: Int32 { 8192 }
    /// The largest number of digits of a chunk's size; 15 hexadecimal digits stay below 2^60.
    private static var maxDigits: UInt8 { 15 }

    public init() {}

    /// Decodes from offset `at`, which is moved behind the consumed input. Call it until it needs more, ends or fails.
    public mutating func next(_ p: UnsafePointer<UInt8>, _ count: Int, _ at: inout Int) -> Step {
        while at < count {
            if state == .data {
                let length = Int(min(remaining, UInt64(count - at)))
                let start = at
                at += length
                remaining -= UInt64(length)
                if remaining == 0 { state = .dataReturn }
                return .data(start, length)
            }
            let byte = p[at]
            at += 1
            guard take(byte) else { return .failed }
            if state == .ended { return .end }
        }
        return .needsMore
    }

    private mutating func spend() -> Bool {
        overhead += 1
        return overhead <= Self.maxOverhead
    }

    private mutating func go(_ next: State) -> Bool {
        state = next
        return true
    }

    /// Takes a byte that is not content. Returns false if the coding is malformed.
    private mutating func take(_ byte: UInt8) -> Bool {
        switch state {
        case .sizeStart, .size: return takeSize(byte)
        case .sizeLineFeed:
            guard byte == 10 else { return false }
            digits = 0
            return go(remaining == 0 ? .trailerStart : .data)
        case .dataReturn: return byte == 13 && go(.dataLineFeed)
        case .dataLineFeed: return byte == 10 && go(.sizeStart)
        case .data, .ended: return false
        case .afterSize, .extensionName, .extensionNameStart, .extensionEquals, .extensionValueStart,
            .extensionValue, .extensionQuoted, .extensionEscaped, .extensionQuotedEnd:
            return spend() && takeExtension(byte)
        case .trailerStart:
            if byte == 13 { return go(.endLineFeed) }
            return isToken(byte) && spend() && go(.trailerName)
        case .trailerName:
            guard spend() else { return false }
            return byte == 0x3a ? go(.trailerValue) : isToken(byte)
        case .trailerValue:
            guard spend() else { return false }
            return byte == 13 ? go(.trailerLineFeed) : ce_class(byte) & UInt8(CE_FIELD) != 0
        case .trailerLineFeed: return byte == 10 && go(.trailerStart)
        case .endLineFeed: return byte == 10 && go(.ended)
        }
    }

    private mutating func takeSize(_ byte: UInt8) -> Bool {
        if let value = hexValue(byte) {
            guard digits < Self.maxDigits else { return false }
            remaining = state == .sizeStart ? UInt64(value) : remaining << 4 | UInt64(value)
            digits += 1
            return go(.size)
        }
        guard state == .size else { return false }
        if byte == 13 { return go(.sizeLineFeed) }
        if byte == 0x3b { return spend() && go(.extensionNameStart) }
        // White space is only allowed before an extension.
        return (byte == 0x20 || byte == 9) && spend() && go(.afterSize)
    }

    /// Takes a byte of an extension: `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`.
    private mutating func takeExtension(_ byte: UInt8) -> Bool {
        let isSpace = byte == 0x20 || byte == 9
        switch state {
        case .afterSize: return isSpace || byte == 0x3b && go(.extensionNameStart)
        case .extensionNameStart: return isSpace || isToken(byte) && go(.extensionName)
        case .extensionName:
            if isToken(byte) { return true }
            if byte == 0x3d { return go(.extensionValueStart) }
            return isSpace ? go(.extensionEquals) : endExtension(byte)
        case .extensionEquals:
            return isSpace || (byte == 0x3d ? go(.extensionValueStart) : byte == 0x3b && go(.extensionNameStart))
        case .extensionValueStart:
            return isSpace || (byte == 0x22 ? go(.extensionQuoted) : isToken(byte) && go(.extensionValue))
        case .extensionValue:
            if isToken(byte) { return true }
            return isSpace ? go(.afterSize) : endExtension(byte)
        case .extensionQuoted:
            if byte == 0x22 { return go(.extensionQuotedEnd) }
            if byte == 0x5c { return go(.extensionEscaped) }
            return ce_class(byte) & UInt8(CE_FIELD) != 0
        case .extensionEscaped: return ce_class(byte) & UInt8(CE_FIELD) != 0 && go(.extensionQuoted)
        case .extensionQuotedEnd: return isSpace ? go(.afterSize) : endExtension(byte)
        default: return false
        }
    }

    private mutating func endExtension(_ byte: UInt8) -> Bool {
        byte == 13 ? go(.sizeLineFeed) : byte == 0x3b && go(.extensionNameStart)
    }

    private func isToken(_ byte: UInt8) -> Bool { ce_class(byte) & UInt8(CE_TOKEN) != 0 }

    private func hexValue(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }
}
