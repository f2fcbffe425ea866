/// Numbers as the format writes them.
enum NumberText {
    /// Longer ones are no number that a server prints.
    private static let maxLength = 64

    /// A decimal float, NaN, Inf, +Inf or -Inf in any case; nil for anything else, hexadecimal floats included.
    static func parse(_ bytes: Slice<UnsafeBufferPointer<UInt8>>) -> Double? {
        guard !bytes.isEmpty, bytes.count <= maxLength else { return nil }
        if let whole = parseWhole(bytes) { return whole }
        let isDecimal = bytes.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"),
                UInt8(ascii: "+"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
        let text = String(decoding: bytes, as: UTF8.self)
        if isDecimal { return Double(text) }
        switch text.lowercased() {
        case "nan", "+nan", "-nan": return .nan
        case "inf", "+inf", "infinity", "+infinity": return .infinity
        case "-inf", "-infinity": return -.infinity
        default: return nil
        }
    }

    static func parse(_ text: String) -> Double? {
        var text = text
        return text.withUTF8 { parse($0[...]) }
    }

    /// `123` and `123.0`, what nearly every sample is; nil for the rest, whatever it is.
    private static func parseWhole(_ bytes: Slice<UnsafeBufferPointer<UInt8>>) -> Double? {
        var digits = bytes
        if bytes.count > 2, bytes.suffix(2).elementsEqual(".0".utf8) { digits = bytes.dropLast(2) }
        guard digits.count <= 15 else { return nil }
        var value: Int64 = 0
        for byte in digits {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
            value = value * 10 + Int64(byte - UInt8(ascii: "0"))
        }
        return Double(value)
    }

    /// The shortest text that reads back as the same double.
    static func append(_ value: Double, to bytes: inout [UInt8]) {
        if value.isNaN {
            bytes += "NaN".utf8
        } else if value.isInfinite {
            bytes += (value < 0 ? "-Inf" : "+Inf").utf8
        } else if let whole = Int64(exactly: value), whole.magnitude < 1 << 53 {
            bytes += whole.description.utf8
        } else {
            bytes += value.description.utf8
        }
    }
}
