import AdminTypes
import Testing
import Vocabulary

@Suite("Times and figures", .timeLimit(.minutes(15)))
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
