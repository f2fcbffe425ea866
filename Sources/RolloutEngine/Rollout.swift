import Analysis
import PolicyModel
import Vocabulary

/// One attempt to replace the baseline by the candidate.
public struct Rollout: Hashable, Codable, Sendable {
    /// The name of the rollout, such as `income-12`. It is never used again for this service.
    public var id: String
    public var candidate: VersionIdentity
    /// The plan that the rollout was started with.
    public var plan: RolloutPlan
    /// The salt of the hash that assigns keys to arms.
    public var salt: UInt64
    /// Milliseconds since 1970 UTC.
    public var startedAt: Int64
    public var phase: Phase
    /// The time that counts toward the hold of this phase. It passes only while the agent is up and can trust its view,
    /// data flows, neither arm is down, no check is in error, and the rollout is not paused, frozen or recovering.
    public var held: Duration
    /// The time that counts toward the deadline, over the whole rollout. It passes while the agent is up and can trust
    /// its view, except when the rollout is waiting, paused, frozen, recovering or in a pause step.
    public var active: Duration
    /// The time since the last judged request was seen.
    public var withoutData: Duration
    public var pause: Pause?
    /// True from an unclean stop of the agent until the first healthy evaluation; meanwhile the candidate gets no
    /// traffic.
    public var isRecovering: Bool
    /// The number of unclean stops of the agent during this rollout.
    public var uncleanStops: Int
    /// The reason for which the rollout is blocked, as last reported; it is kept so that each reason is reported once.
    public var holdReason: HoldReason?
    /// True once the deadline has passed and its consequence was applied.
    public var isOverdue: Bool
    /// True if someone resumed the rollout after a pause for too many inconclusive results; it is not paused for that
    /// reason again.
    public var toleratesInconclusive: Bool
    /// The failures of checks that do not revert, in the order in which they were reported.
    public internal(set) var failures: [ReportedFailure]
    /// The proofs that were waived for the promotion, as text; nil if none was.
    public internal(set) var waived: String?

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
        failures = []
    }

    /// The candidate's share in this phase, without regard to recovery.
    public var committedWeight: Weight {
        switch phase {
        case .waiting: .zero
        case .warmup: weight(before: 0) ?? firstWeight
        case .step(let index): weight(before: index + 1) ?? .zero
        case .proving, .ready: weight(before: plan.strategy.steps.count) ?? steplessWeight
        case .baking: plan.strategy.bake?.control.complement ?? .full
        }
    }

    /// The first failure for which the rollout is paused, or will be once it is resumed from another pause; nil if
    /// there is none.
    public var failureToDecide: ReportedFailure? { failures.first { $0.action == .pause && $0.acceptedBy == nil } }

    /// The checks, as `policy/check`, whose failure someone has accepted.
    var acceptedChecks: [String] { failures.filter { $0.acceptedBy != nil }.map(\.check) }

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

    /// The weight of a rollout without weight steps: that of the bake, because a proof needs the bake's control group.
    private var steplessWeight: Weight { (plan.strategy.bake ?? Bake(duration: .zero)).control.complement }
}

/// The phase of a rollout. From every phase the rollout can also be reverted: manually, by a failing check with
/// `action: revert`, or by an edit of the service's file. It can be paused, frozen or recovering without leaving its
/// phase.
public enum Phase: Hashable, Codable, Sendable {
    /// The rollout has not started; the candidate gets no traffic. It leaves to `warmup` or `step` when started by
    /// `canaryctl start`, or by itself if the strategy says so.
    case waiting
    /// The candidate serves its first requests, at the first step's weight. It leaves to step 0 after enough responses.
    case warmup
    /// The rollout is in the strategy's step of this index. It leaves to the next step, or after the last one to
    /// `proving`, when the hold is over, there are enough samples and no check fails, except one whose failure someone
    /// has accepted. A pause step ends by time or by `canaryctl resume`.
    case step(Int)
    /// All steps are done and the last weight stays until every required check is proven. It leaves to `ready`,
    /// `baking` or promotion.
    case proving
    /// The candidate is proven and waits for `canaryctl promote`. It leaves to `baking` or promotion.
    case ready
    /// The candidate has all traffic except the control group's. It leaves to promotion when the bake's time is over
    /// and no check fails, except one whose failure someone has accepted.
    case baking

    /// The phase without its step.
    public var kind: ServicePhase {
        switch self {
        case .waiting: .waiting
        case .warmup: .warmup
        case .step: .step
        case .proving: .proving
        case .ready: .ready
        case .baking: .baking
        }
    }

    public var name: String { kind.rawValue }
}

/// A stop of a rollout that can be resumed.
public struct Pause: Hashable, Codable, Sendable {
    public var cause: PauseCause
    public var reason: String
    /// The name of the person who paused the rollout, or `policy`.
    public var by: String
    /// Milliseconds since 1970 UTC.
    public var at: Int64
}

/// The failure of a check with `action: pause` or `action: notify`, kept so that it is reported once.
public struct ReportedFailure: Hashable, Codable, Sendable {
    /// The check, as `policy/check`.
    public var check: String
    public var action: CheckAction
    /// The failing check in one line.
    public var summary: String
    /// How far the failure had gone when it was reported. For `action: pause` it is updated with every evaluation until
    /// someone accepts the failure.
    public var extent: FailureExtent
    /// The name of the person who let the rollout go on although the check fails. Nil until then, and for
    /// `action: notify`, which stops nothing.
    public var acceptedBy: String?

    init(_ result: CheckResult) {
        check = result.path
        action = result.action
        summary = result.words
        extent = result.extent
    }

    /// Takes the result of another evaluation. Groups that failed once stay in the extent. The failure has to be
    /// accepted anew.
    mutating func update(_ result: CheckResult) {
        if result.verdict == .fail { summary = result.words }
        let groups = extent.groups
        extent = result.extent
        extent.groups += groups.filter { !extent.groups.contains($0) }
        acceptedBy = nil
    }
}

extension KeyedDecodingContainer {
    /// Decodes the failures of a rollout. Earlier builds stored none.
    func decode(_ type: [ReportedFailure].Type, forKey key: Key) throws -> [ReportedFailure] {
        try decodeIfPresent(type, forKey: key) ?? []
    }
}
