/// How servers are asked whether they are well.
public struct HealthCheck: Hashable, Codable, Sendable {
    /// Asked with GET. Nil: where the version's metrics preset is asked whether it is ready.
    public var path: String?
    /// Between two probes of a server.
    public var interval: Duration
    public var timeout: Duration
    /// Probes in a row. The first probe of a server decides by itself.
    public var unhealthyThreshold: Int
    public var healthyThreshold: Int
    /// Statuses that say it is well.
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

/// When a server that keeps failing is left out for a while.
public struct OutlierDetection: Hashable, Codable, Sendable {
    /// Answers in a row that were 5xx or no answer at all; 0: not counted.
    public var consecutive5xx: Int
    /// Answers in a row that were 502, 503, 504 or no answer at all; 0: not counted.
    public var consecutiveGatewayFailure: Int
    /// The length of the first ejection; the nth in a row lasts n times as long.
    public var baseEjectionTime: Duration
    public var maxEjectionTime: Duration
    /// The percentage of a version's servers that may be out at once, 0 ... 100; one always may.
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

/// What a service may hold at once in the whole agent; beyond it requests are refused. Nil: no bound of its own.
public struct TrafficLimits: Hashable, Codable, Sendable {
    /// Of clients whose last request was this service's.
    public var connections: Int?
    /// Requests under way.
    public var requests: Int?
    /// Bytes of the buffers that its requests hold.
    public var buffer: Int?

    public init(connections: Int? = nil, requests: Int? = nil, buffer: Int? = nil) {
        self.connections = connections
        self.requests = requests
        self.buffer = buffer
    }
}

extension TrafficRules {
    /// Returns the check with the path that the version's servers are asked at; nil where they are not probed.
    public func healthCheck(of version: Version) -> HealthCheck? {
        guard var check = healthCheck, let path = check.path ?? version.readyPath else { return nil }
        check.path = path
        return check
    }
}

extension Version {
    /// The path at which its servers are asked whether they are ready; nil without a preset.
    public var readyPath: String? {
        switch metrics?.preset {
        case "reference", "triton", "mlserver": "/v2/health/ready"
        case "bentoml": "/readyz"
        default: nil
        }
    }
}
