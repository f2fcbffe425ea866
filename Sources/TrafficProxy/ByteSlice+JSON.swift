import Vocabulary

extension ByteSlice {
    /// Appends the content of a JSON string. Bytes that are not printable ASCII are escaped one by one, so that no text
    /// can end the string or the line, or break the encoding.
    mutating func append(json text: Bytes) {
        for i in 0..<text.count {
            let byte = text.start[i]
            switch byte {
            case 0x22, 0x5c:
                append(byte: 0x5c)
                append(byte: byte)
            case 0x20..<0x7f: append(byte: byte)
            default:
                append("\\u00")
                append(hexadecimalDigit: byte >> 4)
                append(hexadecimalDigit: byte & 15)
            }
        }
    }

    private mutating func append(hexadecimalDigit digit: UInt8) {
        append(byte: digit < 10 ? 0x30 + digit : 0x57 + digit)
    }

    /// Appends nanoseconds as seconds with six decimals.
    mutating func append(seconds nanoseconds: Int64) {
        append(decimal: nanoseconds / 1_000_000_000)
        append(byte: 0x2e)
        append(nanoseconds / 1000 % 1_000_000, digits: 6)
    }

    /// Appends a time such as `2026-11-21T08:30:00.123Z`.
    /// - Parameter milliseconds: the time since 1970, ≥ 0.
    mutating func append(time milliseconds: Int64) {
        let seconds = milliseconds / 1000
        let (year, month, date) = Timestamp.civil(seconds / 86_400)
        append(year, digits: 4)
        append(byte: 0x2d)
        append(month, digits: 2)
        append(byte: 0x2d)
        append(date, digits: 2)
        append(byte: 0x54)
        append(seconds / 3600 % 24, digits: 2)
        append(byte: 0x3a)
        append(seconds / 60 % 60, digits: 2)
        append(byte: 0x3a)
        append(seconds % 60, digits: 2)
        append(byte: 0x2e)
        append(milliseconds % 1000, digits: 3)
        append(byte: 0x5a)
    }

    private mutating func append(_ value: Int64, digits: Int) {
        var rest = value
        for i in (0..<digits).reversed() {
            free[i] = UInt8(truncatingIfNeeded: rest % 10) + 0x30
            rest /= 10
        }
        end += digits
    }
}
