import AdminTypes
import PlainText

/// One method on one path. `table` is the only list of routes: the server, its 404 and 405 responses, and the test of
/// the OpenAPI document all read it.
public struct AdminRoute: Hashable, Sendable {
    public enum Socket: String, Sendable { case admin, feedback }

    enum Operation: Hashable, Sendable {
        case services, service, history, events, decision, recording, targets
        case command(CommandVerb)
        case feedback
        case health, readiness, metrics, version
    }

    public let socket: Socket
    public let method: String
    /// The path as OpenAPI writes it, such as `/v1/services/{service}/history`.
    public let template: String
    let operation: Operation
    /// The allowed query keys; others are refused.
    public let queryKeys: [String]

    init(_ socket: Socket, _ method: String, _ template: String, _ operation: Operation, queryKeys: [String] = []) {
        self.socket = socket
        self.method = method
        self.template = template
        self.operation = operation
        self.queryKeys = queryKeys
    }

    public static let table: [AdminRoute] =
        [
            AdminRoute(.admin, "GET", "/v1/services", .services),
            AdminRoute(.admin, "GET", "/v1/services/{service}", .service),
            AdminRoute(.admin, "GET", "/v1/services/{service}/history", .history, queryKeys: ["limit"]),
            AdminRoute(
                .admin, "GET", "/v1/services/{service}/events", .events, queryKeys: ["after", "limit", "follow"]),
            AdminRoute(.admin, "GET", "/v1/services/{service}/decisions/{id}", .decision),
            AdminRoute(
                .admin, "GET", "/v1/services/{service}/recording", .recording, queryKeys: ["rollout", "after"]),
            AdminRoute(.admin, "GET", "/v1/services/{service}/targets", .targets),
            AdminRoute(.admin, "GET", "/v1/version", .version),
            AdminRoute(.admin, "GET", "/healthz", .health),
            AdminRoute(.admin, "GET", "/readyz", .readiness),
            AdminRoute(.admin, "GET", "/metrics", .metrics),
            AdminRoute(.feedback, "POST", "/v1/services/{service}/feedback", .feedback),
        ]
        + CommandVerb.allCases.map {
            AdminRoute(.admin, "POST", "/v1/services/{service}/\($0.rawValue)", .command($0))
        }

    /// The path's parameters by name; nil if the path does not match this route.
    func match(_ segments: [Substring]) -> [String: String]? {
        let mine = template.split(separator: "/", omittingEmptySubsequences: false)
        guard mine.count == segments.count else { return nil }
        var parameters: [String: String] = [:]
        for (pattern, segment) in zip(mine, segments) {
            if pattern.first == "{" {
                guard let value = percentDecoded(segment), !value.isEmpty,
                    value.utf8.count <= AdminLimits.parameter
                else { return nil }
                parameters[String(pattern.dropFirst().dropLast())] = value
            } else if !pattern.utf8.elementsEqual(segment.utf8) {
                return nil
            }
        }
        return parameters
    }

    /// The route of a request.
    /// - Throws: a 404 if no route has this path, a 405 if none has this method.
    static func find(
        _ method: String, _ path: String, on socket: Socket
    ) throws(Refusal) -> (route: AdminRoute, parameters: [String: String]) {
        let segments = path.split(separator: "/", omittingEmptySubsequences: false)
        var allowed: [String] = []
        for route in table where route.socket == socket {
            guard let parameters = route.match(segments) else { continue }
            if route.method == method { return (route, parameters) }
            allowed.append(route.method)
        }
        if allowed.isEmpty {
            throw Refusal(
                404, "unknown_path", "there is no \(printable(path)) on the \(socket.rawValue) socket",
                detail: table.filter { $0.socket == socket }.map { "\($0.method) \($0.template)" })
        }
        throw Refusal(
            405, "method_not_allowed", "\(printable(path)) takes \(allowed.joined(separator: ", ")), not \(method)",
            headers: [("Allow", allowed.joined(separator: ", "))])
    }
}

/// Decodes percent escapes; nil if an escape is malformed or the result is not UTF-8.
func percentDecoded(_ text: some StringProtocol) -> String? {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
        guard byte == UInt8(ascii: "%") else {
            bytes.append(byte)
            continue
        }
        guard rest.count >= 2, let high = hexDigit(rest.removeFirst()), let low = hexDigit(rest.removeFirst()) else {
            return nil
        }
        bytes.append(high << 4 | low)
    }
    return String(validating: bytes, as: UTF8.self)
}

private func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x30...0x39: byte - 0x30
    case 0x41...0x46: byte - 0x37
    case 0x61...0x66: byte - 0x57
    default: nil
    }
}

/// The first 100 characters of a client's text, made safe for display in a message.
func printable(_ text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.prefix(100))).displayable
}
