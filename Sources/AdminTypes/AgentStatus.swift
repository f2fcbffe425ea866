import Vocabulary

/// The response to `GET /v1/version`: the agent's version, process, files and addresses.
public struct AgentStatus: Hashable, Codable, Sendable {
    public var version: String
    public var pid: Int32
    public var startedAt: Timestamp
    /// The agent's wall clock at the time of the response.
    public var now: Timestamp
    /// The agent's configuration file; absent if it runs without one.
    public var configurationFile: String?
    /// The time at which the files in force were read.
    public var configurationReadAt: Timestamp
    /// Every file in force, the agent's own first.
    public var configurationFiles: [String]
    /// The last reload if it was refused; absent if its files are in force.
    public var refusedReload: RefusedReload?
    /// The state of the access log; absent if there is none.
    public var accessLog: AccessLogStatus?
    public var stateDirectory: String
    public var adminAddress: String
    public var feedbackAddress: String
    /// The TCP address at which Prometheus scrapes the agent, with its port; absent if there is none.
    public var metricsAddress: String?

    public init(
        version: String, pid: Int32, startedAt: Timestamp, now: Timestamp, configurationFile: String?,
        configurationReadAt: Timestamp, configurationFiles: [String], refusedReload: RefusedReload? = nil,
        accessLog: AccessLogStatus? = nil, stateDirectory: String, adminAddress: String, feedbackAddress: String,
        metricsAddress: String? = nil
    ) {
        self.version = version
        self.pid = pid
        self.startedAt = startedAt
        self.now = now
        self.configurationFile = configurationFile
        self.configurationReadAt = configurationReadAt
        self.configurationFiles = configurationFiles
        self.refusedReload = refusedReload
        self.accessLog = accessLog
        self.stateDirectory = stateDirectory
        self.adminAddress = adminAddress
        self.feedbackAddress = feedbackAddress
        self.metricsAddress = metricsAddress
    }
}

/// A reload that was refused and changed nothing.
public struct RefusedReload: Hashable, Codable, Sendable {
    public var at: Timestamp
    /// The reasons, at least one.
    public var reasons: [String]

    public init(at: Timestamp, reasons: [String]) {
        self.at = at
        self.reasons = reasons
    }
}

/// The numbers of access log lines since the agent started, by result.
public struct AccessLogStatus: Hashable, Codable, Sendable {
    /// The file; absent for standard error.
    public var path: String?
    public var written: UInt64
    /// Lines that were dropped because the writer was too slow.
    public var dropped: UInt64
    /// Lines that could not be written to the file.
    public var failed: UInt64
    /// The error of the newest write; absent if it succeeded.
    public var problem: String?

    public init(path: String?, written: UInt64, dropped: UInt64, failed: UInt64, problem: String?) {
        self.path = path
        self.written = written
        self.dropped = dropped
        self.failed = failed
        self.problem = problem
    }
}

/// The response to `GET /healthz` and `/readyz`, with status 200 if `ok` and 503 otherwise.
public struct HealthStatus: Hashable, Codable, Sendable {
    public var ok: Bool
    /// The reasons why the agent is not ok; empty while it is.
    public var problems: [String]

    public init(ok: Bool, problems: [String] = []) {
        self.ok = ok
        self.problems = problems
    }
}

/// The response to `GET /v1/services/S/targets`: the servers of a service and their last scrapes.
public struct TargetList: Hashable, Codable, Sendable {
    public var targets: [TargetStatus]

    public init(targets: [TargetStatus]) { self.targets = targets }
}

/// A server of a service, and its last scrape.
public struct TargetStatus: Hashable, Codable, Sendable {
    public var version: String
    /// The server's address, such as `127.0.0.1:9001`.
    public var server: String
    /// True if the proxy gives requests to the server.
    public var reachable: Bool
    public var state: ServerCondition
    /// The reason for the state; empty if the state says it all.
    public var detail: String
    /// The end of the ejection; absent for other states.
    public var until: Timestamp?
    /// The last scrape; absent if the version is not scraped, or before the first scrape.
    public var scrape: Scrape?

    public struct Scrape: Hashable, Codable, Sendable {
        public var url: String
        public var at: Timestamp
        public var ok: Bool
        /// The reason why the scrape failed, or why its page is not one of the metrics preset; empty if neither is so.
        public var problem: String
        /// What to do at the server so that its page has what the metrics preset reads; absent if the page has it, or if
        /// nothing is known.
        public var fix: String?
        public var samples: Int
        public var durationSeconds: Double

        public init(
            url: String, at: Timestamp, ok: Bool, problem: String, fix: String? = nil, samples: Int,
            durationSeconds: Double
        ) {
            self.url = url
            self.at = at
            self.ok = ok
            self.problem = problem
            self.fix = fix
            self.samples = samples
            self.durationSeconds = durationSeconds
        }
    }

    public init(
        version: String, server: String, reachable: Bool, state: ServerCondition, detail: String = "",
        until: Timestamp? = nil, scrape: Scrape?
    ) {
        self.version = version
        self.server = server
        self.reachable = reachable
        self.state = state
        self.detail = detail
        self.until = until
        self.scrape = scrape
    }
}

/// A server that is not healthy.
public struct DownServer: Hashable, Codable, Sendable {
    /// The server as the file writes it.
    public var server: String
    public var state: ServerCondition
    /// The reason for the state; empty if the state says it all.
    public var detail: String
    /// The end of the ejection; absent for other states.
    public var until: Timestamp?

    public init(server: String, state: ServerCondition, detail: String, until: Timestamp?) {
        self.server = server
        self.state = state
        self.detail = detail
        self.until = until
    }
}
