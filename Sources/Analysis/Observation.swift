import PolicyModel
import Vocabulary

/// How a request ended, as the proxy saw it.
public enum Outcome: UInt8, CaseIterable, Codable, Sendable {
    /// The server's response was 1xx to 3xx and was relayed completely.
    case success = 0
    /// The server responded with 4xx.
    case clientError = 1
    /// The server responded with 5xx.
    case serverError = 2
    /// No server of the arm could be connected to, or the connection was reset before the head of a response.
    case connectFailure = 3
    /// The server did not start its response, or continue it, in time.
    case timeout = 4
    /// The response broke off, or was not HTTP.
    case truncated = 5
    /// The client closed the connection first (nginx's 499), which is not the server's fault.
    case clientClosed = 6
    /// The request was still open when it was observed.
    case open = 7
    /// The agent ended the request because the client was too slow: it did not send its body in time (408), or did not
    /// read the response. That is not the server's fault and says nothing about its speed.
    case clientTimeout = 8
    /// The proxy itself responded with 4xx because the request was malformed, which says nothing about the server.
    case rejected = 9

    /// True if the outcome counts as an error of the arm.
    public var isError: Bool {
        switch self {
        case .serverError, .connectFailure, .timeout, .truncated: true
        case .success, .clientError, .clientClosed, .clientTimeout, .open, .rejected: false
        }
    }

    /// True if the server was responsible for responding to the request. Clients that left or were too slow, and
    /// requests that the proxy refused, are left out.
    public var isJudged: Bool {
        switch self {
        case .success, .clientError, .serverError, .connectFailure, .timeout, .truncated: true
        case .clientClosed, .clientTimeout, .open, .rejected: false
        }
    }

    /// The response code of a judged request. A status that does not fit the outcome is replaced by the first of the
    /// outcome's class. A request that is not judged has the code of a success, which no check counts.
    public func code(status: UInt16) -> ResponseCode {
        switch self {
        case .success: (300...399).contains(status) && status != 304 ? ResponseCode(rawValue: status) : .success
        case .clientError: (400...499).contains(status) ? ResponseCode(rawValue: status) : 400
        case .serverError: (500...599).contains(status) ? ResponseCode(rawValue: status) : 500
        case .connectFailure, .timeout, .truncated: .failure
        case .clientClosed, .clientTimeout, .open, .rejected: .success
        }
    }

    /// The outcome's name in the `outcome` label of the agent's own metrics.
    public var label: String {
        switch self {
        case .success: "success"
        case .clientError: "client_error"
        case .serverError: "server_error"
        case .connectFailure: "connect_failure"
        case .timeout: "timeout"
        case .truncated: "truncated"
        case .clientClosed: "client_closed"
        case .clientTimeout: "client_timeout"
        case .open: "open"
        case .rejected: "rejected"
        }
    }
}

/// One request, judged or not, at its end or while it is still open. It is a plain value of fixed size, so the data
/// plane only has to append it to a log.
public struct Observation: Hashable, Sendable {
    /// Identifies a service's rollout: `RoutedService.slot`.
    public var slot: UInt32
    public var arm: Arm
    public var outcome: Outcome
    public var flags: Flags
    /// The request's place in 0 ..< 10,000 by the hash that assigns it to an arm. Its sub-shard is computed from it.
    public var place: UInt16
    /// The status of the server's final response; 0 if there was none.
    public var status: UInt16
    /// Other bits of the same hash, by which keys are told apart if traffic is assigned by key.
    public var key: UInt32
    /// The start of the request, in monotonic nanoseconds.
    public var startedAt: Int64
    /// `RequestIdentifier.hash` of the request's x-request-id; 0 for none.
    public var requestHash: UInt64
    /// The time from `startedAt` to the first byte of the response's body, or to the end of a response without a body,
    /// in microseconds; `UInt32.max` if neither came.
    public var firstByte: UInt32
    /// The time from `startedAt` to the end; for an open request, its age. In microseconds, at most 71 minutes.
    public var total: UInt32

    public struct Flags: OptionSet, Hashable, Sendable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        /// The request belongs to the judged population (`analysis.requests`).
        public static let judged = Flags(rawValue: 1)
        /// The service assigns traffic by key and this request had none.
        public static let keyless = Flags(rawValue: 2)
        /// A header match chose the arm. Such a request is never judged.
        public static let matched = Flags(rawValue: 4)
        /// The request failed on this arm, and the client got the other arm's response.
        public static let rescued = Flags(rawValue: 8)
    }

    public init(
        slot: UInt32, arm: Arm, outcome: Outcome, flags: Flags, place: UInt16, status: UInt16 = 0,
        key: UInt32 = 0, startedAt: Int64, requestHash: UInt64, firstByte: UInt32, total: UInt32
    ) {
        self.slot = slot
        self.arm = arm
        self.outcome = outcome
        self.flags = flags
        self.place = place
        self.status = status
        self.key = key
        self.startedAt = startedAt
        self.requestHash = requestHash
        self.firstByte = firstByte
        self.total = total
    }

    public var code: ResponseCode { outcome.code(status: status) }
}

/// The observations that the data plane hands over at a tick.
public struct ObservationBatch: Sendable {
    /// The requests that ended since the last batch, in no order.
    public var ended: [Observation]
    /// The judged requests that are open now, with their age as `total`.
    public var open: [Observation]
    /// The number of requests that ended but were not logged, because a log was full.
    public var dropped: UInt64
    /// The health of the servers of each arm.
    public var health: [ArmHealth]
    /// The requests that failed since the last batch, by the proxy's reason.
    public var failures: [FailureCount]

    public init(
        ended: [Observation] = [], open: [Observation] = [], dropped: UInt64 = 0, health: [ArmHealth] = [],
        failures: [FailureCount] = []
    ) {
        self.ended = ended
        self.open = open
        self.dropped = dropped
        self.health = health
        self.failures = failures
    }
}

/// The number of an arm's requests that the data plane failed or cut off for one reason; at the stage `afterResponse`,
/// the number of connections to its servers that it closed. A server's own 5xx is not counted here.
public struct FailureCount: Hashable, Sendable {
    public var slot: UInt32
    public var arm: Arm
    public var stage: FailureStage
    /// The token of the `x-canary-error` field, such as `response-two-content-lengths`.
    public var reason: String
    /// The reason in a sentence.
    public var message: String
    public var count: UInt64

    public init(slot: UInt32, arm: Arm, stage: FailureStage, reason: String, message: String, count: UInt64) {
        self.slot = slot
        self.arm = arm
        self.stage = stage
        self.reason = reason
        self.message = message
        self.count = count
    }
}

/// The servers of an arm, as the data plane last saw them.
public struct ArmHealth: Hashable, Sendable {
    public var slot: UInt32
    public var arm: Arm
    public var servers: Int
    /// The number of servers that can be given requests. A baseline whose servers are all ejected still uses them, and
    /// they count.
    public var reachable: Int
    /// The states, in the order of the version's servers.
    public var states: [ServerState]

    public init(slot: UInt32, arm: Arm, servers: Int, reachable: Int, states: [ServerState] = []) {
        self.slot = slot
        self.arm = arm
        self.servers = servers
        self.reachable = reachable
        self.states = states
    }
}

/// The state of a server: healthy, or the reason why it is given no requests.
public enum ServerState: Hashable, Sendable {
    case healthy
    /// The server is left out until a time in monotonic nanoseconds, because it failed repeatedly.
    case ejected(until: Int64)
    /// The server's health check fails, for this reason.
    case unhealthy(reason: String)
    /// The server refuses connections.
    case refusing
    /// The server does not take connections in time.
    case hanging
    /// The server's name has no address, for this reason.
    case unresolved(reason: String)

    public var isHealthy: Bool { self == .healthy }

    /// The state without its details.
    public var condition: ServerCondition {
        switch self {
        case .healthy: .healthy
        case .ejected: .ejected
        case .unhealthy: .unhealthy
        case .refusing: .refusing
        case .hanging: .hanging
        case .unresolved: .unresolved
        }
    }
}

/// Request ids are joined with feedback by hash, so that the data plane keeps no strings.
public enum RequestIdentifier {
    /// The hash of an id, never 0. Its seed differs for each process, so that no client can choose ids that collide.
    public static func hash(_ id: UnsafeRawBufferPointer) -> UInt64 {
        var hasher = Hasher()
        hasher.combine(bytes: id)
        let value = UInt64(bitPattern: Int64(hasher.finalize()))
        return value == 0 ? 1 : value
    }

    public static func hash(_ id: String) -> UInt64 {
        var id = id
        return id.withUTF8 { hash(UnsafeRawBufferPointer($0)) }
    }
}
