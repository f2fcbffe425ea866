import AdminTypes
import JSON
import PlainText

/// Writes a tree as block-style YAML 1.2. Scalars that some parser could read as another type are quoted.
enum YAMLText {
    static func write(_ value: JSONValue) -> String {
        var text = ""
        switch value {
        case .object(let members) where !members.isEmpty: append(members, indent: 0, to: &text)
        case .array(let items) where !items.isEmpty: append(items, indent: 0, to: &text)
        default: text = scalar(value) + "\n"
        }
        return text
    }

    private static func append(_ members: [JSONValue.Member], indent: Int, to text: inout String) {
        for (place, member) in members.enumerated() {
            if place > 0 { text += String(repeating: " ", count: indent) }
            text += string(member.key) + ":"
            append(nested: member.value, indent: indent, to: &text)
        }
    }

    /// Appends the value of a key: on the same line, or below it.
    private static func append(nested value: JSONValue, indent: Int, to text: inout String) {
        switch value {
        case .object(let members) where !members.isEmpty:
            text += "\n" + String(repeating: " ", count: indent + 2)
            append(members, indent: indent + 2, to: &text)
        case .array(let items) where !items.isEmpty:
            text += "\n" + String(repeating: " ", count: indent + 2)
            append(items, indent: indent + 2, to: &text)
        default: text += " " + scalar(value) + "\n"
        }
    }

    private static func append(_ items: [JSONValue], indent: Int, to text: inout String) {
        for (place, item) in items.enumerated() {
            if place > 0 { text += String(repeating: " ", count: indent) }
            text += "- "
            switch item {
            case .object(let members) where !members.isEmpty: append(members, indent: indent + 2, to: &text)
            case .array(let inner) where !inner.isEmpty: append(inner, indent: indent + 2, to: &text)
            default: text += scalar(item) + "\n"
            }
        }
    }

    private static func scalar(_ value: JSONValue) -> String {
        switch value {
        case .null: "null"
        case .bool(let value): value ? "true" : "false"
        case .number(let digits): number(digits)
        case .string(let value): string(value)
        case .array: "[]"
        case .object: "{}"
        }
    }

    /// A number of JSON. YAML 1.1 parsers take `1e-05` for a text, and `1.0e-05` for a number.
    private static func number(_ digits: String) -> String {
        guard let exponent = digits.firstIndex(where: { $0 == "e" || $0 == "E" }), !digits.contains(".") else {
            return digits
        }
        return digits[..<exponent] + ".0" + digits[exponent...]
    }

    /// A scalar: plain if that is safe, otherwise in double quotes.
    static func string(_ value: String) -> String {
        isPlain(value) ? value : quoted(value)
    }

    /// A scalar inside `[…]` or `{…}`, where further characters end a plain scalar.
    static func flowString(_ value: String) -> String {
        isPlain(value) && !value.unicodeScalars.contains(where: ",[]{}".unicodeScalars.contains) ? value : quoted(value)
    }

    private static func isPlain(_ value: String) -> Bool {
        guard let first = value.unicodeScalars.first, let last = value.unicodeScalars.last else { return false }
        guard ("a"..."z").contains(first) || ("A"..."Z").contains(first) || first == "/", last != ":" else {
            return false
        }
        // YAML 1.1 parsers read these as booleans and null.
        if ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(value.lowercased()) { return false }
        var before: Unicode.Scalar = " "
        for scalar in value.unicodeScalars {
            if scalar.steersDisplay { return false }
            if before == ":" && scalar == " " || before == " " && scalar == "#" { return false }
            before = scalar
        }
        return last != " "
    }

    private static func quoted(_ value: String) -> String { "\"\(value.escapedForYAML)\"" }
}
