/// What servers are told of the client, and whose word on it counts.
public struct HeaderRules: Hashable, Codable, Sendable {
    public var forwarded: ForwardedMode
    /// The `Forwarded` field of RFC 7239 as well.
    public var rfc7239: Bool
    public var requestID: RequestIDRule

    public init(forwarded: ForwardedMode = .auto, rfc7239: Bool = false, requestID: RequestIDRule = .keep) {
        self.forwarded = forwarded
        self.rfc7239 = rfc7239
        self.requestID = requestID
    }
}

/// What becomes of the fields that describe the client: `x-forwarded-*`, `forwarded`, `x-real-ip`.
public enum ForwardedMode: String, CaseIterable, Hashable, Codable, Sendable {
    /// `append` for trusted clients, `replace` for others.
    case auto
    /// What the client sent is kept, and what is seen here is added.
    case append
    /// Only what is seen here.
    case replace
    /// No such field is sent.
    case off
}

/// The clients whose `x-request-id` is kept, where it is one sane value; others get a new one.
public enum RequestIDRule: String, CaseIterable, Hashable, Codable, Sendable {
    case keep
    /// The ids of trusted clients are kept.
    case trusted
    case new
}

/// Names of fields that describe clients or routing, and which a client that is not trusted therefore cannot send.
public enum ReservedFields {
    /// Whatever begins like this is ours to set.
    public static let routingPrefix = "x-canary"

    /// - Parameter name: in lower case.
    public static func isRouting(_ name: String) -> Bool { hyphened(name).hasPrefix(routingPrefix) }

    /// - Parameter name: in lower case.
    public static func contains(_ name: String) -> Bool {
        let name = hyphened(name)
        return name.hasPrefix(routingPrefix) || name.hasPrefix("x-forwarded")
            || ["forwarded", "x-real-ip"].contains(name)
    }

    private static func hyphened(_ name: String) -> String { String(name.map { $0 == "_" ? "-" : $0 }) }
}
