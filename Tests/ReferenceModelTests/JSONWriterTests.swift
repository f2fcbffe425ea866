import Testing

@testable import ReferenceModel

@Suite(.timeLimit(.minutes(15))) struct JSONWriterTests {
    @Test("The writer escapes keys and separates values with commas")
    func writer() throws {
        var writer = JSONWriter()
        writer.object { writer in
            writer.key("a\n\"")
            writer.array { writer in
                writer.number(Float(0.1))
                writer.number(-5)
                writer.boolean(true)
            }
            writer.key("b")
            writer.object { _ in }
        }
        #expect(String(decoding: writer.bytes, as: UTF8.self) == #"{"a\u000a\"":[0.1,-5,true],"b":{}}"#)
    }
}
