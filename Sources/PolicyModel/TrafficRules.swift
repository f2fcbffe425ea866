/// How requests are assigned to an arm, besides the weight, and how they are relayed.
public struct TrafficRules: Hashable, Codable, Sendable {
    public var sticky: StickyKey
    /// The rules for headers, of which the first that matches applies. A matched request is relayed and never judged.
    public var match: [HeaderMatch]
    public var mirror: Mirror?
    /// The rules for sending a candidate's failed request to the baseline; nil if the client gets the failure.
    public var rescue: Rescue?
    public var timeouts: Timeouts
    public var headers: HeaderRules
    /// The health check; nil if servers are not probed.
    public var healthCheck: HealthCheck?
    /// The outlier detection; nil if no server is ejected.
    public var outlierDetection: OutlierDetection?
    public var limits: TrafficLimits

    public init(
        sticky: StickyKey = .none, match: [HeaderMatch] = [], mirror: Mirror? = nil, rescue: Rescue? = nil,
        timeouts: Timeouts = Timeouts(), headers: HeaderRules = HeaderRules(), healthCheck: HealthCheck? = nil,
        outlierDetection: OutlierDetection? = nil,
        limits: TrafficLimits = TrafficLimits()
    ) {
        self.sticky = sticky
        self.match = match
        self.mirror = mirror
        self.rescue = rescue
        self.timeouts = timeouts
        self.headers = headers
        self.healthCheck = healthCheck
        self.outlierDetection = outlierDetection
        self.limits = limits
    }
}

/// The key that keeps a client on its arm. A request without the key is assigned at random, and counted.
public enum StickyKey: Hashable, Codable, Sendable {
    case none
    /// Lower-case header name.
    case header(String)
    /// Cookie name, case-sensitive.
    case cookie(String)
}

public struct HeaderMatch: Hashable, Codable, Sendable {
    /// Lower case.
    public var header: String
    public var equals: String
    public var to: Arm
    /// True if the file, or its default, restricts the rule to trusted clients.
    public var trusted: Bool
    /// True if the rule applies to trusted clients only: as declared, and always for a field that describes the client.
    public var needsTrust: Bool { trusted || ReservedFields.isForwarding(header) }

    /// - Parameter trusted: whether the rule applies to trusted clients only; nil for true if the header is one of
    ///   `ReservedFields`, and false otherwise.
    public init(header: String, equals: String, to: Arm, trusted: Bool? = nil) {
        self.header = header
        self.equals = equals
        self.to = to
        self.trusted = trusted ?? ReservedFields.contains(header)
    }
}

/// Which of a candidate's failed requests are sent to the baseline. A request of which nothing was sent always is. Any other
/// must be declared safe to send twice, by its method or by its path.
public struct Rescue: Hashable, Codable, Sendable {
    /// Upper case.
    public var methods: [String]
    /// Exact paths without a query; nil for the judged requests, if their paths are declared.
    public var paths: [String]?
    /// The size in bytes of the largest body that is kept for a replay.
    public var maxBody: Int

    /// RFC 9110, 9.2.2.
    public static let idempotent = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]
    /// The data plane keeps head and body in one buffer of this size.
    public static let bodyLimit = 64 << 10

    public init(methods: [String] = Rescue.idempotent, paths: [String]? = nil, maxBody: Int = Rescue.bodyLimit) {
        self.methods = methods
        self.paths = paths
        self.maxBody = maxBody
    }
}

/// Mirrored requests: copies of requests that the baseline served, sent to the candidate. They are never judged.
public struct Mirror: Hashable, Codable, Sendable {
    /// The mirrored share of the judged requests that the baseline served. It does not depend on the weight.
    public var share: Weight

    public init(share: Weight) {
        self.share = share
    }
}

public struct Timeouts: Hashable, Codable, Sendable {
    /// The time to connect to a server.
    public var connect: Duration
    /// The time from the request's last byte sent to the response's head, and between two reads of its body.
    public var response: Duration
    /// The time that a keep-alive connection may go without a request.
    public var idle: Duration

    public init(connect: Duration = .seconds(1), response: Duration = .seconds(60), idle: Duration = .seconds(300)) {
        self.connect = connect
        self.response = response
        self.idle = idle
    }
}
