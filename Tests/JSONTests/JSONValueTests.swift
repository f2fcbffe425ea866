import JSON
import Testing

@Suite("JSON as a tree", .timeLimit(.minutes(15)))
struct JSONValueTests {
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
            ("tru", "line 1: expected true or false"), ("[1\n2]", "line 2: expected a comma or ]"),
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
