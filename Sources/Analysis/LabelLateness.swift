import PolicyModel

/// The numbers of labels of a measure that came in time and of those that came late, by arm. A label is late if it came
/// after the longest maturity of the quality checks.
///
/// Late labels are not compared, and they may differ from the others: if missed positives are labeled last, the labels
/// in time show none. An arm's mean over all labels differs from that over the labels in time by at most the share of
/// late ones.
public struct LabelLateness: Hashable, Codable, Sendable {
    /// The part of a bound that the late shares of both arms may reach together before a promotion waits.
    static let tolerated = 0.2

    /// The numbers of labels by arm.
    public private(set) var inTime = SIMD2<Int>()
    public private(set) var late = SIMD2<Int>()

    public init() {}

    mutating func add(_ arm: Arm, isLate: Bool, count: Int = 1) {
        if isLate { late[Int(arm.rawValue)] += count } else { inTime[Int(arm.rawValue)] += count }
    }

    /// The share of an arm's labels that came late, 0 ... 1; 0 without labels.
    public func share(_ arm: Arm) -> Double {
        let i = Int(arm.rawValue)
        return Double(late[i]) / Double(max(late[i] + inTime[i], 1))
    }

    /// The note that keeps a check from being proven; nil if late labels can hide only a small part of its bounds.
    func note(_ check: QualityCheck) -> MeasurementNote? {
        let bounds = [check.maxDrop, check.maxRise].compactMap(\.self).map { $0 / (check.range ?? .unit).width }
        guard let least = bounds.min(), share(.baseline) + share(.candidate) > Self.tolerated * least else {
            return nil
        }
        return .lateLabels(candidate: share(.candidate), baseline: share(.baseline))
    }
}

extension [Measurement] {
    /// Turns the verdict of measurements that pass into noData, because late labels may hide a difference. Other
    /// verdicts stay as they are.
    mutating func hold(for note: MeasurementNote) {
        for i in indices where self[i].verdict == .pass {
            self[i].verdict = .noData
            self[i].notes.append(note)
        }
    }
}
