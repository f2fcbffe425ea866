import PlainText

/// Writes JSON directly, several times faster than Foundation's encoder, which builds a tree of objects first and took
/// a third of the agent's CPU time with a thousand services. Keys are in the order in which they are encoded; numbers
/// that are not finite are written as strings.
final class JSONText {
    // Dynamic checks of exclusive access took half of the encoding time. They are not needed, since only the methods
    // below access these properties.
    @exclusivity(unchecked) private(set) var bytes: [UInt8] = []
    /// The open brackets, the outermost first: the closing character of each, and whether it is still empty.
    @exclusivity(unchecked) private var open: [(close: UInt8, isEmpty: Bool)] = []

    static func bytes(of value: some Encodable) throws -> [UInt8] {
        let text = JSONText()
        try text.write(value)
        text.close(to: 0)
        return text.bytes
    }

    /// Opens a bracket.
    /// - Returns: its depth: the number of open brackets, including this one.
    fileprivate func begin(_ bracket: UInt8, _ close: UInt8) -> Int {
        bytes.append(bracket)
        open.append((close, true))
        return open.count
    }

    /// Closes brackets until only `depth` are open.
    fileprivate func close(to depth: Int) { while open.count > depth { bytes.append(open.removeLast().close) } }

    /// Prepares for the next value in the bracket at a depth.
    fileprivate func next(_ depth: Int) {
        close(to: depth)
        if !open[depth - 1].isEmpty { bytes.append(UInt8(ascii: ",")) }
        open[depth - 1].isEmpty = false
    }

    fileprivate func next(_ depth: Int, key: some CodingKey) {
        next(depth)
        write(text: key.stringValue)
        bytes.append(UInt8(ascii: ":"))
    }

    /// Writes a value. Numbers and strings, which are most of what is written, are recognized by their type; other
    /// values encode themselves.
    fileprivate func write<T: Encodable>(_ value: T) throws {
        func same<U>(_: U.Type) -> U? { T.self == U.self ? .some(unsafeBitCast(value, to: U.self)) : nil }
        if let number = same(Double.self) { return write(real: number) }
        if let number = same(Int.self) { return write(integer: number) }
        if let text = same(String.self) { return write(text: text) }
        if let numbers = same([Double].self) { return write(list: numbers) { write(real: $0) } }
        if let numbers = same([UInt32].self) { return write(list: numbers) { write(integer: $0) } }
        if let numbers = same([Int].self) { return write(list: numbers) { write(integer: $0) } }
        if let flag = same(Bool.self) { return append(flag ? "true" : "false") }
        if let flags = same([Bool].self) { return write(list: flags) { append($0 ? "true" : "false") } }
        if let number = same(Int64.self) { return write(integer: number) }
        if let number = same(UInt64.self) { return write(integer: number) }
        if let number = same(UInt32.self) { return write(integer: number) }
        if let number = same(UInt16.self) { return write(integer: number) }
        if let number = same(UInt8.self) { return write(integer: number) }
        if let number = same(UInt.self) { return write(integer: number) }
        if let number = same(Int32.self) { return write(integer: number) }
        if let number = same(Int16.self) { return write(integer: number) }
        if let number = same(Int8.self) { return write(integer: number) }
        if let number = same(Float.self) { return write(real: Double(number)) }
        try value.encode(to: ValueEncoder(text: self))
    }

    fileprivate func writeNil() { append("null") }

    private func write<T>(list: [T], _ element: (T) -> Void) {
        let depth = begin(UInt8(ascii: "["), UInt8(ascii: "]"))
        for value in list {
            next(depth)
            element(value)
        }
        close(to: depth - 1)
    }

    private func write(real number: Double) {
        guard number.isFinite else { return append(number.isNaN ? "\"nan\"" : number < 0 ? "\"-inf\"" : "\"inf\"") }
        // Whole numbers are the most frequent, and `description` is slow.
        let whole = Int64(exactly: number).flatMap { $0.magnitude < 1 << 53 ? $0 : nil }
        if let whole, whole != 0 || number.sign == .plus { write(integer: whole) } else { append(number.description) }
    }

    private func write(integer number: some FixedWidthInteger) {
        if number < 0 { bytes.append(UInt8(ascii: "-")) }
        var rest = number.magnitude
        let first = bytes.count
        repeat {
            bytes.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10))
            rest /= 10
        } while rest != 0
        bytes[first...].reverse()
    }

    private func write(text: String) { bytes.append(jsonString: text) }

    private func append(_ text: String) { bytes.append(contentsOf: text.utf8) }
}

// No type that is stored uses the coding path or the user info.

private struct ValueEncoder: Encoder {
    let text: JSONText
    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy: Key.Type) -> KeyedEncodingContainer<Key> {
        KeyedEncodingContainer(ObjectContainer(text: text, depth: text.begin(UInt8(ascii: "{"), UInt8(ascii: "}"))))
    }
    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        ListContainer(text: text, depth: text.begin(UInt8(ascii: "["), UInt8(ascii: "]")))
    }
    func singleValueContainer() -> any SingleValueEncodingContainer { ValueContainer(text: text) }
}

private struct ValueContainer: SingleValueEncodingContainer {
    let text: JSONText
    var codingPath: [any CodingKey] { [] }
    func encodeNil() { text.writeNil() }
    func encode<T: Encodable>(_ value: T) throws { try text.write(value) }
}

private struct ObjectContainer<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let text: JSONText
    let depth: Int
    var codingPath: [any CodingKey] { [] }

    func encodeNil(forKey key: Key) {
        text.next(depth, key: key)
        text.writeNil()
    }
    func encode<T: Encodable>(_ value: T, forKey key: Key) throws {
        text.next(depth, key: key)
        try text.write(value)
    }
    func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type, forKey key: Key)
        -> KeyedEncodingContainer<Nested>
    {
        superEncoder(forKey: key).container(keyedBy: type)
    }
    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        superEncoder(forKey: key).unkeyedContainer()
    }
    func superEncoder() -> any Encoder { preconditionFailure("no stored type is a class with a superclass") }
    func superEncoder(forKey key: Key) -> any Encoder {
        text.next(depth, key: key)
        return ValueEncoder(text: text)
    }
}

private struct ListContainer: UnkeyedEncodingContainer {
    let text: JSONText
    let depth: Int
    var codingPath: [any CodingKey] { [] }
    private(set) var count = 0

    init(text: JSONText, depth: Int) { (self.text, self.depth) = (text, depth) }

    mutating func encodeNil() {
        next()
        text.writeNil()
    }
    mutating func encode<T: Encodable>(_ value: T) throws {
        next()
        try text.write(value)
    }
    mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
        superEncoder().container(keyedBy: type)
    }
    mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { superEncoder().unkeyedContainer() }
    mutating func superEncoder() -> any Encoder {
        next()
        return ValueEncoder(text: text)
    }
    private mutating func next() {
        text.next(depth)
        count += 1
    }
}
