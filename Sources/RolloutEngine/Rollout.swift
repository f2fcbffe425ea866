import PolicyModel

/// One attempt to replace the baseline by the candidate.
public struct Rollout: Hashable, Codable, Sendable {
    /// `income-12`: unique for the service, for good.
    public var id: String
    public var candidate: VersionIdentity
    public var plan: RolloutPlan
    public var salt: UInt64
    /// Milliseconds since 1970.
    public var startedAt: Int64
    public var phase: Phase
    /// Time that counted in this phase: the agent was up and saw, data flowed, nothing was paused or frozen.
    public var held: Duration
    /// The same over the whole rollout but for the data: what the deadline counts.
    public var active: Duration
    /// For how long in a row no judged request was seen.
    public var withoutData: Duration
    public var pause: Pause?
    /// Nothing goes to the candidate until an evaluation after the restart finds nothing wrong.
    public var isRecovering: Bool
    /// How often the agent died under this rollout.
    public var uncleanStops: Int
    /// What was last said of why it does not move, so that it is said once.
    public var standstill: Standstill?
    /// The deadline has passed and had its consequence.
    public var isOverdue: Bool
    /// Someone resumed it after it was inconclusive too often; it is not paused for that again.
    public var toleratesInconclusive: Bool

    init(number: Int, service: String, candidate: VersionIdentity, plan: RolloutPlan, seed: UInt64, at wall: Int64) {
        id = "\(service)-\(number)"
        self.candidate = candidate
        self.plan = plan
        salt = TrafficSplit.mix(seed &+ UInt64(number) &* 0x9e37_79b9_7f4a_7c15)
        startedAt = wall
        phase = .waiting
        held = .zero
        active = .zero
        withoutData = .zero
        isRecovering = false
        uncleanStops = 0
        isOverdue = false
        toleratesInconclusive = false
    }

    /// The candidate's share while this phase lasts.
    public var committedWeight: Weight {
        switch phase {
        case .waiting: .zero
        case .warmup: weight(before: 0) ?? firstWeight
        case .step(let index): weight(before: index + 1) ?? .zero
        case .proving, .ready: weight(before: plan.strategy.steps.count) ?? steplessWeight
        case .baking: plan.strategy.bake?.control.complement ?? .full
        }
    }

    /// The candidate's share in force.
    public var effectiveWeight: Weight { isRecovering ? .zero : committedWeight }

    var isInPauseStep: Bool {
        guard case .step(let index) = phase, index < plan.strategy.steps.count,
            case .pause = plan.strategy.steps[index]
        else { return false }
        return true
    }

    /// The last weight among the first `count` steps.
    private func weight(before count: Int) -> Weight? {
        for step in plan.strategy.steps.prefix(count).reversed() {
            if case .weight(let weight, _) = step { return weight }
        }
        return nil
    }

    private var firstWeight: Weight {
        for step in plan.strategy.steps { if case .weight(let weight, _) = step { return weight } }
        return steplessWeight
    }

    /// Where no step names a weight, the proof is made at the bake's: a control group has to stay for it.
    private var steplessWeight: Weight { (plan.strategy.bake ?? Bake(duration: .zero)).control.complement }
}

/// Where a rollout stands. From every phase it can also end: reverted by hand, by a failing check, by an edit of the
/// file; and be paused, frozen or recovering without leaving the phase.
public enum Phase: Hashable, Codable, Sendable {
    /// For `canaryctl start`. Candidate gets nothing. → warmup or step on start.
    case waiting
    /// Until the candidate has answered enough requests, at the first step's weight. → step 0 when it has.
    case warmup
    /// In the strategy's step of this index. → the next step, or proving after the last, when its hold is over, nothing
    /// fails and the samples are there; a pause step ends by time or by `resume`.
    case step(Int)
    /// After the last step, at its weight, until every enforced check is proven. → ready, baking or promoted.
    case proving
    /// Proven; for `canaryctl promote`. → baking or promoted.
    case ready
    /// The candidate has all but the control group. → promoted when its time is over and nothing fails.
    case baking

    public var name: String {
        switch self {
        case .waiting: "waiting"
        case .warmup: "warmup"
        case .step: "step"
        case .proving: "proving"
        case .ready: "ready"
        case .baking: "baking"
        }
    }
}

/// A rollout that someone or something stopped without giving it up.
public struct Pause: Hashable, Codable, Sendable {
    public enum Cause: String, Codable, Sendable {
        case manual
        case inconclusive
        case deadline
    }
    public var cause: Cause
    public var reason: String
    public var by: String
    public var at: Int64
}

/// Why a rollout that nobody paused does not move.
public enum Standstill: String, Codable, Sendable {
    case tooLittleTraffic
    case noData
    case providerDown
    case agentBlind
    case badBaseline
    case candidateDown
    case recovering

    /// Someone should be told.
    public var isAlarm: Bool {
        switch self {
        case .providerDown, .agentBlind, .badBaseline, .candidateDown: true
        case .tooLittleTraffic, .noData, .recovering: false
        }
    }
}
