import Foundation
import PlainText
import Testing

@Suite("Text from outside", .timeLimit(.minutes(15)))
struct PlainTextTests {
    /// Scalars at the ends of every range that steers a display, or takes no space on it.
    private static let steering: [UInt32] = [
        0, 0x09, 0x0a, 0x1b, 0x1f, 0x7f, 0x80, 0x9b, 0x9f, 0xad, 0x061c, 0x180e, 0x200b, 0x200e, 0x200f, 0x2028, 0x2029,
        0x202a, 0x202e, 0x2060, 0x2064, 0x2066, 0x2069, 0x206a, 0x206f, 0xfeff, 0xfff9, 0xfffb, 0x1d173, 0xe0001,
        0xe007f,
    ]
    /// Scalars beside these ranges, and the format characters that text needs.
    private static let harmless: [UInt32] = [
        0x20, 0x7e, 0xa0, 0xac, 0xae, 0xe9, 0x0600, 0x0605, 0x061b, 0x061d, 0x06dd, 0x070f, 0x0890, 0x0891, 0x08e2,
        0x200a, 0x200c, 0x200d, 0x2010, 0x2027, 0x202f, 0x2065, 0x2070, 0x4e2d, 0xfe0f, 0xfffd, 0x110bd, 0x110cd,
        0x1f600,
    ]

    private static func text(_ values: [UInt32]) -> String {
        String(String.UnicodeScalarView(values.compactMap(Unicode.Scalar.init)))
    }

    @Test("Scalars that steer a display are shown as dots, others as they are") func displayable() {
        #expect(Self.text(Self.steering).displayable == String(repeating: "·", count: Self.steering.count))
        #expect(Self.text(Self.harmless).displayable == Self.text(Self.harmless))
    }

    @Test("A JSON string keeps its value, and nothing in it steers a display") func escaped() throws {
        let text = Self.text(Self.steering + Self.harmless) + #""\/"#
        let literal = "\"\(text.escapedForJSON)\""
        #expect(!literal.unicodeScalars.contains { $0.steersDisplay })
        #expect(try JSONDecoder().decode(String.self, from: Data(literal.utf8)) == text)
        #expect("a\nb\u{9b}".escapedForJSON == #"a\nb\u009b"#)
    }

    @Test("YAML escapes scalars above U+FFFF as one, JSON as a pair of surrogates") func astral() {
        #expect("\u{e0041}\u{feff}".escapedForYAML == #"\U000e0041\ufeff"#)
        #expect("\u{e0041}\u{feff}".escapedForJSON == #"\udb40\udc41\ufeff"#)
    }

    @Test("Texts are compared by their bytes, and cut by scalars") func bytewise() {
        #expect(!"\u{e9}".hasSameBytes(as: "e\u{301}"))
        #expect("\u{e9}".hasSameBytes(as: "\u{e9}"))
        #expect("short".excerpt == "short")
        let marks = "a" + String(repeating: "\u{301}", count: 100)
        #expect(marks.excerpt.unicodeScalars.count == 41)
    }

    @Test("A JSON document keeps its value and its line breaks", arguments: steering) func document(_ value: UInt32)
        throws
    {
        let text = Self.text([0x61, value, 0x62])
        let encoder = JSONEncoder()
        encoder.outputFormatting = .prettyPrinted
        let shown = escapedForDisplay(json: Array(try encoder.encode([text])))
        #expect(!String(decoding: shown, as: UTF8.self).unicodeScalars.contains { $0 != "\n" && $0.steersDisplay })
        #expect(try JSONDecoder().decode([String].self, from: Data(shown)) == [text])
        #expect(shown.contains(UInt8(ascii: "\n")))
    }

    @Test("A JSON string of bytes escapes quotes, backslashes and controls, and nothing else") func bytes() throws {
        let text = Self.text(Array(0..<0x20) + [0x7f, 0x9b] + Self.harmless) + #""\/"#
        var bytes: [UInt8] = []
        bytes.append(jsonString: text)
        #expect(try JSONDecoder().decode(String.self, from: Data(bytes)) == text)
        #expect(!bytes.contains { $0 < 0x20 })
        var short: [UInt8] = []
        short.append(jsonString: "\u{7f}\u{1f}\u{0a}é/")
        #expect(String(decoding: short, as: UTF8.self) == "\"\u{7f}\\u001f\\u000aé/\"")
    }
}
