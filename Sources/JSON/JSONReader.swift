import PlainText

/// The error of a text that is not JSON, or not the JSON that was expected.
public struct JSONError: Error, Hashable, CustomStringConvertible, Sendable {
    /// The place, in bytes from the start.
    public var offset: Int
    /// The line of that place, from 1.
    public var line: Int
    public var message: String

    public init(offset: Int, line: Int = 1, message: String) {
        self.offset = offset
        self.line = line
        self.message = message
    }

    public var description: String { "line \(line): \(message)" }
}

/// A key of an object. It is matched byte by byte, in time linear in its length: `==` of strings brings both sides into
/// Unicode's normal form first, and that takes quadratic time on a long run of combining marks.
public struct JSONKey: Sendable {
    public let text: String

    /// The start of the key, for messages.
    public var excerpt: String { text.excerpt }

    public static func == (key: JSONKey, name: String) -> Bool { key.text.hasSameBytes(as: name) }
    public static func ~= (name: String, key: JSONKey) -> Bool { key == name }
}

/// A strict pull parser (RFC 8259) over bytes that outlive it: the caller says what it expects next, and nothing is
/// built that it does not ask for. The time is linear in the text.
public struct JSONReader {
    /// The next value by its first byte; `end` after the last one.
    public enum Kind: Sendable { case object, array, string, number, boolean, null, end, invalid }

    /// The deepest nesting of objects and arrays; a limit keeps the recursion from the stack's end.
    public static let maximumDepth = 32
    /// The longest text of a number that is converted; the longest double that makes sense needs 25 characters.
    private static let numberLimit = 64

    private let bytes: UnsafeRawBufferPointer
    private var offset = 0
    /// The line of the next byte, from 1.
    public private(set) var line = 1
    private var depth = 0

    public init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// Skips white space and says what follows.
    public mutating func peek() -> Kind {
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

    /// Calls `body` with each key; it has to read or skip the value.
    public mutating func object(_ body: (inout JSONReader, JSONKey) throws(JSONError) -> Void) throws(JSONError) {
        try open(UInt8(ascii: "{"), "an object")
        if !close(UInt8(ascii: "}")) {
            repeat {
                guard peek() == .string else { throw error("expected a key in quotes") }
                let key = JSONKey(text: try string())
                skipSpace()
                guard take(UInt8(ascii: ":")) else { throw error("expected a colon after \"\(key.excerpt)\"") }
                try body(&self, key)
            } while try comma(or: UInt8(ascii: "}"))
        }
        depth -= 1
    }

    /// Calls `body` at each element; it has to read or skip it.
    public mutating func array(_ body: (inout JSONReader) throws(JSONError) -> Void) throws(JSONError) {
        try open(UInt8(ascii: "["), "an array")
        if !close(UInt8(ascii: "]")) {
            repeat { try body(&self) } while try comma(or: UInt8(ascii: "]"))
        }
        depth -= 1
    }

    public mutating func boolean() throws(JSONError) -> Bool {
        if try literal("true") { return true }
        if try literal("false") { return false }
        throw error("expected true or false")
    }

    /// A number as the nearest double; never infinite.
    public mutating func number() throws(JSONError) -> Double {
        let number = try scanNumber()
        guard offset - number.start <= Self.numberLimit else { throw error("a number of more than 64 characters") }
        // Exact when both are (Clinger 1990): one rounding. Else the standard library's correctly rounded conversion.
        if number.digits <= 15, abs(number.exponent) <= 22 {
            let mantissa = Double(number.mantissa)
            let power = Self.power(abs(number.exponent))
            let scaled = number.exponent < 0 ? mantissa / power : mantissa * power
            return number.isNegative ? -scaled : scaled
        }
        guard let value = Double(text(of: number)), value.isFinite else {
            throw error("a number too large for a double")
        }
        return value
    }

    /// A number of any length as it is written.
    public mutating func numberText() throws(JSONError) -> String {
        let number = try scanNumber()
        return text(of: number)
    }

    /// A number without fraction, whatever its notation.
    public mutating func integer() throws(JSONError) -> Int64 {
        let value = try number()
        guard let exact = Int64(exactly: value) else { throw error("expected a whole number") }
        return exact
    }

    public mutating func string() throws(JSONError) -> String {
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
            case 0..<0x20: throw error("a control character in a string; write it as an escape")
            default: offset += 1
            }
        }
        throw error("a string without its closing quote")
    }

    public mutating func null() throws(JSONError) {
        guard try literal("null") else { throw error("expected null") }
    }

    /// Reads the next value, whatever it is, and discards it.
    public mutating func skip() throws(JSONError) {
        switch peek() {
        case .object: try object { (reader, _) throws(JSONError) in try reader.skip() }
        case .array: try array { (reader) throws(JSONError) in try reader.skip() }
        case .string: _ = try string()
        case .number: _ = try number()
        case .boolean: _ = try boolean()
        case .null: try null()
        case .end, .invalid: throw missingValue()
        }
    }

    /// Nothing but white space may be left.
    public mutating func finish() throws(JSONError) {
        skipSpace()
        if offset < bytes.count { throw error("text after the end of the JSON value") }
    }

    /// An error at the present place.
    public func error(_ message: String) -> JSONError { JSONError(offset: offset, line: line, message: message) }
}

extension JSONReader {
    /// The error where no value begins.
    func missingValue() -> JSONError {
        error(offset < bytes.count ? "expected a JSON value" : "the text ends where a value was expected")
    }

    private mutating func skipSpace() {
        while offset < bytes.count, case let byte = bytes[offset], byte == 32 || byte == 10 || byte == 13 || byte == 9 {
            if byte == 10 { line += 1 }
            offset += 1
        }
    }

    /// The parts of a number that was read.
    private struct Number {
        /// The offset of its first byte.
        var start: Int
        var isNegative = false
        /// The first digits, as many as fit.
        var mantissa: UInt64 = 0
        /// The number of digits from the first that is not 0.
        var digits = 0
        var exponent = 0
    }

    /// The number that was read last, as it is written.
    private func text(of number: Number) -> String { String(decoding: bytes[number.start..<offset], as: UTF8.self) }

    private mutating func scanNumber() throws(JSONError) -> Number {
        skipSpace()
        var number = Number(start: offset)
        number.isNegative = take(UInt8(ascii: "-"))
        let startsWithZero = offset < bytes.count && bytes[offset] == UInt8(ascii: "0")
        let whole = takeDigits(&number.mantissa, &number.digits)
        guard whole > 0 else {
            throw error(number.isNegative ? "a number needs a digit after its sign" : "expected a number")
        }
        guard whole == 1 || !startsWithZero else { throw error("a number must not begin with 0") }
        if take(UInt8(ascii: ".")) {
            let fraction = takeDigits(&number.mantissa, &number.digits)
            guard fraction > 0 else { throw error("a number needs a digit after its point") }
            number.exponent -= fraction
        }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            let isMinus = take(UInt8(ascii: "-"))
            if !isMinus { _ = take(UInt8(ascii: "+")) }
            var power: UInt64 = 0
            var count = 0
            guard takeDigits(&power, &count) > 0 else { throw error("a number needs a digit in its exponent") }
            number.exponent += (isMinus ? -1 : 1) * Int(min(power, 9_999))
        }
        return number
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
        if depth > Self.maximumDepth { throw error("values are nested more than \(Self.maximumDepth) deep") }
    }

    private mutating func close(_ byte: UInt8) -> Bool {
        skipSpace()
        return take(byte)
    }

    private mutating func comma(or end: UInt8) throws(JSONError) -> Bool {
        skipSpace()
        if take(UInt8(ascii: ",")) { return true }
        if take(end) { return false }
        throw error("expected a comma or \(Character(UnicodeScalar(end)))")
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
        // ASCII, the usual case, needs no validation, which is generic and slow.
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
            case 0..<0x20: throw error("a control character in a string; write it as an escape")
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
                guard take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else { throw error("half a surrogate pair") }
                let low = try hexadecimal()
                guard low >> 10 == 0x37 else { throw error("half a surrogate pair") }
                scalar = 0x10000 + (scalar & 0x3FF) << 10 + (low & 0x3FF)
            }
            guard let valid = Unicode.Scalar(scalar) else { throw error("half a surrogate pair") }
            unescaped.append(contentsOf: String(valid).utf8)
        default: throw error("unknown escape \\\(Character(Unicode.Scalar(byte)))")
        }
    }

    private mutating func hexadecimal() throws(JSONError) -> UInt32 {
        guard bytes.count - offset >= 4 else { throw error("\\u needs four hexadecimal digits") }
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = Character(UnicodeScalar(bytes[offset])).hexDigitValue else {
                throw error("\\u needs four hexadecimal digits")
            }
            value = value << 4 | UInt32(digit)
            offset += 1
        }
        return value
    }
}

extension [UInt8] {
    /// `withUnsafeBytes` that keeps the type of the error.
    public func reading<Value>(
        _ body: (UnsafeRawBufferPointer) throws(JSONError) -> Value
    ) throws(JSONError) -> Value {
        let result: Result<Value, JSONError> = withUnsafeBytes { raw in
            do throws(JSONError) { return .success(try body(raw)) } catch { return .failure(error) }
        }
        return try result.get()
    }
}
