import AdminTypes
import Testing
import Vocabulary

@Suite("The strict JSON reader")
struct JSONReaderTests {
    private func parse(_ text: String) throws -> JSONValue { try JSONReader.parse(Array(text.utf8)) }

    @Test("Values come out as they were written")
    func values() throws {
        let value = try parse(#" {"a": [1, -0.5e+3, true, null], "b": "q\"\\\/\b\f\n\r\té😀"} "#)
        #expect(value["a"] == .array([.number("1"), .number("-0.5e+3"), .bool(true), .null]))
        #expect(value["b"] == .string("q\"\\/\u{8}\u{c}\n\r\té😀"))
        #expect(try parse(#""é😀""#) == .string("é😀"))
    }

    @Test(
        "What RFC 8259 does not allow is refused with its line",
        arguments: [
            ("", "line 1: the text ends where a value was expected"),
            ("{\"a\":1,}", "line 1: expected a key in quotes"), ("[1,]", "line 1: expected a JSON value"),
            ("01", "line 1: a number must not begin with 0"), ("1.", "line 1: a number needs a digit after its point"),
            ("-", "line 1: a number needs a digit after its sign"),
            ("1e", "line 1: a number needs a digit in its exponent"),
            ("+1", "line 1: expected a JSON value"), ("NaN", "line 1: expected a JSON value"),
            ("tru", "line 1: expected true"), ("[1\n2]", "line 2: expected a comma or ]"),
            ("{\"a\" 1}", "line 1: expected a colon after \"a\""),
            ("{\"a\":1 \"b\":2}", "line 1: expected a comma or }"),
            ("{\"a\":1,\n\"a\":2}", "line 2: key \"a\" is repeated"),
            ("\"a\nb\"", "line 1: a control character in a string; write it as an escape"),
            (#""\x""#, #"line 1: unknown escape \x"#), (#""\ud800""#, "line 1: half a surrogate pair"),
            (#""\udc00""#, "line 1: half a surrogate pair"), (#""\ud800\u0041""#, "line 1: half a surrogate pair"),
            (#""\u12g4""#, "line 1: \\u needs four hexadecimal digits"),
            ("\"a", "line 1: a string without its closing quote"),
            ("1 2", "line 1: text after the end of the JSON value"),
        ])
    func refused(_ text: String, _ message: String) {
        #expect(throws: JSONError.self) { try parse(text) }
        do { _ = try parse(text) } catch { #expect("\(error)" == message) }
    }

    @Test("Bytes that are not UTF-8 are refused")
    func encoding() {
        #expect(throws: JSONError.self) { try JSONReader.parse([0x22, 0xc3, 0x28, 0x22]) }
    }

    @Test("Depth has a limit, so that no text can exhaust the stack")
    func depth() throws {
        let limit = JSONReader.maximumDepth
        let open = { (count: Int) in String(repeating: "[", count: count) + String(repeating: "]", count: count) }
        #expect(throws: Never.self) { try parse(open(limit)) }
        #expect(throws: JSONError.self) { try parse(open(limit + 1)) }
    }
}

@Suite("Times and figures")
struct TimeAndFigureTests {
    @Test(
        "A time is written as RFC 3339 and read back",
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (951_782_400_123, "2000-02-29T00:00:00.123Z"),
            (1_795_232_490_250, "2026-11-21T03:41:30.250Z"), (-1, "1969-12-31T23:59:59.999Z"),
            (4_102_444_799_999, "2099-12-31T23:59:59.999Z"),
        ] as [(Int64, String)])
    func times(_ milliseconds: Int64, _ text: String) {
        #expect(Timestamp(milliseconds: milliseconds).description == text)
        #expect(Timestamp(text)?.milliseconds == milliseconds)
    }

    @Test(
        "What is no such time is refused",
        arguments: ["", "2026-11-21", "2026-11-21 03:41:30Z", "2026-13-01T00:00:00Z"])
    func noTime(_ text: String) { #expect(Timestamp(text) == nil) }

    @Test("The greatest number stands for infinity, and NaN for nothing")
    func figures() throws {
        #expect(Figure(.greatestFiniteMagnitude).value == .infinity)
        #expect(Figure(.nan).value == 0)
        #expect(
            String(decoding: try JSONCoding.encode([Figure(-.infinity), Figure(0.5)]), as: UTF8.self)
                == #"["-Inf",0.5]"#)
        #expect(try JSONCoding.decode([Figure].self, from: Array(#"["+Inf", 2]"#.utf8)) == [Figure(.infinity), 2])
    }
}
