import Analysis
import PolicyModel
import RolloutEngine
import Vocabulary

/// The current status of a service, for display.
public struct ServiceView: Sendable {
    public var service: Service
    public var state: ServiceState
    /// The newest evaluation; nil without a rollout.
    public var evaluation: Evaluation?
    /// The baseline in the current rollout, or in the last minutes without one.
    public var baseline: ArmView
    /// The candidate; nil without a rollout.
    public var candidate: ArmView?
    /// The conditions that the rollout waits for, as text; empty if there are none.
    public var waitsFor: [String]
    /// The next step of the rollout, as text.
    public var next: String
    /// The rest of the current hold; nil if the rollout does not wait for time.
    public var holdLeft: Duration?
    public var feedback: FeedbackCounts
    /// Notes for the user, such as edits that wait for the next rollout, a `baseline` line that is out of date, or a
    /// state that is not on disk.
    public var notes: [String]
    /// False while a change is in force that could not be written.
    public var isDurable: Bool

    public init(
        service: Service, state: ServiceState, evaluation: Evaluation?, baseline: ArmView, candidate: ArmView?,
        waitsFor: [String], next: String, holdLeft: Duration?, feedback: FeedbackCounts, notes: [String],
        isDurable: Bool
    ) {
        self.service = service
        self.state = state
        self.evaluation = evaluation
        self.baseline = baseline
        self.candidate = candidate
        self.waitsFor = waitsFor
        self.next = next
        self.holdLeft = holdLeft
        self.feedback = feedback
        self.notes = notes
        self.isDurable = isDurable
    }
}

/// The state of one server.
public struct ServerView: Sendable {
    public var address: ServerAddress
    public var state: ServerState
    /// The end of the ejection, in milliseconds since 1970; nil if the server is not ejected.
    public var until: Int64?

    public init(address: ServerAddress, state: ServerState, until: Int64? = nil) {
        self.address = address
        self.state = state
        self.until = until
    }
}

/// Requests of one version that failed in the data plane for one reason.
public struct FailureView: Hashable, Sendable {
    public var stage: FailureStage
    /// The token of the `x-canary-error` field.
    public var reason: String
    /// The reason as a sentence.
    public var message: String
    /// The number of requests since the agent started, or of connections at the stage `afterResponse`.
    public var count: UInt64
    /// The time of the last failure, in milliseconds since 1970.
    public var lastAt: Int64

    public init(stage: FailureStage, reason: String, message: String, count: UInt64, lastAt: Int64) {
        self.stage = stage
        self.reason = reason
        self.message = message
        self.count = count
        self.lastAt = lastAt
    }
}

/// The current status of one arm, for display.
public struct ArmView: Sendable {
    public var identity: VersionIdentity
    public var servers: Int
    public var reachable: Int
    /// The servers in the order of the file; empty before the data plane has reported them.
    public var states: [ServerView] = []
    /// The reasons of recent failures in the data plane, the newest first.
    public var failures: [FailureView] = []
    /// Judged requests per second, over the last 10 s.
    public var requestRate: Double
    /// The share of errors over the last minute, 0 ... 1; nil without requests.
    public var errorRate: Double?
    /// The share of 4xx over the last minute; nil without requests.
    public var clientErrorRate: Double?
    /// The most frequent status of the requests of the last minute that did not succeed; nil if all did.
    public var frequentStatus: (status: UInt16, share: Double)?
    /// Latency quantiles over the last minute, in seconds; infinite if the quantile is among the errors.
    public var p50: Double?
    public var p95: Double?
    public var p99: Double?
    /// The number of judged requests since the rollout began, and of errors among them.
    public var requests: UInt64
    public var errors: UInt64
    /// The 95th percentile in seconds for each 5 seconds of the last 2 minutes, oldest first; nil without requests.
    public var latencyTrend: [Double?]

    public init(
        identity: VersionIdentity, servers: Int, reachable: Int, requestRate: Double, errorRate: Double?,
        p50: Double?, p95: Double?, p99: Double?, requests: UInt64, errors: UInt64, latencyTrend: [Double?]
    ) {
        self.identity = identity
        self.servers = servers
        self.reachable = reachable
        self.requestRate = requestRate
        self.errorRate = errorRate
        self.p50 = p50
        self.p95 = p95
        self.p99 = p99
        self.requests = requests
        self.errors = errors
        self.latencyTrend = latencyTrend
    }
}

/// The outcome of a command.
public enum CommandOutcome: Sendable {
    /// The command is in force. `durable` is false if it could not be written yet.
    case done(message: String, view: ServiceView, durable: Bool)
    case refused(CommandRefusal)
    case unknownService(known: [String])
    /// The command would have given a candidate more traffic and could not be written, so nothing has changed.
    case notWritten(String)
}

/// The outcome of posted feedback.
public struct FeedbackReceipt: Sendable {
    /// The number of accepted rows, which are joined with their requests at the next tick.
    public var accepted: Int
    /// The indices, from 0, of the rows that were rejected because too many are waiting.
    public var rejected: [Int]
    /// Whether labels are used at that moment, or why they are not.
    public var audience: FeedbackJoin.Audience
    /// The counts of the service since the agent started.
    public var counts: FeedbackCounts

    public init(accepted: Int, rejected: [Int], audience: FeedbackJoin.Audience, counts: FeedbackCounts) {
        self.accepted = accepted
        self.rejected = rejected
        self.audience = audience
        self.counts = counts
    }
}
