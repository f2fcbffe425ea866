import GrowthMeasure
import Testing

@testable import ReferenceModel

@Suite("What reading an inference request costs", .serialized, .timeLimit(.minutes(15)))
struct ReadingCostTests {
    struct Shape: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var body: @Sendable (_ bytes: Int) -> String
    }

    private static func many(_ text: String, _ bytes: Int) -> String {
        String(repeating: text, count: bytes / text.utf8.count)
    }

    static let shapes = [
        Shape(testDescription: "many keys") { "{\(many("\"k\":0,", $0))\"k\":0}" },
        // Unicode's normal form of this takes quadratic time.
        Shape(testDescription: "a key of combining marks") { "{\"\(many("\u{315}\u{300}", $0))\":0}" },
        Shape(testDescription: "a name of combining marks") {
            "{\"inputs\":[{\"name\":\"\(many("\u{315}\u{300}", $0))\"}]}"
        },
        Shape(testDescription: "a datatype of combining marks") {
            "{\"inputs\":[{\"name\":\"sex\",\"datatype\":\"\(many("\u{315}\u{300}", $0))\",\"shape\":[0],\"data\":[]}]}"
        },
        Shape(testDescription: "a category of combining marks") {
            "{\"inputs\":[{\"name\":\"sex\",\"datatype\":\"BYTES\",\"shape\":[1],\"data\":[\"\(many("\u{315}\u{300}", $0))\"]}]}"
        },
        Shape(testDescription: "many values") {
            "{\"inputs\":[{\"name\":\"age\",\"datatype\":\"INT64\",\"shape\":[\($0 / 2)],\"data\":[\(many("0,", $0 - 2))0]}]}"
        },
        Shape(testDescription: "many empty arrays") {
            "{\"inputs\":[{\"name\":\"age\",\"datatype\":\"INT64\",\"shape\":[0],\"data\":[\(many("[],", $0))[]]}]}"
        },
        Shape(testDescription: "a long number") {
            "{\"inputs\":[{\"name\":\"age\",\"shape\":[1],\"data\":[1\(many("0", $0))]}]}"
        },
        Shape(testDescription: "deep nesting") { many("[", $0) },
    ]

    @Test("Twice the request takes twice the time", arguments: shapes)
    func requests(_ shape: Shape) throws {
        let encoding = FeatureEncoding(columns: [
            .init(name: "sex", kind: .category(["Female", "Male"])),
            .init(name: "age", kind: .number(mean: 0, deviation: 1)),
        ])
        func read(_ body: [UInt8]) {
            guard let request = try? InferenceRequest(parsing: body, headerLength: nil) else { return }
            _ = try? encoding.features(of: request)
        }
        let (small, large) = (Array(shape.body(32_768).utf8), Array(shape.body(65_536).utf8))
        #expect(Growth.ratio(small: { read(small) }, large: { read(large) }) <= Growth.limit)
    }
}
