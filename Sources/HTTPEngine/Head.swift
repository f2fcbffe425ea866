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

/// The fields that the engine or the proxy interpret; all others are `other`.
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
    /// Any other field that begins with `x-forwarded`.
    case xForwarded
    case xRealIP
    case xRequestID
    case xCanaryVersion
    case xCanaryError
    /// Any other field that begins with `x-canary`.
    case xCanary
    /// A reserved name with underscores for hyphens, which some servers treat as the same name.
    case reservedAlias
}

public struct HeadField: Sendable {
    public var name: HeadRange
    /// The value without the white space around it.
    public var value: HeadRange
    public var kind: FieldName
    /// True if the Connection field names this field.
    public var isHopByHop: Bool
}

public enum BodyFraming: Equatable, Sendable {
    case none
    case length(Int64)
    case chunked
    /// The body of a response that ends with the connection.
    case untilClose
}

/// The meaning of a head's fields. Plain data.
public struct FieldSummary: Sendable {
    public var count = 0
    public var host = HeadRange()
    public var hosts: UInt8 = 0
    /// The content length; -1 for none.
    public var contentLength: Int64 = -1
    public var isChunked = false
    public var connectionClose = false
    public var connectionKeepAlive = false
    /// True if the Connection field names fields, besides the options close and keep-alive.
    public var namesHopByHop = false
    public var expectsContinue = false
    public var expectsOther = false
    /// The number of Upgrade fields, and the last of them.
    public var upgrades: UInt8 = 0
    public var upgrade = HeadRange()
    /// True if the Connection field names `upgrade`.
    public var connectionUpgrade = false
    /// The number of x-request-id fields, and the last of them.
    public var requestIDs: UInt8 = 0
    public var requestID = HeadRange()

    @inlinable public init() {}
}

public enum MethodKind: UInt8, Sendable {
    case get, head, post, put, delete, options, patch, trace, connect, other

    /// True if a request with this method may be sent again without harm (RFC 9110, 9.2.2).
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
    /// The query with its question mark; empty if there is none.
    public var query = HeadRange()
    /// The effective authority: that of the target if it has one, otherwise that of the Host field; empty in HTTP/1.0
    /// without Host.
    public var authority = HeadRange()
    /// The authority without its port.
    public var host = HeadRange()
    /// The minor version, 0 or 1.
    public var minor: UInt8 = 1
    public var framing = BodyFraming.none
    public var fields = FieldSummary()

    @inlinable public init() {}

    /// True if the client wants the connection to be kept.
    @inlinable public var keepsAlive: Bool {
        minor == 1 ? !fields.connectionClose : fields.connectionKeepAlive && !fields.connectionClose
    }
}

/// A response's head, as ranges of the bytes that it was parsed from.
public struct ResponseHead: Sendable {
    public var minor: UInt8 = 1
    /// The status, 100 ... 599.
    public var status = 0
    public var reason = HeadRange()
    /// The framing of the message, which is `none` for responses to HEAD and for status codes without a body.
    public var framing = BodyFraming.none
    public var fields = FieldSummary()

    @inlinable public init() {}

    @inlinable public var keepsAlive: Bool {
        minor == 1 ? !fields.connectionClose : fields.connectionKeepAlive && !fields.connectionClose
    }
}
