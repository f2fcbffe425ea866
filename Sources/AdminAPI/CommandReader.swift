import AdminTypes
import HTTPEngine
import JSON
import RolloutEngine

extension Command {
    /// Reads a command's body. Unknown keys, other types and keys that the verb does not take are refused.
    init(_ verb: CommandVerb, _ request: HTTPRequest) throws(Refusal) {
        var fields = CommandRequest()
        for member in try Self.members(of: request) {
            // A key that is too long to be a field's name is not compared: see `hasSameBytes`.
            switch member.key.utf8.count <= AdminLimits.fieldName ? member.key : "" {
            case "reason": fields.reason = try Self.text(member, limit: AdminLimits.reason)
            case "by": fields.by = try Self.text(member, limit: AdminLimits.by)
            case "generation":
                guard case .number(let digits) = member.value, let value = UInt64(digits) else {
                    throw .badField("generation is a whole number, not \(member.value.kind); canaryctl status shows it")
                }
                fields.generation = value
            case "force" where verb.takesForce:
                guard case .bool(let value) = member.value else {
                    throw .badField("force is true or false, not \(member.value.kind)")
                }
                fields.force = value
            case "to" where verb.takesTarget: fields.to = try Self.text(member, limit: AdminLimits.version)
            default:
                let known =
                    ["reason", "by", "generation"]
                    + (verb.takesForce ? ["force"] : []) + (verb.takesTarget ? ["to"] : [])
                throw .badField(
                    "\(verb.rawValue) has no field \"\(printable(member.key))\"; it takes \(known.joined(separator: ", "))"
                )
            }
        }
        let force = fields.force ?? false
        let engineVerb: Verb =
            switch verb {
            case .start: .start
            case .advance: .advance
            case .promote: .promote(force: force)
            case .revert: .revert(to: fields.to, force: force)
            case .pause: .pause
            case .resume: .resume
            case .retry: .retry
            case .restart: .restart
            case .freeze: .freeze
            case .unfreeze: .unfreeze
            }
        self.init(
            engineVerb, by: fields.by ?? request.peer.map { "uid \($0.uid)" } ?? "someone",
            reason: fields.reason ?? "", generation: fields.generation)
    }

    private static func members(of request: HTTPRequest) throws(Refusal) -> [JSONValue.Member] {
        guard !request.body.isEmpty else { return [] }
        try MediaType.require(request, [.json])
        let value: JSONValue
        do { value = try JSONReader.parse(request.body) } catch {
            throw Refusal(400, "bad_json", "the body is not JSON: \(error)")
        }
        guard case .object(let members) = value else {
            throw Refusal(400, "bad_json", "the body is \(value.kind); send an object such as {\"reason\": \"…\"}")
        }
        return members
    }

    private static func text(_ member: JSONValue.Member, limit: Int) throws(Refusal) -> String {
        guard case .string(let text) = member.value else {
            throw .badField("\(member.key) is a string, not \(member.value.kind)")
        }
        guard text.utf8.count <= limit else {
            throw .badField("\(member.key) has \(text.utf8.count) bytes; at most \(limit)")
        }
        guard !hasControls(text) else { throw .badField("\(member.key) has control characters; write plain text") }
        guard !text.isEmpty || member.key == "reason" else {
            throw .badField("\(member.key) is empty; leave it out or give a value")
        }
        return text
    }
}

/// True if a text has control characters, which could rewrite the terminal of whoever reads it later.
func hasControls(_ text: String) -> Bool {
    text.unicodeScalars.contains { $0.value < 0x20 || (0x7f...0x9f).contains($0.value) }
}

/// The media types of request bodies.
enum MediaType: String {
    case json = "application/json"
    case ndjson = "application/x-ndjson"

    /// The type of a request's body; the first of `types` if the request has no Content-Type.
    /// - Throws: a 415 if the type is none of `types`.
    @discardableResult
    static func require(_ request: HTTPRequest, _ types: [MediaType]) throws(Refusal) -> MediaType {
        guard let header = request.headers["content-type"] else { return types[0] }
        // Bytes are compared, since comparing characters takes quadratic time for a long run of combining marks.
        var bytes = header.utf8.prefix { $0 != UInt8(ascii: ";") }.map { (0x41...0x5a).contains($0) ? $0 | 0x20 : $0 }
        while bytes.last == UInt8(ascii: " ") || bytes.last == UInt8(ascii: "\t") { bytes.removeLast() }
        func isNamed(_ name: String) -> Bool { bytes.elementsEqual(name.utf8) }
        let known = types.first { type in
            isNamed(type.rawValue) || type == .ndjson && (isNamed("application/ndjson") || isNamed("application/jsonl"))
        }
        guard let type = known else {
            throw Refusal(
                415, "unsupported_media_type",
                "\(printable(header)) is not taken here; send Content-Type: "
                    + types.map(\.rawValue).joined(separator: " or "))
        }
        return type
    }
}
