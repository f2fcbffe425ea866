import Vocabulary

/// The response to `GET /v1/services`.
public struct ServiceList: Hashable, Codable, Sendable {
    /// The services, sorted by name.
    public var services: [ServiceStatus]

    public init(services: [ServiceStatus]) { self.services = services }
}

/// The response to `GET /v1/services/S`: the current status of a service.
public struct ServiceStatus: Hashable, Codable, Sendable {
    public var service: String
    /// A number that grows with every change of the split. Commands that carry an outdated generation are refused.
    public var generation: UInt64
    public var phase: ServicePhase
    /// The version that serves as baseline, as `name` or `name@revision`.
    public var serving: String
    /// The version that served before; absent if there was none.
    public var previous: String?
    /// The candidate's share of the traffic that is in force.
    public var candidateWeight: Share
    public var rollout: RolloutStatus?
    public var baseline: ArmStatus
    public var candidate: ArmStatus?
    /// The newest evaluation; absent if no rollout is judged.
    public var evaluation: EvaluationStatus?
    /// The conditions that the rollout waits for; empty if there are none.
    public var waitsFor: [String]
    /// What a person must do before the rollout continues; absent while it continues by itself.
    public var needsPerson: PersonNeededStatus?
    /// What happens next, and when, if that is known.
    public var next: String
    /// The rest of the current hold in seconds; absent if the phase does not wait for time.
    public var holdLeftSeconds: Double?
    public var feedback: FeedbackCountsStatus
    public var refused: RefusalStatus?
    public var freeze: FreezeStatus?
    /// Notes for the user, such as edits that wait for the next rollout or an outdated `baseline` line.
    public var notes: [String]
    /// False while a change that is in force could not be written.
    public var durable: Bool
    public var listen: [String]
    public var route: RouteStatus
    public var policies: [String]

    public init(
        service: String, generation: UInt64, phase: ServicePhase, serving: String, previous: String?,
        candidateWeight: Share, rollout: RolloutStatus?, baseline: ArmStatus, candidate: ArmStatus?,
        evaluation: EvaluationStatus?, waitsFor: [String], needsPerson: PersonNeededStatus? = nil, next: String,
        holdLeftSeconds: Double?,
        feedback: FeedbackCountsStatus, refused: RefusalStatus?, freeze: FreezeStatus?, notes: [String],
        durable: Bool, listen: [String], route: RouteStatus, policies: [String]
    ) {
        self.service = service
        self.generation = generation
        self.phase = phase
        self.serving = serving
        self.previous = previous
        self.candidateWeight = candidateWeight
        self.rollout = rollout
        self.baseline = baseline
        self.candidate = candidate
        self.evaluation = evaluation
        self.waitsFor = waitsFor
        self.needsPerson = needsPerson
        self.next = next
        self.holdLeftSeconds = holdLeftSeconds
        self.feedback = feedback
        self.refused = refused
        self.freeze = freeze
        self.notes = notes
        self.durable = durable
        self.listen = listen
        self.route = route
        self.policies = policies
    }
}

extension ServiceStatus {
    /// The arms with their names, the baseline first; the candidate only while there is one.
    public var arms: [(name: String, status: ArmStatus)] {
        [("baseline", baseline)] + (candidate.map { [("candidate", $0)] } ?? [])
    }
}

/// The rollout under way.
public struct RolloutStatus: Hashable, Codable, Sendable {
    /// The id, such as `income-12`.
    public var id: String
    public var candidate: String
    public var startedAt: Timestamp
    /// The number of the step, from 1; absent outside of the steps.
    public var step: Int?
    public var steps: [StepStatus]
    /// The time in this phase that counts towards its hold.
    public var heldSeconds: Double
    public var pause: PauseStatus?
    /// True if the candidate gets nothing until the first healthy evaluation after an unclean stop.
    public var recovering: Bool
    /// The reason why the rollout is held; absent if it is not.
    public var holdReason: HoldReason?

    public init(
        id: String, candidate: String, startedAt: Timestamp, step: Int?, steps: [StepStatus], heldSeconds: Double,
        pause: PauseStatus?, recovering: Bool, holdReason: HoldReason?
    ) {
        self.id = id
        self.candidate = candidate
        self.startedAt = startedAt
        self.step = step
        self.steps = steps
        self.heldSeconds = heldSeconds
        self.pause = pause
        self.recovering = recovering
        self.holdReason = holdReason
    }
}

/// A step: a weight with its hold, or a pause. A pause has no weight, and no hold if it waits for `resume`.
public struct StepStatus: Hashable, Codable, Sendable {
    public var weight: Share?
    public var holdSeconds: Double?

    public init(weight: Share?, holdSeconds: Double?) {
        self.weight = weight
        self.holdSeconds = holdSeconds
    }
}

public struct PauseStatus: Hashable, Codable, Sendable {
    public var cause: PauseCause
    public var reason: String
    public var by: String
    public var at: Timestamp

    public init(cause: PauseCause, reason: String, by: String, at: Timestamp) {
        self.cause = cause
        self.reason = reason
        self.by = by
        self.at = at
    }
}

/// What a person must do before the rollout continues. `canaryctl … --wait` then stops waiting.
public struct PersonNeededStatus: Hashable, Codable, Sendable {
    public var action: PersonAction
    /// The reason why the rollout does not continue without the action.
    public var reason: String

    public init(action: PersonAction, reason: String) {
        self.action = action
        self.reason = reason
    }
}

/// A candidate that was reverted and is not tried again automatically.
public struct RefusalStatus: Hashable, Codable, Sendable {
    public var version: String
    public var reason: String
    public var at: Timestamp
    /// The number of times that it was reverted.
    public var times: Int

    public init(version: String, reason: String, at: Timestamp, times: Int) {
        self.version = version
        self.reason = reason
        self.at = at
        self.times = times
    }
}

public struct FreezeStatus: Hashable, Codable, Sendable {
    public var reason: String
    public var by: String
    public var at: Timestamp

    public init(reason: String, by: String, at: Timestamp) {
        self.reason = reason
        self.by = by
        self.at = at
    }
}

public struct RouteStatus: Hashable, Codable, Sendable {
    /// The host; absent if the route accepts any host.
    public var host: String?
    public var path: String

    public init(host: String?, path: String) {
        self.host = host
        self.path = path
    }
}

/// Requests that the proxy responded to itself, or whose response it cut, for one reason; or connections that it closed
/// because the server sent bytes that no request had asked for.
public struct FailureStatus: Hashable, Codable, Sendable {
    public var stage: FailureStage
    /// The token of the reason, as in the `x-canary-error` header and the access log, such as
    /// `response-two-content-lengths`.
    public var reason: String
    /// The reason as a sentence.
    public var message: String
    /// The number of requests since the agent started, or of connections at the stage `afterResponse`.
    public var count: UInt64
    public var lastAt: Timestamp

    public init(stage: FailureStage, reason: String, message: String, count: UInt64, lastAt: Timestamp) {
        self.stage = stage
        self.reason = reason
        self.message = message
        self.count = count
        self.lastAt = lastAt
    }
}

/// A response status, and its share of an arm's requests.
public struct FrequentStatus: Hashable, Codable, Sendable {
    /// The status code, 300 ... 599.
    public var status: Int
    /// The share of the requests, 0 ... 1.
    public var ratio: Double

    public init(status: Int, ratio: Double) {
        self.status = status
        self.ratio = ratio
    }
}

/// The current status of one arm.
public struct ArmStatus: Hashable, Codable, Sendable {
    public var version: String
    public var servers: Int
    public var reachable: Int
    /// The arm's servers that are not healthy.
    public var down: [DownServer]
    /// The reasons why requests failed in the proxy within the last hour, the newest first.
    public var failures: [FailureStatus]
    /// Judged requests per second, over the last 10 s.
    public var requestsPerSecond: Double
    /// The share of errors over the last minute, 0 ... 1; absent without requests.
    public var errorRatio: Double?
    /// The share of 4xx over the last minute; absent without requests.
    public var clientErrorRatio: Double?
    /// The most frequent status among the unsuccessful responses of the last minute; absent if there were none.
    public var frequentStatus: FrequentStatus?
    /// Latency quantiles over the last minute. A quantile that falls among the errors is `+Inf`; absent without
    /// requests.
    public var p50Seconds: Figure?
    public var p95Seconds: Figure?
    public var p99Seconds: Figure?
    /// The number of judged requests since the rollout began, and of errors among them.
    public var requests: UInt64
    public var errors: UInt64
    /// The P95 for each 5 seconds of the last 2 minutes, oldest first; null without requests.
    public var p95TrendSeconds: [Figure?]

    public init(
        version: String, servers: Int, reachable: Int, down: [DownServer] = [], failures: [FailureStatus] = [],
        requestsPerSecond: Double, errorRatio: Double?, clientErrorRatio: Double? = nil,
        frequentStatus: FrequentStatus? = nil,
        p50Seconds: Figure?, p95Seconds: Figure?, p99Seconds: Figure?, requests: UInt64, errors: UInt64,
        p95TrendSeconds: [Figure?]
    ) {
        self.version = version
        self.servers = servers
        self.reachable = reachable
        self.down = down
        self.failures = failures
        self.requestsPerSecond = requestsPerSecond
        self.errorRatio = errorRatio
        self.clientErrorRatio = clientErrorRatio
        self.frequentStatus = frequentStatus
        self.p50Seconds = p50Seconds
        self.p95Seconds = p95Seconds
        self.p99Seconds = p99Seconds
        self.requests = requests
        self.errors = errors
        self.p95TrendSeconds = p95TrendSeconds
    }
}
