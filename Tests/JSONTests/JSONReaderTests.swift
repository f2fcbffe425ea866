import JSON
import Testing

@Suite("The pull parser", .timeLimit(.minutes(15))) struct JSONReaderTests {
    private func read<Value>(
        _ text: String, _ body: (inout JSONReader) throws(JSONError) -> Value
    ) throws(JSONError) -> Value {
        try Array(text.utf8).reading { (raw) throws(JSONError) in
            var reader = JSONReader(raw)
            let value = try body(&reader)
            try reader.finish()
            return value
        }
    }

    @Test(
        "Numbers are read exactly",
        arguments: [
            "0", "-0", "12", "-3.25", "1e3", "1E-2", "0.1", "123456789012345678", "2.2250738585072011e-308",
            "1.7976931348623157e308", "0.000000000000000000000000000001", "9007199254740993", "1e23", "1e-400",
            "0.30000000000000004", "123456789012345e22",
        ])
    func numbers(text: String) throws {
        let number = try read("  \(text) ") { (reader) throws(JSONError) in try reader.number() }
        #expect(number.bitPattern == Double(text)?.bitPattern)
    }

    @Test(
        "Invalid JSON is refused",
        arguments: [
            "", "01", "+1", ".5", "1.", "1e", "1e999", "NaN", "--1", "[1,]", "[1 2]", "{\"a\"}", "{\"a\":1,}", "{a:1}",
            "\"a", "\"\u{1}\"", #""\x""#, #""\ud800""#, #""\ud800\u0041""#, "tru", "[1] 2", "[", "{\"a\":1",
            String(repeating: "1", count: 65), String(repeating: "[", count: 33) + String(repeating: "]", count: 33),
        ])
    func refused(text: String) {
        #expect(throws: JSONError.self) { try read(text) { (reader) throws(JSONError) in try reader.skip() } }
    }

    @Test("Invalid UTF-8 is refused")
    func invalidUnicode() {
        let bytes: [UInt8] = [34, 0xC3, 34]
        #expect(throws: JSONError.self) {
            try bytes.reading { (raw) throws(JSONError) in
                var reader = JSONReader(raw)
                _ = try reader.string()
            }
        }
    }

    @Test("Strings are unescaped")
    func strings() throws {
        let text = try read(#""a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é""#) { (reader) throws(JSONError) in
            try reader.string()
        }
        #expect(text == "a\"\\/\u{8}\u{c}\n\r\té😀é")
    }
}
