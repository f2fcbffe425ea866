import PolicyModel

/// Everything that a judge may look at, frozen at one tick.
public struct WindowSnapshot: Sendable {
    public var observations: ObservationWindow
    public var quality: QualityTable
    public var series: SeriesWindow

    public init(
        observations: ObservationWindow, quality: QualityTable = QualityTable(), series: SeriesWindow = SeriesWindow()
    ) {
        self.observations = observations
        self.quality = quality
        self.series = series
    }
}

/// The judge of a rollout, with the evidence that it has gathered. Which one it is the service's file says; a rollout
/// keeps its judge to its end.
public enum Judge: Hashable, Codable, Sendable {
    case threshold(ThresholdJudge)
    case sequential(SequentialJudge)

    /// - Parameter profile: what is known of the baseline before the rollout.
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

    /// What has ripened since the last look.
    public mutating func take(_ items: [JudgedItem]) {
        guard case .sequential(var judge) = self else { return }
        // Moved out, so that nothing is copied.
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

    /// A new step began. The sequential judge learns it from what it takes in.
    public mutating func stepBegan() {
        switch self {
        case .threshold(var judge):
            judge.lookAgain()
            self = .threshold(judge)
        case .sequential: break
        }
    }

    /// Items that it has taken in, of a recording; nil where it is none that can be made again.
    public var items: Int? {
        switch self {
        case .threshold: nil
        case .sequential(let judge): judge.items
        }
    }

    /// Seconds that latencies wait before an open request counts as slow.
    public var latencyMaturity: Int64 {
        switch self {
        case .threshold: 2
        case .sequential(let judge): judge.latencyMaturity
        }
    }
}
