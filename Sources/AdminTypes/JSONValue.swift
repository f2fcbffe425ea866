/// A JSON text as a tree.
public enum JSONValue: Hashable, Sendable {
    case null
    case bool(Bool)
    /// A number as it was written: no digit is lost.
    case number(String)
    case string(String)
    case array([JSONValue])
    /// The members in the order of the text; keys are unique.
    case object([Member])

    public struct Member: Hashable, Sendable {
        public var key: String
        public var value: JSONValue

        public init(_ key: String, _ value: JSONValue) {
            self.key = key
            self.value = value
        }
    }

    public subscript(key: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.key.hasSameBytes(as: key) }?.value
    }

    /// What it is, for messages.
    public var kind: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .number: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }
}

/// The error of a text that is not JSON.
public struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The line, from 1.
    public var line: Int
    public var problem: String

    public var description: String { "line \(line): \(problem)" }
}

extension String {
    /// Whether two texts have the same UTF-8 bytes, in time linear in their length. `==` and hashing bring both into
    /// Unicode's normal form first, and that takes quadratic time on a long run of combining marks: text from outside
    /// whose length has no small bound is compared with this.
    public func hasSameBytes(as other: String) -> Bool {
        utf8.count == other.utf8.count && utf8.elementsEqual(other.utf8)
    }
}

/// Reads RFC 8259 to the letter, one value after the other, and knows its line. Repeated keys are refused, and so is
/// what is not UTF-8. The time is linear in the text.
public struct JSONReader {
    /// Values inside values. Ours need four; a limit keeps the recursion from the stack's end.
    public static let maximumDepth = 32

    private let bytes: [UInt8]
    private var place = 0
    /// The line, from 1.
    public private(set) var line = 1

    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// The whole text as one value.
    public static func parse(_ bytes: [UInt8]) throws(JSONError) -> JSONValue {
        var reader = JSONReader(bytes)
        let value = try reader.value()
        guard reader.next() == nil else { throw reader.fault("text after the end of the JSON value") }
        return value
    }

    /// The next byte that is no white space, not taken.
    public mutating func next() -> UInt8? {
        while place < bytes.count {
            switch bytes[place] {
            case 0x0a:
                line += 1
                place += 1
            case 0x20, 0x09, 0x0d: place += 1
            default: return bytes[place]
            }
        }
        return nil
    }

    /// Takes this byte if it is the next that is no white space.
    public mutating func take(_ byte: UInt8) -> Bool {
        guard next() == byte else { return false }
        place += 1
        return true
    }

    public func fault(_ problem: String) -> JSONError { JSONError(line: line, problem: problem) }

    public mutating func value(depth: Int = 0) throws(JSONError) -> JSONValue {
        guard depth < Self.maximumDepth else { throw fault("values are nested more than \(Self.maximumDepth) deep") }
        switch next() {
        case UInt8(ascii: "{"): return try object(depth)
        case UInt8(ascii: "["): return try array(depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case .some(0x2d), .some(0x30...0x39): return .number(try number())
        case nil: throw fault("the text ends where a value was expected")
        case .some: throw fault("expected a JSON value")
        }
    }

    private mutating func word(_ text: String, _ value: JSONValue) throws(JSONError) -> JSONValue {
        guard bytes[place...].starts(with: text.utf8) else { throw fault("expected \(text)") }
        place += text.utf8.count
        return value
    }

    private mutating func object(_ depth: Int) throws(JSONError) -> JSONValue {
        place += 1
        var members: [JSONValue.Member] = []
        var table: Set<[UInt8]> = []
        if take(UInt8(ascii: "}")) { return .object([]) }
        repeat {
            guard next() == UInt8(ascii: "\"") else { throw fault("expected a key in quotes") }
            let key = try string()
            guard !Self.repeats(key, members, &table) else { throw fault("key \"\(Self.excerpt(key))\" is repeated") }
            guard take(UInt8(ascii: ":")) else { throw fault("expected a colon after \"\(Self.excerpt(key))\"") }
            members.append(.init(key, try value(depth: depth + 1)))
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "}")) else { throw fault("expected a comma or }") }
        return .object(members)
    }

    /// The number of keys up to which a search is faster than a table.
    private static let fewKeys = 16

    /// Whether an object has a key already, byte by byte as RFC 8259 (8.3) asks. Over all keys of an object this takes
    /// time linear in their bytes.
    /// - Parameter table: holds the keys once they are many; empty before.
    private static func repeats(_ key: String, _ members: [JSONValue.Member], _ table: inout Set<[UInt8]>) -> Bool {
        guard members.count >= fewKeys else { return members.contains { $0.key.hasSameBytes(as: key) } }
        if table.isEmpty { table = Set(members.map { Array($0.key.utf8) }) }
        return !table.insert(Array(key.utf8)).inserted
    }

    /// The start of a key, for a message. Counted in scalars: a single character may be as long as the whole text.
    private static func excerpt(_ key: String) -> String {
        String(String.UnicodeScalarView(key.unicodeScalars.prefix(100)))
    }

    private mutating func array(_ depth: Int) throws(JSONError) -> JSONValue {
        place += 1
        var values: [JSONValue] = []
        if take(UInt8(ascii: "]")) { return .array([]) }
        repeat { values.append(try value(depth: depth + 1)) } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "]")) else { throw fault("expected a comma or ]") }
        return .array(values)
    }

    private mutating func number() throws(JSONError) -> String {
        let start = place
        func isDigit(_ at: Int) -> Bool { at < bytes.count && (0x30...0x39).contains(bytes[at]) }
        if bytes[place] == 0x2d { place += 1 }
        guard isDigit(place) else { throw fault("a number needs a digit after its sign") }
        if bytes[place] == 0x30, isDigit(place + 1) { throw fault("a number must not begin with 0") }
        while isDigit(place) { place += 1 }
        if place < bytes.count, bytes[place] == UInt8(ascii: ".") {
            place += 1
            guard isDigit(place) else { throw fault("a number needs a digit after its point") }
            while isDigit(place) { place += 1 }
        }
        if place < bytes.count, bytes[place] | 0x20 == UInt8(ascii: "e") {
            place += 1
            if place < bytes.count, bytes[place] == 0x2b || bytes[place] == 0x2d { place += 1 }
            guard isDigit(place) else { throw fault("a number needs a digit in its exponent") }
            while isDigit(place) { place += 1 }
        }
        return String(decoding: bytes[start..<place], as: UTF8.self)
    }

    private mutating func string() throws(JSONError) -> String {
        place += 1
        var text: [UInt8] = []
        while place < bytes.count {
            let byte = bytes[place]
            switch byte {
            case UInt8(ascii: "\""):
                place += 1
                guard let valid = String(validating: text, as: UTF8.self) else { throw fault("a string is not UTF-8") }
                return valid
            case UInt8(ascii: "\\"): try escape(into: &text)
            case 0..<0x20: throw fault("a control character in a string; write it as an escape")
            default:
                text.append(byte)
                place += 1
            }
        }
        throw fault("a string without its closing quote")
    }

    private mutating func escape(into text: inout [UInt8]) throws(JSONError) {
        guard place + 1 < bytes.count else { throw fault("a string without its closing quote") }
        let kind = bytes[place + 1]
        place += 2
        switch kind {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(kind)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0c)
        case UInt8(ascii: "n"): text.append(0x0a)
        case UInt8(ascii: "r"): text.append(0x0d)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            var unit = try hex()
            if (0xd800..<0xdc00).contains(unit) {
                guard bytes[place...].starts(with: [UInt8(ascii: "\\"), UInt8(ascii: "u")]) else {
                    throw fault("half a surrogate pair")
                }
                place += 2
                let low = try hex()
                guard (0xdc00..<0xe000).contains(low) else { throw fault("half a surrogate pair") }
                unit = 0x10000 + (unit - 0xd800) << 10 + (low - 0xdc00)
            }
            guard let scalar = Unicode.Scalar(unit) else { throw fault("half a surrogate pair") }
            text += String(Character(scalar)).utf8
        default: throw fault("unknown escape \\\(Character(Unicode.Scalar(kind)))")
        }
    }

    private mutating func hex() throws(JSONError) -> UInt32 {
        guard place + 4 <= bytes.count, bytes[place..<place + 4].allSatisfy({ Self.isHex($0) }),
            let value = UInt32(String(decoding: bytes[place..<place + 4], as: UTF8.self), radix: 16)
        else { throw fault("\\u needs four hexadecimal digits") }
        place += 4
        return value
    }

    private static func isHex(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x46).contains(byte) || (0x61...0x66).contains(byte)
    }
}
