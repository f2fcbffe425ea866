import AdminTypes
import PlainText

/// An error response of the API.
struct Refusal: Error {
    var status: Int
    var problem: ErrorBody.Problem
    var headers: [(String, String)]

    init(_ status: Int, _ code: String, _ message: String, detail: [String] = [], headers: [(String, String)] = []) {
        self.status = status
        problem = ErrorBody.Problem(code: code, message: message, detail: detail)
        self.headers = headers
    }

    static func unknownService(_ name: String, known: [String]) -> Refusal {
        Refusal(
            404, "unknown_service",
            "there is no service \(printable(name)); "
                + (known.isEmpty ? "the agent has none" : "there is \(known.joined(separator: ", "))"), detail: known)
    }

    static func journal(_ error: any Error) -> Refusal {
        Refusal(
            500, "journal_unreadable",
            "the journal cannot be read: \(error); the agent keeps serving, see canaryctl doctor")
    }

    static func badField(_ message: String) -> Refusal { Refusal(400, "bad_field", message) }
}

/// A query whose keys are all known and not repeated.
struct Query {
    private var values: [String: String] = [:]

    init(_ text: String?, route: AdminRoute) throws(Refusal) {
        guard let text, !text.isEmpty else { return }
        for pair in text.split(separator: "&", omittingEmptySubsequences: false) {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let key = percentDecoded(parts[0]), let value = percentDecoded(parts.count > 1 ? parts[1] : "") else {
                throw Refusal(400, "bad_query", "a % in the query is not followed by two hexadecimal digits")
            }
            guard route.queryKeys.contains(where: { $0.hasSameBytes(as: key) }) else {
                let known = route.queryKeys.joined(separator: ", ")
                throw Refusal(
                    400, "bad_query",
                    "\(route.template) has no query key \"\(printable(key))\"; "
                        + (known.isEmpty ? "it takes none" : "it takes \(known)"))
            }
            guard value.utf8.count <= AdminLimits.parameter else {
                throw Refusal(400, "bad_query", "\(key) has more than \(AdminLimits.parameter) bytes")
            }
            guard values.updateValue(value, forKey: key) == nil else {
                throw Refusal(400, "bad_query", "query key \(key) is repeated; send it once")
            }
        }
    }

    /// The number of a key; nil if the query does not have the key.
    func number(_ key: String, in range: ClosedRange<Int64>) throws(Refusal) -> Int64? {
        guard let text = values[key] else { return nil }
        guard let value = Int64(text), range.contains(value) else {
            let bounds =
                range.upperBound == .max ? "from \(range.lowerBound)" : "\(range.lowerBound) to \(range.upperBound)"
            throw Refusal(400, "bad_query", "\(key) is a number \(bounds), not \"\(printable(text))\"")
        }
        return value
    }

    /// The text of a key; nil if the query does not have the key.
    func text(_ key: String, atMost limit: Int) throws(Refusal) -> String? {
        guard let text = values[key] else { return nil }
        guard text.utf8.count <= limit else { throw Refusal(400, "bad_query", "\(key) has more than \(limit) bytes") }
        return text
    }

    /// True for `follow`, `follow=1` and `follow=true`; false without the key.
    func flag(_ key: String) throws(Refusal) -> Bool {
        switch values[key] {
        case nil, "0", "false": return false
        case "", "1", "true": return true
        case .some(let other): throw Refusal(400, "bad_query", "\(key) is 1 or 0, not \"\(printable(other))\"")
        }
    }
}
