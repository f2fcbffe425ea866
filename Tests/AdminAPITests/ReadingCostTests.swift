import AdminTypes
import GrowthMeasure
import HTTPEngine
import RolloutEngine
import Testing

@testable import AdminAPI

/// Whatever is posted, reading it takes time in proportion: the control thread has nothing else to do meanwhile.
@Suite("What reading a request costs", .serialized, .timeLimit(.minutes(15)))
struct ReadingCostTests {
    struct Shape: Sendable, CustomTestStringConvertible {
        var testDescription: String
        /// A body of about so many bytes.
        var body: @Sendable (_ bytes: Int) -> String
    }

    private static let marks = "\u{315}\u{300}"

    private static func list(_ bytes: Int, _ item: (Int) -> String) -> String {
        var (items, length, next) = ([String](), 0, 0)
        while length < bytes {
            items.append(item(next))
            length += items[next].utf8.count + 1
            next += 1
        }
        return items.joined(separator: ",")
    }

    static let shapes = [
        Shape(testDescription: "many keys in one object") { "{\(list($0) { "\"\($0)\":0" })}" },
        Shape(testDescription: "many keys in an object of a row") { "{\"groups\":{\(list($0) { "\"\($0)\":0" })}}" },
        Shape(testDescription: "a long number") { "{\"score\":1\(String(repeating: "0", count: $0))}" },
        Shape(testDescription: "a long fraction") { "{\"label\":0.\(String(repeating: "1", count: $0))}" },
        // Unicode's normal form of this takes quadratic time.
        Shape(testDescription: "a key of combining marks") {
            "{\"\(String(repeating: marks, count: $0 / 4))\":0,\"a\":0}"
        },
        Shape(testDescription: "a value of combining marks") {
            "{\"inference_id\":\"\(String(repeating: marks, count: $0 / 4))\"}"
        },
        Shape(testDescription: "a group of combining marks") {
            "{\"groups\":{\"sex\":\"\(String(repeating: marks, count: $0 / 4))\"}}"
        },
        Shape(testDescription: "many rows with groups") {
            "[\(list($0) { "{\"inference_id\":\"\($0)\",\"score\":1,\"groups\":{\"a\":\"b\",\"c\":\"d\($0)\"}}" })]"
        },
        Shape(testDescription: "many bad rows") { "[\(list($0) { _ in "{}" })]" },
        Shape(testDescription: "deep nesting") { String(repeating: "[", count: $0) },
        Shape(testDescription: "many values") { "{\"score\":[\(list($0) { _ in "0" })]}" },
        Shape(testDescription: "many escapes") { "{\"score\":\"\(String(repeating: "\\u00e9", count: $0 / 6))\"}" },
        Shape(testDescription: "white space") { "\(String(repeating: "\n ", count: $0 / 2)){}" },
    ]

    private func ratio(_ small: HTTPRequest, _ large: HTTPRequest, _ read: (HTTPRequest) throws -> Void) -> Double {
        Growth.ratio(small: { try? read(small) }, large: { try? read(large) })
    }

    private func request(_ body: String, type: String = "application/json") -> HTTPRequest {
        HTTPRequest(
            method: "POST", path: "/v1/services/income/feedback", headers: HTTPHeaders([("content-type", type)]),
            body: Array(body.utf8))
    }

    @Test("Twice the feedback takes twice the time", arguments: shapes)
    func feedback(_ shape: Shape) {
        let ratio = ratio(request(shape.body(32_768)), request(shape.body(65_536))) {
            _ = try FeedbackReader.read($0, scores: nil)
        }
        #expect(ratio <= Growth.limit)
    }

    @Test("Twice the lines take twice the time", arguments: shapes)
    func lines(_ shape: Shape) {
        func body(_ count: Int) -> HTTPRequest {
            let line = shape.body(1_024).replacing("\n", with: " ")
            return request(String(repeating: line + "\n", count: count), type: "application/x-ndjson")
        }
        #expect(ratio(body(256), body(512)) { _ = try FeedbackReader.read($0, scores: nil) } <= Growth.limit)
    }

    @Test("Twice the command takes twice the time", arguments: shapes)
    func command(_ shape: Shape) {
        let ratio = ratio(request(shape.body(32_768)), request(shape.body(65_536))) { _ = try Command(.promote, $0) }
        #expect(ratio <= Growth.limit)
    }

    @Test("Long paths, queries and headers cost what they are long")
    func heads() {
        func path(_ count: Int) -> String { "/v1/services/\(String(repeating: "%CC%95%CC%80", count: count))/feedback" }
        func query(_ count: Int) -> String { "after=\(String(repeating: "%CC%95%CC%80", count: count))" }
        func header(_ count: Int) -> HTTPRequest { request("{}", type: String(repeating: Self.marks, count: count)) }
        #expect(
            Growth.ratio(
                small: { _ = try? AdminRoute.find("POST", path(4_000), on: .feedback) },
                large: { _ = try? AdminRoute.find("POST", path(8_000), on: .feedback) }) <= Growth.limit)
        let route = AdminRoute.table.first { $0.queryKeys.contains("after") }!
        #expect(
            Growth.ratio(
                small: { _ = try? Query(query(4_000), route: route) },
                large: { _ = try? Query(query(8_000), route: route) }) <= Growth.limit)
        #expect(ratio(header(8_000), header(16_000)) { _ = try FeedbackReader.read($0, scores: nil) } <= Growth.limit)
    }
}
