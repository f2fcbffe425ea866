/// The course of a rollout.
public struct Strategy: Hashable, Codable, Sendable {
    public var start: Initiation
    public var warmup: Warmup?
    /// The steps, whose weights rise. If no step has a weight, the proof is made at the bake's weight, or at 95 % without a
    /// bake.
    public var steps: [Step]
    public var promotion: Initiation
    public var bake: Bake?
    public var deadline: Deadline?

    public init(
        start: Initiation = .automatic, warmup: Warmup? = nil, steps: [Step] = Strategy.defaultSteps,
        promotion: Initiation = .automatic, bake: Bake? = nil, deadline: Deadline? = nil
    ) {
        self.start = start
        self.warmup = warmup
        self.steps = steps
        self.promotion = promotion
        self.bake = bake
        self.deadline = deadline
    }

    /// 1 % for 2 minutes, 10 % for 10, 50 % for 30.
    public static let defaultSteps: [Step] = [
        .weight(Weight(clamping: 100), hold: .seconds(120)),
        .weight(Weight(clamping: 1000), hold: .seconds(600)),
        .weight(Weight(clamping: 5000), hold: .seconds(1800)),
    ]
}

public enum Initiation: String, Hashable, Codable, Sendable {
    case automatic
    case manual
}

/// The requests that the candidate must serve before its latency is judged. Its errors count from the first request.
public struct Warmup: Hashable, Codable, Sendable {
    public var requests: Int
    public var within: Duration

    public init(requests: Int, within: Duration) {
        self.requests = requests
        self.within = within
    }
}

public enum Step: Hashable, Codable, Sendable {
    case weight(Weight, hold: Duration)
    /// A pause for a time, or until someone resumes the rollout if there is no time.
    case pause(Duration?)
}

/// The time after the steps in which the candidate serves everything except a control group, which stays on the baseline.
public struct Bake: Hashable, Codable, Sendable {
    public var duration: Duration
    /// The baseline's share while baking.
    public var control: Weight

    public init(duration: Duration, control: Weight = Weight(clamping: 500)) {
        self.duration = duration
        self.control = control
    }
}

public struct Deadline: Hashable, Codable, Sendable {
    /// The time from the start of the rollout, not counting pauses.
    public var after: Duration
    public var then: Consequence

    public enum Consequence: String, Hashable, Codable, Sendable {
        case pause
        case revert
    }

    public init(after: Duration, then: Consequence = .pause) {
        self.after = after
        self.then = then
    }
}

extension Strategy {
    /// The candidate's largest share before it is promoted.
    public var largestWeight: Weight {
        let weights = steps.compactMap { step -> Weight? in
            if case .weight(let weight, _) = step { weight } else { nil }
        }
        let atEnd = bake?.control.complement ?? (weights.isEmpty ? Bake(duration: .zero).control.complement : .zero)
        return max(weights.max() ?? .zero, atEnd)
    }
}

/// Which requests are judged, and how.
public struct AnalysisRules: Hashable, Codable, Sendable {
    /// The time between two evaluations.
    public var interval: Duration
    public var requests: JudgedRequests
    public var judge: JudgeKind
    public var risk: Risk

    public init(
        interval: Duration = .seconds(1), requests: JudgedRequests = JudgedRequests(),
        judge: JudgeKind = .sequential, risk: Risk = Risk()
    ) {
        self.interval = interval
        self.requests = requests
        self.judge = judge
        self.risk = risk
    }
}

/// The judged population. An empty list means all. Other requests are relayed and not judged.
public struct JudgedRequests: Hashable, Codable, Sendable {
    /// The methods in upper case.
    public var methods: [String]
    /// Exact paths, without the query.
    public var paths: [String]

    public init(methods: [String] = [], paths: [String] = []) {
        self.methods = methods
        self.paths = paths
    }
}

public enum JudgeKind: String, CaseIterable, Hashable, Codable, Sendable {
    /// E-processes, whose evidence is valid at every evaluation.
    case sequential
    /// Bounds at each interval, with Argo Rollouts' limits.
    case threshold
}

/// The accepted risks of a whole rollout, over all policies together; each is above 0 and below 1.
public struct Risk: Hashable, Codable, Sendable {
    public var falseRevert: Double
    public var falsePromote: Double
    /// The budget above which a rollout pauses; nil for none.
    public var harm: HarmBudget?
    /// When a candidate is promoted without the proofs; nil for never.
    public var promotion: UnprovenPromotion?

    public init(
        falseRevert: Double = 0.01, falsePromote: Double = 0.05, harm: HarmBudget? = nil,
        promotion: UnprovenPromotion? = nil
    ) {
        self.falseRevert = falseRevert
        self.falsePromote = falsePromote
        self.harm = harm
        self.promotion = promotion
    }

    /// True if the excess failures of the candidate are counted.
    public var limitsHarm: Bool { harm != nil || promotion != nil }
}

/// A budget of failures of the candidate's requests beyond those that the baseline would have had.
public struct HarmBudget: Hashable, Codable, Sendable {
    /// The number of excess failures above which the rollout pauses, at least 1.
    public var excessFailures: Int
    /// The probability that the upper bound, which is compared with the budget, is never too low, above 0 and below 1.
    public var confidence: Double

    public static let usualConfidence = 0.95

    public init(excessFailures: Int, confidence: Double = usualConfidence) {
        self.excessFailures = excessFailures
        self.confidence = confidence
    }
}

/// A promotion that waives the proofs of errors and latency, for services whose traffic can prove nothing in reasonable
/// time.
public struct UnprovenPromotion: Hashable, Codable, Sendable {
    /// The time of the rollout, without pauses, after which the proofs may be waived.
    public var after: Duration
    /// The largest upper bound on the excess failures with which they are waived, at least 0.
    public var whenExcessFailuresAtMost: Int

    public init(after: Duration, whenExcessFailuresAtMost: Int) {
        self.after = after
        self.whenExcessFailuresAtMost = whenExcessFailuresAtMost
    }
}
