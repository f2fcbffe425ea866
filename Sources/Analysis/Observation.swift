import PolicyModel
import Vocabulary

/// How a relayed request ended, seen from the proxy.
public enum Outcome: UInt8, CaseIterable, Codable, Sendable {
    /// 1xx to 3xx, relayed whole.
    case success = 0
    /// 4xx from the server.
    case clientError = 1
    /// 5xx from the server.
    case serverError = 2
    /// No connection to any server of the arm, or it was reset before the head.
    case connectFailure = 3
    /// The server did not answer, or went on answering, in time.
    case timeout = 4
    /// The reply broke off, or was no HTTP.
    case truncated = 5
    /// The client left first (499 in nginx's terms): not the server's fault.
    case clientClosed = 6
    /// Still open when it was observed.
    case open = 7
    /// The agent ended it because the client was too slow: its body did not come in time (408), or it did not read the
    /// response. Not the server's fault, and nothing about the server's speed.
    case clientTimeout = 8
    /// The proxy itself responded with 4xx because the request was broken, which says nothing of the server.
    case rejected = 9

    /// Counts against the arm.
    public var isError: Bool {
        switch self {
        case .serverError, .connectFailure, .timeout, .truncated: true
        case .success, .clientError, .clientClosed, .clientTimeout, .open, .rejected: false
        }
    }

    /// True if the request counts as one that the server had to answer. Clients that left or were too slow, and
    /// requests that the proxy refused, are left out.
    public var isJudged: Bool {
        switch self {
        case .success, .clientError, .serverError, .connectFailure, .timeout, .truncated: true
        case .clientClosed, .clientTimeout, .open, .rejected: false
        }
    }

    /// The code of a judged request. A status that does not fit the outcome counts as the first of the outcome's class.
    /// Requests that are not judged read as successes, which nothing counts.
    public func code(status: UInt16) -> ResponseCode {
        switch self {
        case .success: (300...399).contains(status) && status != 304 ? ResponseCode(rawValue: status) : .success
        case .clientError: (400...499).contains(status) ? ResponseCode(rawValue: status) : 400
        case .serverError: (500...599).contains(status) ? ResponseCode(rawValue: status) : 500
        case .connectFailure, .timeout, .truncated: .failure
        case .clientClosed, .clientTimeout, .open, .rejected: .success
        }
    }

    /// As the `outcome` label of the agent's own metrics.
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

/// One judged or relayed request, at its end or while it is still open. Plain bits: the data plane appends it to a
/// fixed log and nothing else.
public struct Observation: Hashable, Sendable {
    /// Which rollout of which service: `RoutedService.slot`.
    public var slot: UInt32
    public var arm: Arm
    public var outcome: Outcome
    public var flags: Flags
    /// The request's place in 0 ..< 10 000 by the split's hash; sub-shards and keys are made of it.
    public var place: UInt16
    /// The status of the server's final response; 0 where there was none.
    public var status: UInt16
    /// Other bits of the same hash: tells keys apart where traffic is assigned by key.
    public var key: UInt32
    /// Monotonic, in nanoseconds.
    public var startedAt: Int64
    /// `RequestIdentifier.hash` of its x-request-id; 0 where there was none to keep.
    public var requestHash: UInt64
    /// The time from `startedAt` to the first byte of the response's body, or to the end of a response without a body,
    /// in microseconds; `UInt32.max` where that did not come.
    public var firstByte: UInt32
    /// The time from `startedAt` to the end; for an open request, its age. In microseconds, at most 71 minutes.
    public var total: UInt32

    public struct Flags: OptionSet, Hashable, Sendable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        /// Belongs to the declared population.
        public static let judged = Flags(rawValue: 1)
        /// The service assigns traffic by key and this request had none.
        public static let keyless = Flags(rawValue: 2)
        /// A header match chose the arm; never judged.
        public static let matched = Flags(rawValue: 4)
        /// The request failed here, and the client got another arm's response.
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

/// What the data plane hands over at each tick.
public struct ObservationBatch: Sendable {
    /// Ended since the last batch, in no order.
    public var ended: [Observation]
    /// Open now: judged ones only, with their age as `total`.
    public var open: [Observation]
    /// Ended but not logged, because a log was full.
    public var dropped: UInt64
    /// How many servers of each arm can be reached.
    public var health: [ArmHealth]
    /// Requests that failed since the last batch, by the proxy's reason.
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

/// Requests of an arm that the data plane failed, or cut, for one reason; at the stage `afterResponse`, connections of its
/// servers that it closed. A server's own 5xx is none of these.
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
    /// How many can be given requests. A baseline whose last servers were ejected still uses them: they count.
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

/// What keeps a server from being given requests.
public enum ServerState: Hashable, Sendable {
    case healthy
    /// Left out until then, in monotonic nanoseconds, because it kept failing.
    case ejected(until: Int64)
    /// Its health check says why.
    case unhealthy(reason: String)
    /// The server refuses connections.
    case refusing
    /// The server does not take connections in time.
    case hanging
    /// Its name has no address; why.
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
    /// Seeded by process, so that no client can choose ids that collide. Never 0.
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
