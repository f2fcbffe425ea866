/// A range of a head's bytes.
public struct HeadRange: Equatable, Sendable {
    public var start: UInt32
    public var length: UInt32

    @inlinable public init(_ start: Int, _ length: Int) {
        self.start = UInt32(truncatingIfNeeded: start)
        self.length = UInt32(truncatingIfNeeded: length)
    }

    @inlinable public init() {
        start = 0
        length = 0
    }

    @inlinable public var isEmpty: Bool { length == 0 }
    @inlinable public var end: Int { Int(start) + Int(length) }

    @inlinable public func bytes(in base: UnsafePointer<UInt8>) -> UnsafeBufferPointer<UInt8> {
        UnsafeBufferPointer(start: base + Int(start), count: Int(length))
    }

    public func string(in base: UnsafePointer<UInt8>) -> String { String(decoding: bytes(in: base), as: UTF8.self) }
}

/// Fields that the engine or the proxy act upon; all others are `other`.
public enum FieldName: UInt8, Sendable {
    case other
    case host
    case contentLength
    case transferEncoding
    case connection
    case keepAlive
    case proxyConnection
    case te
    case trailer
    case upgrade
    case expect
    case date
    case proxyAuthenticate
    case proxyAuthorization
    case cookie
    case forwarded
    case xForwardedFor
    case xForwardedProto
    /// Any other that begins with x-forwarded.
    case xForwarded
    case xRealIP
    case xRequestID
    case xCanaryVersion
    case xCanaryError
    /// Any other that begins with x-canary.
    case xCanary
    /// A reserved name with underscores for hyphens, which some servers take for the same.
    case reservedAlias
}

public struct HeadField: Sendable {
    public var name: HeadRange
    /// Without the white space around it.
    public var value: HeadRange
    public var kind: FieldName
    /// Connection names it.
    public var isHopByHop: Bool
}

public enum BodyFraming: Equatable, Sendable {
    case none
    case length(Int64)
    case chunked
    /// Responses only: the body ends with the connection.
    case untilClose
}

/// The fields' meaning together. Plain data.
public struct FieldSummary: Sendable {
    public var count = 0
    public var host = HeadRange()
    public var hosts: UInt8 = 0
    /// -1: none.
    public var contentLength: Int64 = -1
    public var isChunked = false
    public var connectionClose = false
    public var connectionKeepAlive = false
    /// Connection names fields beyond close and keep-alive.
    public var namesHopByHop = false
    public var expectsContinue = false
    public var expectsOther = false
    /// Upgrade fields: how many, and the last.
    public var upgrades: UInt8 = 0
    public var upgrade = HeadRange()
    /// Connection names upgrade.
    public var connectionUpgrade = false
    /// The x-request-id fields: how many, and the last.
    public var requestIDs: UInt8 = 0
    public var requestID = HeadRange()

    @inlinable public init() {}
}

public enum MethodKind: UInt8, Sendable {
    case get, head, post, put, delete, options, patch, trace, connect, other

    /// May be sent again without harm (RFC 9110, 9.2.2).
    @inlinable public var isIdempotent: Bool {
        switch self {
        case .get, .head, .put, .delete, .options, .trace: true
        case .post, .patch, .connect, .other: false
        }
    }
}

/// A request's head, as ranges of the bytes that it was parsed from.
public struct RequestHead: Sendable {
    public var method = HeadRange()
    public var kind = MethodKind.other
    /// The path as it was written, without scheme and authority; empty for an absolute form without a path.
    public var path = HeadRange()
    /// The query with its question mark; empty where there is none.
    public var query = HeadRange()
    /// The effective one: the target's where it has one, else the Host field's; empty in HTTP/1.0 without Host.
    public var authority = HeadRange()
    /// The authority without its port.
    public var host = HeadRange()
    /// 0 or 1.
    public var minor: UInt8 = 1
    public var framing = BodyFraming.none
    public var fields = FieldSummary()

    @inlinable public init() {}

    /// Whether the client wants the connection kept.
    @inlinable public var keepsAlive: Bool {
        minor == 1 ? !fields.connectionClose : fields.connectionKeepAlive && !fields.connectionClose
    }
}

/// A response's head, as ranges of the bytes that it was parsed from.
public struct ResponseHead: Sendable {
    public var minor: UInt8 = 1
    /// 100 ... 599.
    public var status = 0
    public var reason = HeadRange()
    /// The framing of the message as it comes, HEAD and status codes without a body taken into account.
    public var framing = BodyFraming.none
    public var fields = FieldSummary()

    @inlinable public init() {}

    @inlinable public var keepsAlive: Bool {
        minor == 1 ? !fields.connectionClose : fields.connectionKeepAlive && !fields.connectionClose
    }
}
