import PolicyModel

/// A labeled row, as it is posted.
public struct Feedback: Hashable, Sendable {
    /// The hash of the inference's request id, see `RequestIdentifier.hash`.
    public var requestHash: UInt64
    /// The true outcome, 0 or 1; nil if only a prediction or a score is reported.
    public var label: Int?
    public var prediction: Int?
    public var score: Double?
    /// The values by attribute: `sex` to `Female`.
    public var groups: [String: String]

    public init(
        requestHash: UInt64, label: Int? = nil, prediction: Int? = nil, score: Double? = nil,
        groups: [String: String] = [:]
    ) {
        self.requestHash = requestHash
        self.label = label
        self.prediction = prediction
        self.score = score
        self.groups = groups
    }
}

/// The rows of one group on one arm, counted for all measures.
public struct GroupCounts: Hashable, Codable, Sendable {
    /// Rows with label and prediction, by (label, prediction).
    public var truePositives: UInt64 = 0
    public var falsePositives: UInt64 = 0
    public var trueNegatives: UInt64 = 0
    public var falseNegatives: UInt64 = 0
    /// Rows with a prediction, labeled or not, and the number of predictions of 1.
    public var predictions: UInt64 = 0
    public var selected: UInt64 = 0
    /// The number of scores, and the sums of their positions in their range, 0 ... 1, and of the squares of these.
    /// Unlike sums of the scores themselves, these lose no precision if the range is narrow and far from 0.
    public var scores: UInt64 = 0
    public var scoreSum: Double = 0
    public var scoreSquares: Double = 0

    public init() {}

    /// - Parameter range: the range of scores; nil if no check uses scores. A score outside it is not counted.
    public mutating func add(_ row: Feedback, scores range: ScoreRange?) {
        if let prediction = row.prediction {
            predictions += 1
            selected += prediction == 1 ? 1 : 0
            switch (row.label, prediction) {
            case (1, 1): truePositives += 1
            case (1, _): falseNegatives += 1
            case (nil, _): break
            case (_, 1): falsePositives += 1
            case (_, _): trueNegatives += 1
            }
        }
        if let score = row.score, let position = range?.position(of: score) {
            scores += 1
            scoreSum += position
            scoreSquares += position * position
        }
    }

    /// The value of a measure, its number of samples, and the variance of one sample (p(1 − p) for a proportion); nil
    /// without samples.
    /// - Parameter range: the range of scores. The value and the variance of `.score` are in the unit of this range.
    public func measure(
        _ measure: QualityMeasure, scores range: ScoreRange = .unit
    ) -> (value: Double, samples: UInt64, variance: Double)? {
        func proportion(_ k: UInt64, _ n: UInt64) -> (Double, UInt64, Double)? {
            guard n > 0 else { return nil }
            let p = Double(k) / Double(n)
            // The rate of the variance has one success and one failure added, so that the variance is never 0.
            let q = (Double(k) + 1) / (Double(n) + 2)
            return (p, n, q * (1 - q))
        }
        switch measure {
        case .accuracy:
            let n = truePositives + trueNegatives + falsePositives + falseNegatives
            return proportion(truePositives + trueNegatives, n)
        case .recall: return proportion(truePositives, truePositives + falseNegatives)
        case .falsePositiveRate: return proportion(falsePositives, falsePositives + trueNegatives)
        case .selectionRate: return proportion(selected, predictions)
        case .score:
            guard scores > 0 else { return nil }
            let mean = scoreSum / Double(scores)
            let variance = max(scoreSquares / Double(scores) - mean * mean, 0)
            return (range.score(at: mean), scores, variance * range.width * range.width)
        }
    }
}

/// Quality of both arms by group, since the rollout began. Only the attributes that a check names are kept.
public struct QualityTable: Hashable, Codable, Sendable {
    /// The largest number of groups, over all attributes. Rows of further values count only in `whole`.
    public static let maximumGroups = 1_000

    /// The counts of all rows, by arm.
    public private(set) var whole: [GroupCounts] = [GroupCounts(), GroupCounts()]
    /// The counts of the rows that came after the longest maturity of the checks, by arm. They are not compared.
    public private(set) var late: [GroupCounts] = [GroupCounts(), GroupCounts()]
    /// The counts by attribute and value, then by arm.
    public private(set) var groups: [String: [String: [GroupCounts]]] = [:]
    /// The number of times that a row was not counted in a group because there were too many groups. A row with
    /// several attributes may count several times.
    public private(set) var overflow: UInt64 = 0
    private var kept = 0

    public init() {}

    /// Counts a row that came after the longest maturity of the checks.
    public mutating func addLate(_ row: Feedback, arm: Arm, scores range: ScoreRange?) {
        late[Int(arm.rawValue)].add(row, scores: range)
    }

    /// The numbers of rows that came in time and of late ones, among those that a check's measure uses.
    func lateness(_ check: QualityCheck) -> LabelLateness {
        func samples(_ counts: GroupCounts) -> Int {
            Int(clamping: counts.measure(check.measure, scores: check.range ?? .unit)?.samples ?? 0)
        }
        var lateness = LabelLateness()
        for arm in [Arm.baseline, .candidate] {
            lateness.add(arm, isLate: false, count: samples(whole[Int(arm.rawValue)]))
            lateness.add(arm, isLate: true, count: samples(late[Int(arm.rawValue)]))
        }
        return lateness
    }

    public mutating func add(_ row: Feedback, arm: Arm, attributes: Set<String>, scores range: ScoreRange?) {
        whole[Int(arm.rawValue)].add(row, scores: range)
        for (attribute, value) in row.groups where attributes.contains(attribute) {
            if groups[attribute]?[value] == nil {
                guard kept < Self.maximumGroups else {
                    overflow += 1
                    continue
                }
                kept += 1
            }
            groups[attribute, default: [:]][value, default: [GroupCounts(), GroupCounts()]][Int(arm.rawValue)].add(
                row, scores: range)
        }
    }

    /// The groups that a selector selects, sorted by name, each with its counts by arm.
    public func select(_ selector: GroupSelector) -> [(name: String, counts: [GroupCounts])] {
        let values = groups[selector.attribute] ?? [:]
        if let value = selector.value {
            return [(selector.description, values[value] ?? [GroupCounts(), GroupCounts()])]
        }
        return values.sorted { $0.key < $1.key }.map { ("\(selector.attribute)=\($0.key)", $0.value) }
    }
}
