/// Builds the head of a response as text: for responses of `HTTPServer`, and for those that the proxy sends in a
/// server's place. Heads of servers are relayed as bytes instead.
public struct ResponseHeadText {
    /// Whether the connection is kept after the response.
    public enum Connection: Sendable {
        /// The connection is kept, which is the default of HTTP/1.1 and needs no field.
        case kept
        /// The connection to an HTTP/1.0 client is kept, which needs a field.
        case keptForOldClient
        case closes
    }

    /// The lines so far. The caller adds the empty line that ends the head.
    public private(set) var text: String

    public init(status: Int) { text = "HTTP/1.1 \(status) \(reasonPhrase(status))\r\n" }

    /// Adds a field. Control characters are removed from the value, since a line break would let it inject further
    /// fields.
    public mutating func add(_ name: String, _ value: String) {
        text += "\(name): "
        text.unicodeScalars.append(
            contentsOf: value.unicodeScalars.lazy.filter { $0.value >= 0x20 && $0.value != 0x7f || $0 == "\t" })
        text += "\r\n"
    }

    public mutating func add(_ connection: Connection) {
        switch connection {
        case .kept: break
        case .keptForOldClient: add("Connection", "keep-alive")
        case .closes: add("Connection", "close")
        }
    }

    /// The JSON body of an error response, in the form that all of the agent's error responses have.
    public static func errorBody(code: String, message: String) -> String {
        "{\"error\":{\"code\":\"\(code)\",\"message\":\"\(message)\",\"detail\":null}}\n"
    }
}
