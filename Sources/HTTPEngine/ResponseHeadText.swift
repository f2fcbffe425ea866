/// The head of a response that is made here, as text: for the responses of `HTTPServer`, and for those that the proxy
/// gives in a server's place. Heads of servers are relayed as bytes instead.
public struct ResponseHeadText {
    /// The fate of the connection, as the response states it.
    public enum Connection: Sendable {
        /// Kept, as HTTP/1.1 has it unless told otherwise.
        case kept
        /// Kept, for a client of HTTP/1.0, which has to be told.
        case keptForOldClient
        case closes
    }

    /// The lines so far. The empty line that ends the head is the caller's.
    public private(set) var text: String

    public init(status: Int) { text = "HTTP/1.1 \(status) \(reasonPhrase(status))\r\n" }

    /// Adds a field. Control characters are left out of its value: a line break would let the value's author write
    /// fields of their own.
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

    /// The body that says what went wrong, in the form that all of the program's JSON errors have.
    public static func errorBody(code: String, message: String) -> String {
        "{\"error\":{\"code\":\"\(code)\",\"message\":\"\(message)\",\"detail\":null}}\n"
    }
}
