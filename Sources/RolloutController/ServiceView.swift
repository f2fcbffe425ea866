import Analysis
import PolicyModel
import RolloutEngine
import Vocabulary

/// Everything that a reader may want to know of a service now.
public struct ServiceView: Sendable {
    public var service: Service
    public var state: ServiceState
    /// The newest look; nil without a rollout.
    public var evaluation: Evaluation?
    /// Of the current rollout, or of the last seconds without one.
    public var baseline: ArmView
    public var candidate: ArmView?
    /// What has to happen before the rollout moves, in words; empty where nothing has.
    public var waitsFor: [String]
    /// What happens next and when, as far as that can be told.
    public var next: String
    /// Seconds that the phase still has to hold; nil where it does not wait for time.
    public var holdLeft: Duration?
    public var feedback: FeedbackCounts
    /// What the user should know: pinned edits that wait for the next rollout, a `baseline` line that is out of date,
    /// a state that is not on disk.
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

/// How a server does.
public struct ServerView: Sendable {
    public var address: ServerAddress
    public var state: ServerState
    /// When an ejection ends, in milliseconds since 1970.
    public var until: Int64?

    public init(address: ServerAddress, state: ServerState, until: Int64? = nil) {
        self.address = address
        self.state = state
        self.until = until
    }
}

/// Why requests failed in the data plane, and how many.
public struct FailureView: Hashable, Sendable {
    public var stage: FailureStage
    /// The token of the `x-canary-error` field.
    public var reason: String
    /// The same in a sentence.
    public var message: String
    /// Since the agent started.
    public var count: UInt64
    /// Milliseconds since 1970.
    public var lastAt: Int64

    public init(stage: FailureStage, reason: String, message: String, count: UInt64, lastAt: Int64) {
        self.stage = stage
        self.reason = reason
        self.message = message
        self.count = count
        self.lastAt = lastAt
    }
}

/// One arm over the last minute.
public struct ArmView: Sendable {
    public var identity: VersionIdentity
    public var servers: Int
    public var reachable: Int
    /// In the file's order; empty before the data plane said.
    public var states: [ServerView] = []
    /// Why requests failed in the data plane lately, the newest reason first.
    public var failures: [FailureView] = []
    /// Judged requests a second over the last 10 s.
    public var requestRate: Double
    /// 0 ... 1 over the last minute; nil without requests.
    public var errorRate: Double?
    /// The share of 4xx over the last minute; nil without requests.
    public var clientErrorRate: Double?
    /// The status that most requests of the last minute ended with which did not succeed; nil where all did.
    public var frequentStatus: (status: UInt16, share: Double)?
    /// Seconds, over the last minute; infinite among errors.
    public var p50: Double?
    public var p95: Double?
    public var p99: Double?
    /// Judged requests since the rollout began.
    public var requests: UInt64
    public var errors: UInt64
    /// P95 in seconds by 5-second spans of the last 2 minutes, oldest first; nil where nothing was.
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

/// What became of a command.
public enum CommandOutcome: Sendable {
    /// In force. `durable` is false when it could not be written yet.
    case done(message: String, view: ServiceView, durable: Bool)
    case refused(CommandRefusal)
    case unknownService(known: [String])
    /// It would have given a candidate more, and could not be written: nothing changed.
    case notWritten(String)
}

/// What became of posted feedback.
public struct FeedbackReceipt: Sendable {
    /// Taken in; it is joined with its request at the next tick.
    public var accepted: Int
    /// Places, from 0, of the rows that were not taken because too much was waiting.
    public var rejected: [Int]
    /// Who asked for labels when they came.
    public var audience: FeedbackJoin.Audience
    /// Of the service, since the agent started.
    public var counts: FeedbackCounts

    public init(accepted: Int, rejected: [Int], audience: FeedbackJoin.Audience, counts: FeedbackCounts) {
        self.accepted = accepted
        self.rejected = rejected
        self.audience = audience
        self.counts = counts
    }
}
