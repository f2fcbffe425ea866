/// What the data plane needs to know of all services, as one immutable value.
public struct RoutingPlan: Hashable, Sendable {
    public var services: [RoutedService]

    public init(services: [RoutedService] = []) { self.services = services }
}

/// A service as the data plane needs it: the servers of each arm, and how requests are assigned to the arms.
public struct RoutedService: Hashable, Sendable {
    public var name: String
    /// Names (service, rollout) in observations: new for every rollout, never reused while the agent runs. What began
    /// under an earlier rollout still reports under its own slot.
    public var slot: UInt32
    public var listen: [ListenAddress]
    public var route: Route
    public var baseline: RoutedVersion
    /// The candidate; nil without a rollout, when all requests go to the baseline.
    public var candidate: RoutedVersion?
    public var split: TrafficSplit
    public var traffic: TrafficRules
    public var judged: JudgedRequests

    public init(
        name: String, slot: UInt32, listen: [ListenAddress], route: Route, baseline: RoutedVersion,
        candidate: RoutedVersion?, split: TrafficSplit, traffic: TrafficRules, judged: JudgedRequests
    ) {
        self.name = name
        self.slot = slot
        self.listen = listen
        self.route = route
        self.baseline = baseline
        self.candidate = candidate
        self.split = split
        self.traffic = traffic
        self.judged = judged
    }
}

public struct RoutedVersion: Hashable, Sendable {
    /// The version's name, which clients see as `x-canary-version`.
    public var name: String
    /// The servers, at least one.
    public var servers: [Endpoint]
    /// The health check of the servers, whose path is always set; nil if they are not probed.
    public var healthCheck: HealthCheck?
    public var upstream: UpstreamRules

    public init(
        name: String, servers: [Endpoint], healthCheck: HealthCheck? = nil, upstream: UpstreamRules = UpstreamRules()
    ) {
        self.name = name
        self.servers = servers
        self.healthCheck = healthCheck
        self.upstream = upstream
    }
}

/// A server to connect to. `host` is an address literal or a name that the system resolver knows.
public struct Endpoint: Hashable, Sendable, CustomStringConvertible {
    public var host: String
    public var port: UInt16

    public init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
