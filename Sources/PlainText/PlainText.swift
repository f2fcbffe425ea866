// Text from outside (a server's Location, a label, a file and its name, another user's reason) made fit to be shown to
// people. The scalars below do not stand for a character: they move a cursor, change colors, end a line, turn the
// direction of what follows or take no space at all, and so can make a screen or a log say what nobody wrote.

extension Unicode.Scalar {
    /// True for control characters (C0, DEL, C1, of which U+009B alone starts an escape sequence), separators of lines
    /// and paragraphs, and format characters (the category Cf of Unicode: controls of bidirectional text, the byte order
    /// mark, spaces without a width, soft hyphens, tags). Of the format characters those are left that text needs: the
    /// joiners of Persian, of Indic scripts and of emoji, and the signs that enclose Arabic, Syriac and Kaithi numbers,
    /// which are visible.
    public var steersDisplay: Bool {
        switch value {
        case 0..<0x20, 0x7f...0x9f: true
        case 0x20..<0x7f: false
        case 0x200c...0x200d: false
        case 0x0600...0x0605, 0x06dd, 0x070f, 0x0890...0x0891, 0x08e2, 0x110bd, 0x110cd: false
        default:
            switch properties.generalCategory {
            case .format, .lineSeparator, .paragraphSeparator: true
            default: false
            }
        }
    }

    /// `\u009b`, or two of them for a scalar above U+FFFF, as JSON writes it.
    public var escapeForJSON: String { String(self).utf16.map { "\\u" + Self.hexadecimal(UInt32($0), 4) }.joined() }

    /// `\u009b` or `\U000e0001`, as double-quoted YAML writes it.
    public var escapeForYAML: String {
        value > 0xffff ? "\\U" + Self.hexadecimal(value, 8) : "\\u" + Self.hexadecimal(value, 4)
    }

    private static func hexadecimal(_ value: UInt32, _ width: Int) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: max(width - digits.count, 0)) + digits
    }
}

extension String {
    /// The text as tables, messages and logs show it: one line, in which each scalar that controls the display is
    /// replaced by a dot.
    public var displayable: String {
        guard unicodeScalars.contains(where: \.steersDisplay) else { return self }
        return String(UnicodeScalarView(unicodeScalars.map { $0.steersDisplay ? "·" : $0 }))
    }

    /// The content of a JSON string without its quotes. Scalars that steer the display are escaped, so the value
    /// survives and a terminal that shows the text does nothing.
    public var escapedForJSON: String { escaped(\.escapeForJSON) }

    /// The content of a double-quoted YAML scalar without its quotes, escaped like a JSON string.
    public var escapedForYAML: String { escaped(\.escapeForYAML) }

    private func escaped(_ escape: (Unicode.Scalar) -> String) -> String {
        var result = ""
        for scalar in unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case _ where scalar.steersDisplay: result += escape(scalar)
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

extension String {
    /// True if two texts have the same UTF-8 bytes, in time linear in their length. `==` and hashing bring both into
    /// Unicode's normal form first, and that takes quadratic time on a long run of combining marks: text from outside
    /// whose length has no small bound is compared with this.
    public func hasSameBytes(as other: String) -> Bool {
        utf8.count == other.utf8.count && utf8.elementsEqual(other.utf8)
    }

    /// The start of a text, for a message. Counted in scalars: one character may be as long as the whole text.
    public var excerpt: String {
        utf8.count <= 40 ? self : String(String.UnicodeScalarView(unicodeScalars.prefix(40))) + "…"
    }
}

/// A JSON document with every scalar that steers the display escaped. An encoder escapes C0 inside of strings and puts
/// line breaks between values; the rest can only stand in strings, where the escape means the same.
public func escapedForDisplay(json: [UInt8]) -> [UInt8] {
    // Most documents are ASCII.
    guard json.contains(where: { $0 >= 0x7f }) else { return json }
    var result = ""
    for scalar in String(decoding: json, as: UTF8.self).unicodeScalars {
        if scalar.steersDisplay, scalar.value >= 0x20 {
            result += scalar.escapeForJSON
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
