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

    public init(_ kind: JudgeKind) {
        switch kind {
        case .threshold: self = .threshold(ThresholdJudge())
        // The loader refuses it before a rollout can ask for it.
        case .sequential: preconditionFailure("the sequential judge is not built")
        }
    }

    public mutating func evaluate(_ policies: [Policy], _ snapshot: WindowSnapshot, now: Int64) -> [CheckResult] {
        switch self {
        case .threshold(var judge):
            let results = judge.evaluate(policies, snapshot, now: now)
            self = .threshold(judge)
            return results
        }
    }

    /// A new step began.
    public mutating func stepBegan() {
        switch self {
        case .threshold(var judge):
            judge.lookAgain()
            self = .threshold(judge)
        }
    }
}
