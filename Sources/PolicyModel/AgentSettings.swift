/// The agent's own settings from its configuration file. Paths are absolute.
public struct AgentSettings: Hashable, Codable, Sendable {
    public var stateDirectory: String
    /// The Unix socket or TCP address of the admin API.
    public var admin: ListenAddress
    public var feedback: ListenAddress
    /// The names of the groups that may use the sockets; nil for the agent's own group.
    public var adminGroup: String?
    public var feedbackGroup: String?
    /// The TCP address at which Prometheus scrapes the agent; nil for none.
    public var metrics: ListenAddress?
    /// The number of event loops of the data plane; nil for one per core.
    public var loops: Int?
    public var logLevel: LogLevel
    public var logFormat: LogFormat
    public var trusted: TrustedNetworks
    /// The access log; nil for none.
    public var accessLog: AccessLogSettings?

    public enum LogLevel: String, CaseIterable, Hashable, Codable, Sendable { case debug, info, notice, warning, error }
    public enum LogFormat: String, CaseIterable, Hashable, Codable, Sendable { case auto, journald, plain, json }

    public init(
        stateDirectory: String = "/var/lib/canaryd",
        admin: ListenAddress = .unix(path: "/run/canaryd/admin.sock"),
        feedback: ListenAddress = .unix(path: "/run/canaryd/feedback.sock"),
        adminGroup: String? = nil, feedbackGroup: String? = nil, metrics: ListenAddress? = nil, loops: Int? = nil,
        logLevel: LogLevel = .info, logFormat: LogFormat = .auto, trusted: TrustedNetworks = .host,
        accessLog: AccessLogSettings? = nil
    ) {
        self.stateDirectory = stateDirectory
        self.admin = admin
        self.feedback = feedback
        self.adminGroup = adminGroup
        self.feedbackGroup = feedbackGroup
        self.metrics = metrics
        self.loops = loops
        self.logLevel = logLevel
        self.logFormat = logFormat
        self.trusted = trusted
        self.accessLog = accessLog
    }
}

/// Everything that the agent's files say, read together and valid together.
public struct Configuration: Hashable, Sendable {
    public var agent: AgentSettings
    /// Sorted by name.
    public var services: [Service]
    /// The policies by name.
    public var policies: [String: Policy]
    /// The policies with the arguments of the services that give some, by service and policy.
    public var adapted: [String: [String: Policy]] = [:]
    /// What was read, the agent's own file first.
    public var files: [String] = []

    public init(agent: AgentSettings, services: [Service], policies: [String: Policy]) {
        self.agent = agent
        self.services = services
        self.policies = policies
    }

    /// The policies of a service with its arguments, in its order.
    public func policies(of service: Service) -> [Policy] {
        service.policies.compactMap { adapted[service.name]?[$0] ?? policies[$0] }
    }
}
