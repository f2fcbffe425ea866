/// The header fields that describe the client to the servers, and the clients whose values of them are accepted.
public struct HeaderRules: Hashable, Codable, Sendable {
    public var forwarded: ForwardedMode
    /// True if the `Forwarded` field of RFC 7239 is sent as well.
    public var rfc7239: Bool
    public var requestID: RequestIDRule

    public init(forwarded: ForwardedMode = .auto, rfc7239: Bool = false, requestID: RequestIDRule = .keep) {
        self.forwarded = forwarded
        self.rfc7239 = rfc7239
        self.requestID = requestID
    }
}

/// How the fields that describe the client are treated: `x-forwarded-*`, `forwarded`, `x-real-ip`.
public enum ForwardedMode: String, CaseIterable, Hashable, Codable, Sendable {
    /// `append` for trusted clients, `replace` for others.
    case auto
    /// Keeps what the client sent and adds what the proxy sees.
    case append
    /// Sends only what the proxy sees.
    case replace
    /// Sends no such field.
    case off
}

/// The clients whose `x-request-id` is kept if it is a single valid value; other requests get a new id.
public enum RequestIDRule: String, CaseIterable, Hashable, Codable, Sendable {
    case keep
    /// Keeps the ids of trusted clients.
    case trusted
    case new
}

/// The names of fields that describe clients or routing. They are accepted from trusted clients only.
public enum ReservedFields {
    /// The prefix of the fields that control routing or that the proxy sets.
    public static let routingPrefix = "x-canary"

    /// True if a field controls routing, in any spelling with hyphens or underscores.
    /// - Parameter name: the name in lower case.
    public static func isRouting(_ name: String) -> Bool { hyphened(name).hasPrefix(routingPrefix) }

    /// True if a field describes the client, in any spelling with hyphens or underscores.
    /// - Parameter name: the name in lower case.
    public static func isForwarding(_ name: String) -> Bool {
        let name = hyphened(name)
        return name.hasPrefix("x-forwarded") || ["forwarded", "x-real-ip"].contains(name)
    }

    /// True if a field is reserved, in any spelling with hyphens or underscores.
    /// - Parameter name: the name in lower case.
    public static func contains(_ name: String) -> Bool { isRouting(name) || isForwarding(name) }

    private static func hyphened(_ name: String) -> String { String(name.map { $0 == "_" ? "-" : $0 }) }
}
