import Glibc

/// The error for text that is not JSON, or not the JSON that was expected.
struct JSONError: Error, Hashable, CustomStringConvertible {
    /// The position of the error, in bytes from the start.
    var offset: Int
    var message: String

    var description: String { "\(message) (at byte \(offset))" }
}

/// A key of an object. Keys are compared byte by byte, in time linear in their length. The `==` of strings normalizes both
/// sides first, which takes quadratic time for a long run of combining marks.
struct JSONKey {
    let text: String

    /// The start of the key, for messages.
    var excerpt: String { text.excerpt }

    static func == (key: JSONKey, name: String) -> Bool { key.text.hasSameBytes(as: name) }
    static func ~= (name: String, key: JSONKey) -> Bool { key == name }
}

extension String {
    /// Whether two texts have the same UTF-8 bytes; see `JSONKey`.
    func hasSameBytes(as other: String) -> Bool {
        utf8.count == other.utf8.count && utf8.elementsEqual(other.utf8)
    }

    /// The start of the text, for messages. It is cut by scalars, because a single character can be as long as the text.
    var excerpt: String {
        utf8.count <= 40 ? self : String(String.UnicodeScalarView(unicodeScalars.prefix(40))) + "…"
    }
}

/// A strict pull parser (RFC 8259). The caller asks for each expected value, and only the requested values are built. The
/// bytes must outlive the parser.
struct JSONReader {
    enum Kind { case object, array, string, number, boolean, null, end, invalid }

    static let depthLimit = 32
    /// The maximum length of a number. The longest useful double has 25 characters.
    private static let numberLimit = 64

    private let bytes: UnsafeRawBufferPointer
    private(set) var offset = 0
    private var depth = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// The kind of the next value, which is not consumed.
    mutating func peek() -> Kind {
        skipSpace()
        guard offset < bytes.count else { return .end }
        switch bytes[offset] {
        case UInt8(ascii: "{"): return .object
        case UInt8(ascii: "["): return .array
        case UInt8(ascii: "\""): return .string
        case UInt8(ascii: "t"), UInt8(ascii: "f"): return .boolean
        case UInt8(ascii: "n"): return .null
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number
        default: return .invalid
        }
    }

    /// Reads an object and calls `body` with each key; `body` must read or skip the value.
    mutating func object(_ body: (inout JSONReader, JSONKey) throws(JSONError) -> Void) throws(JSONError) {
        try open(UInt8(ascii: "{"), "an object")
        if !close(UInt8(ascii: "}")) {
            repeat {
                skipSpace()
                let key = JSONKey(text: try string())
                try expect(UInt8(ascii: ":"), "`:`")
                try body(&self, key)
            } while try comma(or: UInt8(ascii: "}"))
        }
        depth -= 1
    }

    /// Reads an array and calls `body` before each element; `body` must read or skip the element.
    mutating func array(_ body: (inout JSONReader) throws(JSONError) -> Void) throws(JSONError) {
        try open(UInt8(ascii: "["), "an array")
        if !close(UInt8(ascii: "]")) {
            repeat { try body(&self) } while try comma(or: UInt8(ascii: "]"))
        }
        depth -= 1
    }

    mutating func boolean() throws(JSONError) -> Bool {
        if try literal("true") { return true }
        if try literal("false") { return false }
        throw error("expected true or false")
    }

    /// Reads a number as the nearest double. An infinite result is an error.
    mutating func number() throws(JSONError) -> Double {
        skipSpace()
        let start = offset
        var mantissa: UInt64 = 0
        var digits = 0
        var exponent = 0
        let negative = take(UInt8(ascii: "-"))
        let leadingZero = offset < bytes.count && bytes[offset] == UInt8(ascii: "0")
        let whole = takeDigits(&mantissa, &digits)
        guard whole > 0, !leadingZero || whole == 1 else { throw error("expected a number") }
        if take(UInt8(ascii: ".")) {
            let fraction = takeDigits(&mantissa, &digits)
            guard fraction > 0 else { throw error("a digit has to follow the point") }
            exponent -= fraction
        }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            let minus = take(UInt8(ascii: "-"))
            if !minus { _ = take(UInt8(ascii: "+")) }
            var power: UInt64 = 0
            var count = 0
            guard takeDigits(&power, &count) > 0 else { throw error("a digit has to follow the exponent's sign") }
            exponent += (minus ? -1 : 1) * Int(min(power, 9_999))
        }
        guard offset - start <= Self.numberLimit else { throw error("a number of more than 64 characters") }
        // If mantissa and power of ten are exact doubles, one operation rounds correctly (Clinger 1990). Otherwise the C
        // library converts, with correct rounding.
        if digits <= 15, abs(exponent) <= 22 {
            let scaled =
                exponent < 0 ? Double(mantissa) / Self.power(-exponent) : Double(mantissa) * Self.power(exponent)
            return negative ? -scaled : scaled
        }
        var text = [CChar](unsafeUninitializedCapacity: offset - start + 1) { buffer, count in
            for place in start..<offset { buffer[place - start] = CChar(bytes[place]) }
            buffer[offset - start] = 0
            count = offset - start + 1
        }
        let value = strtod(&text, nil)
        guard value.isFinite else { throw error("a number too large for a double") }
        return value
    }

    /// Reads a number without a fraction, in any notation.
    mutating func integer() throws(JSONError) -> Int64 {
        let value = try number()
        guard let exact = Int64(exactly: value) else { throw error("expected a whole number") }
        return exact
    }

    mutating func string() throws(JSONError) -> String {
        skipSpace()
        guard take(UInt8(ascii: "\"")) else { throw error("expected a string") }
        let start = offset
        while offset < bytes.count {
            switch bytes[offset] {
            case UInt8(ascii: "\""):
                let text = try text(UnsafeRawBufferPointer(rebasing: bytes[start..<offset]))
                offset += 1
                return text
            case UInt8(ascii: "\\"): return try escaped(from: start)
            case 0..<0x20: throw error("a control character in a string has to be escaped")
            default: offset += 1
            }
        }
        throw error("a string without its closing quote")
    }

    mutating func null() throws(JSONError) {
        guard try literal("null") else { throw error("expected null") }
    }

    /// Skips the next value of any kind.
    mutating func skip() throws(JSONError) {
        switch peek() {
        case .object: try object { (reader, _) throws(JSONError) in try reader.skip() }
        case .array: try array { (reader) throws(JSONError) in try reader.skip() }
        case .string: _ = try string()
        case .number: _ = try number()
        case .boolean: _ = try boolean()
        case .null: try null()
        case .end, .invalid: throw error("expected a value")
        }
    }

    /// Checks that only white space is left.
    mutating func finish() throws(JSONError) {
        skipSpace()
        if offset < bytes.count { throw error("unexpected text after the end") }
    }

    func error(_ message: String) -> JSONError { JSONError(offset: offset, message: message) }
}

extension JSONReader {
    private mutating func skipSpace() {
        while offset < bytes.count, case let byte = bytes[offset], byte == 32 || byte == 10 || byte == 13 || byte == 9 {
            offset += 1
        }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard offset < bytes.count, bytes[offset] == byte else { return false }
        offset += 1
        return true
    }

    /// Appends digits to `mantissa` while they fit; `digits` counts those that are significant.
    private mutating func takeDigits(_ mantissa: inout UInt64, _ digits: inout Int) -> Int {
        let start = offset
        while offset < bytes.count, case let digit = bytes[offset] &- UInt8(ascii: "0"), digit < 10 {
            if digits < 19 { mantissa = mantissa &* 10 &+ UInt64(digit) }
            if mantissa != 0 { digits += 1 }
            offset += 1
        }
        return offset - start
    }

    private static func power(_ exponent: Int) -> Double {
        var value = 1.0
        for _ in 0..<exponent { value *= 10 }
        return value
    }

    private mutating func expect(_ byte: UInt8, _ what: String) throws(JSONError) {
        skipSpace()
        guard take(byte) else { throw error("expected \(what)") }
    }

    private mutating func open(_ byte: UInt8, _ what: String) throws(JSONError) {
        try expect(byte, what)
        depth += 1
        if depth > Self.depthLimit { throw error("nested more than \(Self.depthLimit) levels deep") }
    }

    private mutating func close(_ byte: UInt8) -> Bool {
        skipSpace()
        return take(byte)
    }

    private mutating func comma(or end: UInt8) throws(JSONError) -> Bool {
        skipSpace()
        if take(UInt8(ascii: ",")) { return true }
        if take(end) { return false }
        throw error("expected `,` or `\(Character(UnicodeScalar(end)))`")
    }

    private mutating func literal(_ word: StaticString) throws(JSONError) -> Bool {
        skipSpace()
        let length = word.utf8CodeUnitCount
        guard bytes.count - offset >= length else { return false }
        for index in 0..<length where bytes[offset + index] != word.utf8Start[index] { return false }
        offset += length
        return true
    }

    private func text(_ slice: UnsafeRawBufferPointer) throws(JSONError) -> String {
        // ASCII, the usual case, skips the validation, which is slow.
        if slice.allSatisfy({ $0 < 0x80 }) { return String(decoding: slice, as: UTF8.self) }
        guard let text = String(validating: slice, as: UTF8.self) else { throw error("a string is not UTF-8") }
        return text
    }

    private mutating func escaped(from start: Int) throws(JSONError) -> String {
        var unescaped = Array(bytes[start..<offset])
        while offset < bytes.count {
            let byte = bytes[offset]
            offset += 1
            switch byte {
            case UInt8(ascii: "\""): return try unescaped.reading { (slice) throws(JSONError) in try text(slice) }
            case UInt8(ascii: "\\"): try escape(into: &unescaped)
            case 0..<0x20: throw error("a control character in a string has to be escaped")
            default: unescaped.append(byte)
            }
        }
        throw error("a string without its closing quote")
    }

    private mutating func escape(into unescaped: inout [UInt8]) throws(JSONError) {
        guard offset < bytes.count else { throw error("a string without its closing quote") }
        let byte = bytes[offset]
        offset += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): unescaped.append(byte)
        case UInt8(ascii: "b"): unescaped.append(8)
        case UInt8(ascii: "f"): unescaped.append(12)
        case UInt8(ascii: "n"): unescaped.append(10)
        case UInt8(ascii: "r"): unescaped.append(13)
        case UInt8(ascii: "t"): unescaped.append(9)
        case UInt8(ascii: "u"):
            var scalar = try hexadecimal()
            if scalar >> 10 == 0x36 {
                guard take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else { throw error("half of a surrogate pair") }
                let low = try hexadecimal()
                guard low >> 10 == 0x37 else { throw error("half of a surrogate pair") }
                scalar = 0x10000 + (scalar & 0x3FF) << 10 + (low & 0x3FF)
            }
            guard let valid = Unicode.Scalar(scalar) else { throw error("half of a surrogate pair") }
            unescaped.append(contentsOf: String(valid).utf8)
        default: throw error("an unknown escape in a string")
        }
    }

    private mutating func hexadecimal() throws(JSONError) -> UInt32 {
        guard bytes.count - offset >= 4 else { throw error("four hexadecimal digits have to follow `\\u`") }
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = Character(UnicodeScalar(bytes[offset])).hexDigitValue else {
                throw error("four hexadecimal digits have to follow `\\u`")
            }
            value = value << 4 | UInt32(digit)
            offset += 1
        }
        return value
    }
}

extension [UInt8] {
    /// `withUnsafeBytes` that keeps the type of the error.
    func reading<Value>(
        _ body: (UnsafeRawBufferPointer) throws(JSONError) -> Value
    ) throws(JSONError) -> Value {
        let result: Result<Value, JSONError> = withUnsafeBytes { raw in
            do throws(JSONError) { return .success(try body(raw)) } catch { return .failure(error) }
        }
        return try result.get()
    }
}
