import PlainText

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

    /// The kind of value, as messages name it.
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

extension JSONReader {
    /// The whole text as one value. Repeated keys are refused.
    public static func parse(_ bytes: [UInt8]) throws(JSONError) -> JSONValue {
        try bytes.reading { (raw) throws(JSONError) in
            var reader = JSONReader(raw)
            let value = try reader.value()
            try reader.finish()
            return value
        }
    }

    /// The next value as a tree. Repeated keys are refused.
    public mutating func value() throws(JSONError) -> JSONValue {
        switch peek() {
        case .object:
            var members: [JSONValue.Member] = []
            var table: Set<[UInt8]> = []
            try object { (reader, key) throws(JSONError) in
                guard !Self.repeats(key.text, members, &table) else {
                    throw reader.error("key \"\(key.excerpt)\" is repeated")
                }
                members.append(.init(key.text, try reader.value()))
            }
            return .object(members)
        case .array:
            var values: [JSONValue] = []
            try array { (reader) throws(JSONError) in values.append(try reader.value()) }
            return .array(values)
        case .string: return .string(try string())
        case .number: return .number(try numberText())
        case .boolean: return .bool(try boolean())
        case .null:
            try null()
            return .null
        case .end, .invalid: throw missingValue()
        }
    }

    /// The number of keys up to which a search is faster than a table.
    private static let fewKeys = 16

    /// True if an object has a key already, compared byte by byte as RFC 8259 (8.3) asks. Over all keys of an object
    /// this takes time linear in their bytes.
    /// - Parameter table: holds the keys once they are many; empty before.
    private static func repeats(_ key: String, _ members: [JSONValue.Member], _ table: inout Set<[UInt8]>) -> Bool {
        guard members.count >= fewKeys else { return members.contains { $0.key.hasSameBytes(as: key) } }
        if table.isEmpty { table = Set(members.map { Array($0.key.utf8) }) }
        return !table.insert(Array(key.utf8)).inserted
    }
}
