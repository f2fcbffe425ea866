// Text from outside (a server's Location, a label, a file and its name, another user's reason) made fit to be shown to
// people. The scalars below do not stand for a character: they move a cursor, change colors, end a line or turn the
// direction of what follows, and so can make a screen or a log say what nobody wrote.

extension Unicode.Scalar {
    /// True for control characters (C0, DEL, C1, of which U+009B alone starts an escape sequence), separators of lines
    /// and paragraphs, and the controls of bidirectional text (the property Bidi_Control of Unicode).
    public var steersDisplay: Bool {
        switch value {
        case 0..<0x20, 0x7f...0x9f, 0x061c, 0x200e...0x200f, 0x2028...0x202e, 0x2066...0x2069: true
        default: false
        }
    }

    /// `\u009b`, as JSON and double-quoted YAML write it. Only for scalars that fit in four digits.
    public var hexadecimalEscape: String {
        let digits = String(value, radix: 16)
        return "\\u" + String(repeating: "0", count: max(4 - digits.count, 0)) + digits
    }
}

extension String {
    /// What tables, messages and logs show: each scalar that steers the display is a dot. The result is one line.
    public var displayable: String {
        guard unicodeScalars.contains(where: \.steersDisplay) else { return self }
        return String(UnicodeScalarView(unicodeScalars.map { $0.steersDisplay ? "·" : $0 }))
    }

    /// The content of a JSON string, or of a double-quoted YAML scalar, without its quotes. Scalars that steer the display are escaped, so the value
    /// survives and a terminal that shows the text does nothing.
    public var escapedForJSON: String {
        var result = ""
        for scalar in unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case _ where scalar.steersDisplay: result += scalar.hexadecimalEscape
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

/// A JSON document with every scalar that steers the display escaped. An encoder escapes C0 inside of strings and puts
/// line breaks between values; the rest can only stand in strings, where the escape means the same.
public func escapedForDisplay(json: [UInt8]) -> [UInt8] {
    // The first bytes of what has to be escaped, in UTF-8; most documents have none of them.
    guard json.contains(where: { $0 == 0x7f || $0 == 0xc2 || $0 == 0xd8 || $0 == 0xe2 }) else { return json }
    var result = ""
    for scalar in String(decoding: json, as: UTF8.self).unicodeScalars {
        if scalar.steersDisplay, scalar.value >= 0x20 {
            result += scalar.hexadecimalEscape
        } else {
            result.unicodeScalars.append(scalar)
        }
    }
    return Array(result.utf8)
}

extension [UInt8] {
    /// Appends a JSON string with its quotes; of its content only what RFC 8259 asks for is escaped.
    public mutating func append(jsonString text: String) {
        append(UInt8(ascii: "\""))
        defer { append(UInt8(ascii: "\"")) }
        func isPlain(_ byte: UInt8) -> Bool { byte >= 0x20 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\") }
        guard !text.utf8.allSatisfy(isPlain) else { return append(contentsOf: text.utf8) }
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                append(UInt8(ascii: "\\"))
                append(byte)
            case 0..<0x20:
                let low = byte & 15
                append(contentsOf: "\\u00".utf8)
                append(UInt8(ascii: "0") + byte >> 4)
                append(low < 10 ? UInt8(ascii: "0") + low : UInt8(ascii: "a") + low - 10)
            default: append(byte)
            }
        }
    }
}
