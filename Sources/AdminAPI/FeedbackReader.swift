import AdminTypes
import Analysis
import HTTPEngine
import JSON
import PlainText
import PolicyModel

/// Reads posted feedback: a JSON object, a JSON array of objects, or NDJSON. A request is accepted as a whole or not at all:
/// if a row is invalid, the request is refused and the response names every invalid row, so that the corrected request can
/// be sent again without counting a row twice.
struct FeedbackReader {
    private let scores: ScoreRange?
    private var rows: [Feedback] = []
    private var faults: [String] = []
    private var faultCount = 0
    private var count = 0

    private init(scores: ScoreRange?) { self.scores = scores }

    /// - Parameter scores: the range of valid scores; nil if no check uses scores, so any finite number is valid.
    static func read(_ request: HTTPRequest, scores: ScoreRange?) throws(Refusal) -> [Feedback] {
        let type = try MediaType.require(request, [.json, .ndjson])
        if let coding = request.headers["content-encoding"], !coding.lowercased().hasSameBytes(as: "identity") {
            throw Refusal(
                415, "unsupported_media_type", "Content-Encoding \(printable(coding)) is not taken here; send it plain")
        }
        var reader = FeedbackReader(scores: scores)
        switch type {
        case .json: try reader.readJSON(request.body)
        case .ndjson: try reader.readLines(request.body)
        }
        return try reader.finish()
    }

    private mutating func readJSON(_ body: [UInt8]) throws(Refusal) {
        do throws(JSONError) {
            try body.reading { (raw) throws(JSONError) in
                var json = JSONReader(raw)
                if json.peek() == .array {
                    try json.array { (json) throws(JSONError) in try readRow(&json) }
                } else {
                    try readRow(&json)
                }
                guard json.peek() == .end else {
                    throw json.error("text after the end; rows by line are Content-Type: application/x-ndjson")
                }
            }
        } catch {
            throw hasTooManyRows ? Refusal.tooManyRows : Refusal(400, "bad_json", "the body is not JSON: \(error)")
        }
    }

    private mutating func readRow(_ json: inout JSONReader) throws(JSONError) {
        _ = json.peek()
        let line = json.line
        count += 1
        guard !hasTooManyRows else { throw json.error("too many rows") }
        add(try json.value(), line: line)
    }

    private mutating func readLines(_ body: [UInt8]) throws(Refusal) {
        let lines = body.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for (place, line) in lines.enumerated() where !line.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0d }) {
            count += 1
            guard !hasTooManyRows else { throw .tooManyRows }
            do throws(JSONError) { add(try JSONReader.parse(Array(line)), line: place + 1) } catch {
                fault("line \(place + 1): not JSON: \(error.message)")
            }
        }
    }

    /// Rows are counted before they are read, so that bad ones do not escape the limit.
    private var hasTooManyRows: Bool { count > AdminLimits.feedbackRows }

    private mutating func add(_ value: JSONValue, line: Int) {
        do { rows.append(try FeedbackRow.read(value, scores: scores)) } catch {
            fault(line == count ? "line \(line): \(error.text)" : "row \(count), line \(line): \(error.text)")
        }
    }

    private mutating func fault(_ text: String) {
        faultCount += 1
        if faults.count < AdminLimits.namedRows { faults.append(text) }
    }

    private func finish() throws(Refusal) -> [Feedback] {
        guard faultCount == 0 else {
            let more = faultCount > faults.count ? ["and \(faultCount - faults.count) more"] : []
            throw Refusal(
                400, "bad_feedback",
                "\(faultCount) of \(count) rows \(faultCount == 1 ? "is" : "are") bad and none was taken; "
                    + "correct them and send the request again: \(faults[0])", detail: faults + more)
        }
        guard !rows.isEmpty else {
            throw Refusal(400, "bad_feedback", "no row in the body; send at least one object with an inference_id")
        }
        return rows
    }
}

extension Refusal {
    fileprivate static var tooManyRows: Refusal {
        Refusal(413, "too_many_rows", "more than \(AdminLimits.feedbackRows) rows in one request; send them in parts")
    }
}

/// One row of feedback.
enum FeedbackRow {
    struct Fault: Error { var text: String }

    private static let keys = "inference_id, label, prediction, score, groups, timestamp"

    static func read(_ value: JSONValue, scores: ScoreRange?) throws(Fault) -> Feedback {
        guard case .object(let members) = value else { throw Fault(text: "a row is an object, not \(value.kind)") }
        var id: String?
        var row = Feedback(requestHash: 0)
        for member in members {
            // A key that is too long to be a field's name is not compared: see `hasSameBytes`.
            switch member.key.utf8.count <= AdminLimits.fieldName ? member.key : "" {
            case "inference_id": id = try inferenceID(member.value)
            case "label": row.label = try binary(member)
            case "prediction": row.prediction = try binary(member)
            case "score": row.score = try score(member.value, within: scores)
            case "groups": row.groups = try groups(member.value)
            case "timestamp": try timestamp(member.value)
            default: throw Fault(text: "unknown field \"\(printable(member.key))\"; a row takes \(keys)")
            }
        }
        guard let id else {
            throw Fault(text: "inference_id is missing: the x-request-id of the response that this row is about")
        }
        guard row.prediction != nil || row.score != nil else {
            throw Fault(text: "prediction and score are both missing: a label alone says nothing of the model")
        }
        row.requestHash = RequestIdentifier.hash(id)
        return row
    }

    private static func inferenceID(_ value: JSONValue) throws(Fault) -> String {
        guard case .string(let text) = value, !text.isEmpty else {
            throw Fault(text: "inference_id is a string that is not empty, not \(value.kind)")
        }
        guard text.utf8.count <= AdminLimits.inferenceID else {
            throw Fault(text: "inference_id has \(text.utf8.count) bytes; at most \(AdminLimits.inferenceID)")
        }
        return text
    }

    private static func binary(_ member: JSONValue.Member) throws(Fault) -> Int? {
        switch member.value {
        case .null: return nil
        case .number(let text):
            if let value = finite(text), value == 0 || value == 1 { return value == 1 ? 1 : 0 }
            throw Fault(text: "\(member.key) is 0 or 1, not \(text.prefix(20))")
        default: throw Fault(text: "\(member.key) is 0 or 1, not \(member.value.kind)")
        }
    }

    private static func score(_ value: JSONValue, within range: ScoreRange?) throws(Fault) -> Double? {
        switch value {
        case .null: return nil
        case .number(let text):
            guard let value = finite(text) else {
                throw Fault(text: "score is a finite number, not \(text.prefix(20))")
            }
            guard range?.contains(value) ?? true else {
                throw Fault(
                    text:
                        "score \(text.prefix(20)) is outside \(range ?? .unit), the range of this service's score checks; "
                        + "send it in that range, or declare the range of the scores in the policy")
            }
            return value
        default: throw Fault(text: "score is a number, not \(value.kind)")
        }
    }

    private static func finite(_ text: String) -> Double? {
        guard text.utf8.count <= AdminLimits.number, let value = Double(text), value.isFinite else { return nil }
        return value
    }

    private static func groups(_ value: JSONValue) throws(Fault) -> [String: String] {
        if case .null = value { return [:] }
        guard case .object(let members) = value else {
            throw Fault(text: "groups is an object such as {\"sex\": \"Female\"}, not \(value.kind)")
        }
        guard members.count <= AdminLimits.groupsOfRow else {
            throw Fault(text: "groups has \(members.count) attributes; at most \(AdminLimits.groupsOfRow)")
        }
        var groups: [String: String] = [:]
        for member in members {
            guard case .string(let text) = member.value else {
                throw Fault(text: "groups.\(printable(member.key)) is a string, not \(member.value.kind)")
            }
            guard max(text.utf8.count, member.key.utf8.count) <= AdminLimits.groupText, !member.key.isEmpty else {
                throw Fault(
                    text: "groups.\(printable(member.key)): names and values have 1 to \(AdminLimits.groupText) bytes")
            }
            guard !hasControls(text), !hasControls(member.key) else {
                throw Fault(text: "groups.\(printable(member.key)) has control characters; write plain text")
            }
            guard groups.updateValue(text, forKey: member.key) == nil else {
                throw Fault(
                    text: "groups.\(printable(member.key)) is there twice, in two forms of Unicode; write it once")
            }
        }
        return groups
    }

    /// Validates the timestamp and discards it, because rows are joined by id. An invalid one indicates a faulty sender.
    private static func timestamp(_ value: JSONValue) throws(Fault) {
        switch value {
        case .null, .number: return
        case .string(let text) where text.utf8.count <= 64: return
        default: throw Fault(text: "timestamp is a string as RFC 3339 writes it, or a number")
        }
    }
}
