import PolicyModel

/// The judge of a rollout, with the evidence that it has gathered. The service's file selects the judge, and a rollout
/// keeps it to its end.
public enum Judge: Hashable, Codable, Sendable {
    case threshold(ThresholdJudge)
    case sequential(SequentialJudge)

    /// - Parameter profile: the profile of the baseline before the rollout.
    public init(
        _ rules: AnalysisRules, _ policies: [Policy], sticky: StickyKey = .none,
        profile: BaselineProfile = BaselineProfile()
    ) {
        switch rules.judge {
        case .threshold: self = .threshold(ThresholdJudge())
        case .sequential:
            self = .sequential(
                SequentialJudge(policies, risk: rules.risk, isKeyed: sticky != .none, profile: profile))
        }
    }

    /// Takes judged items in the order in which they became final.
    public mutating func take(_ items: [JudgedItem]) {
        guard case .sequential(var judge) = self else { return }
        // The judge is moved out of the enum, so that its arrays are not copied.
        self = .threshold(ThresholdJudge())
        for item in items { judge.take(item) }
        self = .sequential(judge)
    }

    public mutating func evaluate(_ policies: [Policy], _ snapshot: WindowSnapshot, now: Int64) -> [CheckResult] {
        switch self {
        case .threshold(var judge):
            let results = judge.evaluate(policies, snapshot, now: now)
            self = .threshold(judge)
            return results
        case .sequential(var judge):
            self = .threshold(ThresholdJudge())
            let results = judge.evaluate(policies, snapshot, now: now)
            self = .sequential(judge)
            return results
        }
    }

    /// Notes that a new step began. The sequential judge learns of it from the items that it takes.
    public mutating func stepBegan() {
        switch self {
        case .threshold(var judge):
            judge.measureAgain()
            self = .threshold(judge)
        case .sequential: break
        }
    }

    /// True if the judge keeps the profile of the baseline while it judges.
    public var keepsProfile: Bool { if case .sequential = self { true } else { false } }

    /// The profile of the baseline; nil if the judge keeps none.
    public var profile: BaselineProfile? { if case .sequential(let judge) = self { judge.profile } else { nil } }

    /// The profile of the serving version once the candidate is promoted; nil if the judge keeps none.
    public var promotedProfile: BaselineProfile? {
        if case .sequential(let judge) = self { judge.promoted } else { nil }
    }

    /// The number of items that the judge has taken from its recording; nil if its decisions do not follow from a
    /// recording.
    public var items: Int? {
        switch self {
        case .threshold: nil
        case .sequential(let judge): judge.items
        }
    }

    /// The number of seconds after which an open request counts as slow.
    public var latencyMaturity: Int64 {
        switch self {
        case .threshold: 2
        case .sequential(let judge): judge.latencyMaturity
        }
    }
}
