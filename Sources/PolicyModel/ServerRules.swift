/// The settings of active health checks.
public struct HealthCheck: Hashable, Codable, Sendable {
    /// The path of the GET request; nil for the readiness path of the version's metrics preset.
    public var path: String?
    /// The time between two probes of a server.
    public var interval: Duration
    public var timeout: Duration
    /// The numbers of consecutive probes that change a server's state. The first probe of a server decides alone.
    public var unhealthyThreshold: Int
    public var healthyThreshold: Int
    /// The statuses of a healthy server.
    public var expectedStatus: ClosedRange<Int>

    public init(
        path: String? = nil, interval: Duration = .seconds(5), timeout: Duration = .seconds(1),
        unhealthyThreshold: Int = 3, healthyThreshold: Int = 2, expectedStatus: ClosedRange<Int> = 200...299
    ) {
        self.path = path
        self.interval = interval
        self.timeout = timeout
        self.unhealthyThreshold = unhealthyThreshold
        self.healthyThreshold = healthyThreshold
        self.expectedStatus = expectedStatus
    }
}

/// The settings of outlier detection, which ejects a server that keeps failing for a while.
public struct OutlierDetection: Hashable, Codable, Sendable {
    /// The number of consecutive 5xx or missing responses that eject a server; 0 turns the rule off.
    public var consecutive5xx: Int
    /// The number of consecutive 502, 503, 504 or missing responses that eject a server; 0 turns the rule off.
    public var consecutiveGatewayFailure: Int
    /// The length of the first ejection; the nth in a row lasts n times as long.
    public var baseEjectionTime: Duration
    public var maxEjectionTime: Duration
    /// The percentage of a version's servers that may be ejected at once, 0 ... 100; one server always may.
    public var maxEjectionPercent: Int

    public init(
        consecutive5xx: Int = 5, consecutiveGatewayFailure: Int = 5, baseEjectionTime: Duration = .seconds(30),
        maxEjectionTime: Duration = .seconds(300), maxEjectionPercent: Int = 50
    ) {
        self.consecutive5xx = consecutive5xx
        self.consecutiveGatewayFailure = consecutiveGatewayFailure
        self.baseEjectionTime = baseEjectionTime
        self.maxEjectionTime = maxEjectionTime
        self.maxEjectionPercent = maxEjectionPercent
    }
}

/// The limits of a service over the whole agent; nil means no limit. Requests beyond a limit are refused.
public struct TrafficLimits: Hashable, Codable, Sendable {
    /// The limit on connections of clients whose last request was for this service.
    public var connections: Int?
    /// The limit on requests under way.
    public var requests: Int?
    /// The limit on the bytes of the buffers that the service's requests hold.
    public var buffer: Int?

    public init(connections: Int? = nil, requests: Int? = nil, buffer: Int? = nil) {
        self.connections = connections
        self.requests = requests
        self.buffer = buffer
    }
}

extension TrafficRules {
    /// The health check of a version with its path; nil if the version's servers are not probed.
    public func healthCheck(of version: Version) -> HealthCheck? {
        guard var check = healthCheck, let path = check.path ?? version.readyPath else { return nil }
        check.path = path
        return check
    }
}

extension Version {
    /// The readiness path of the version's metrics preset; nil without a preset, or if the preset has none.
    public var readyPath: String? { metrics?.presetProperties?.readyPath }
}
