import Vocabulary

/// A named set of checks.
public struct Policy: Hashable, Codable, Sendable {
    enum CodingKeys: String, CodingKey { case name, description, arguments, onNoData, checks }

    public var name: String
    public var description: String
    /// The arguments with the values in force, in the order of the file.
    public var arguments: [PolicyArgument]
    public var onNoData: NoDataRule
    /// Names are unique within a policy.
    public var checks: [Check]

    public init(
        name: String, description: String = "", arguments: [PolicyArgument] = [], onNoData: NoDataRule = .hold,
        checks: [Check]
    ) {
        self.name = name
        self.description = description
        self.arguments = arguments
        self.onNoData = onNoData
        self.checks = checks
    }
}

public enum NoDataRule: Hashable, Codable, Sendable {
    case hold
    /// Revert when there was no data for this long.
    case revert(after: Duration)
}

/// One question that a policy asks of a candidate.
public struct Check: Hashable, Codable, Sendable {
    enum CodingKeys: String, CodingKey { case name, kind, action, share, limits }

    public var name: String
    public var kind: CheckKind
    /// What happens when the check fails.
    public var action: CheckAction
    /// The weight of the check in the risk budget, relative to other checks of its kind; above 0.
    public var share: Double
    /// The limits of `judge: threshold`.
    public var limits: ThresholdLimits

    public init(
        name: String, kind: CheckKind, action: CheckAction = .revert, share: Double = 1,
        limits: ThresholdLimits = ThresholdLimits()
    ) {
        self.name = name
        self.kind = kind
        self.action = action
        self.share = share
        self.limits = limits
    }
}

public enum CheckKind: Hashable, Codable, Sendable {
    case errors(ErrorsCheck)
    case clientErrors(ClientErrorsCheck)
    case latency(LatencyCheck)
    case quality(QualityCheck)
    case metric(MetricCheck)
}

public enum ObservationOrigin: String, Hashable, Codable, Sendable {
    case proxy
    case scrape
}

/// The share of judged requests that ended as errors. At least one of `max` and `maxIncrease` is set.
public struct ErrorsCheck: Hashable, Codable, Sendable {
    enum CodingKeys: String, CodingKey { case max, maxIncrease, floor, statuses, unlessBaselineExceeds, from }

    /// The ceiling, a fraction 0 ... 1.
    public var max: Double?
    /// The allowed increase over the baseline's rate: 0.5 allows 1.5 times that rate.
    public var maxIncrease: Double?
    /// The rate, a fraction 0 ... 1, up to which a candidate never fails `maxIncrease`.
    public var floor: Double
    /// The statuses that count as errors. Requests without a complete response always count as errors.
    public var statuses: ResponseSet
    /// As in `LatencyCheck`.
    public var unlessBaselineExceeds: Bool
    public var from: ObservationOrigin

    public init(
        max: Double? = nil, maxIncrease: Double? = nil, floor: Double = 0, statuses: ResponseSet = .serverErrors,
        unlessBaselineExceeds: Bool = false, from: ObservationOrigin = .proxy
    ) {
        self.max = max
        self.maxIncrease = maxIncrease
        self.floor = floor
        self.statuses = statuses
        self.unlessBaselineExceeds = unlessBaselineExceeds
        self.from = from
    }

    /// The ceiling that has to be proven for a promotion; nil for none.
    public var provenMax: Double? { unlessBaselineExceeds && maxIncrease != nil ? nil : max }
}

/// The shares of judged requests that ended with a 4xx and with a redirect that no check on errors counts, each
/// compared with the baseline's.
public struct ClientErrorsCheck: Hashable, Codable, Sendable {
    /// The allowed increase over the baseline's share: 0.5 allows 1.5 times that share.
    public var maxIncrease: Double
    /// The share, a fraction 0 ... 1, up to which a candidate never fails.
    public var floor: Double

    public init(maxIncrease: Double, floor: Double = 0) {
        self.maxIncrease = maxIncrease
        self.floor = floor
    }
}

/// A quantile of latency, or the whole distribution. At least one of `max` and `maxIncrease` is set; for a distribution
/// `maxIncrease` alone.
public struct LatencyCheck: Hashable, Codable, Sendable {
    enum CodingKeys: String, CodingKey {
        case quantile, isDistribution, of, max, maxIncrease, floor, unlessBaselineExceeds, from
    }

    /// 0 < quantile < 1; of a distribution the quantile that is shown.
    public var quantile: Double
    /// The check compares the arms at several quantiles: a slow-down of all requests shows best in the middle of the
    /// distribution, one of few requests only in its tail.
    public var isDistribution: Bool
    public var of: LatencyMeasure
    /// The ceiling.
    public var max: Duration?
    /// The allowed increase over the baseline's quantile: 0.1 allows 10 % more.
    public var maxIncrease: Double?
    /// An increase by at most this never fails `maxIncrease`, whatever share of the baseline's latency it is.
    public var floor: Duration
    /// A promotion does not ask for a proof of `max` where `maxIncrease` is proven: a candidate above the ceiling is
    /// accepted if it is no slower than the baseline allows.
    public var unlessBaselineExceeds: Bool
    public var from: ObservationOrigin

    /// The quantile at which a distribution is shown.
    public static let shownOfDistribution = 0.9

    public init(
        quantile: Double, isDistribution: Bool = false, of: LatencyMeasure = .total, max: Duration? = nil,
        maxIncrease: Double? = nil, floor: Duration = .zero, unlessBaselineExceeds: Bool = false,
        from: ObservationOrigin = .proxy
    ) {
        self.quantile = quantile
        self.isDistribution = isDistribution
        self.of = of
        self.max = max
        self.maxIncrease = maxIncrease
        self.floor = floor
        self.unlessBaselineExceeds = unlessBaselineExceeds
        self.from = from
    }

    /// The ceiling that has to be proven for a promotion; nil for none.
    public var provenMax: Duration? { unlessBaselineExceeds && maxIncrease != nil ? nil : max }
}

public enum LatencyMeasure: String, CaseIterable, Hashable, Codable, Sendable {
    case total
    case firstByte
}

/// A measure of quality by group, from labeled feedback; the candidate against the baseline.
public struct QualityCheck: Hashable, Codable, Sendable {
    enum CodingKeys: String, CodingKey {
        case measure, range, groups, maxDrop, maxRise, minSamples, small, maturity
    }

    public var measure: QualityMeasure
    /// The range of scores; nil for 0 ... 1. Only with `measure: score`.
    public var range: ScoreRange?
    /// The groups that are judged; empty to judge all rows as one.
    public var groups: [GroupSelector]
    /// The most that the measure may fall, as a fraction: 0.05 is 5 percentage points. With a range, in the score's own
    /// unit.
    public var maxDrop: Double?
    /// The most that it may rise; for measures of which more is worse.
    public var maxRise: Double?
    /// Samples that the measure rests on (for recall: positives), in each arm, before a group is judged.
    public var minSamples: Int
    /// What a group does that never reaches `minSamples`.
    public var small: SmallGroupRule
    /// How long after its request a label is judged, and the longest that a label is waited for. Zero: labels are
    /// judged as they come, which is fair only where how long a label takes does not depend on what was predicted.
    public var maturity: Duration
    public static let longestMaturity = Duration.seconds(7 * 86_400)

    public init(
        measure: QualityMeasure, range: ScoreRange? = nil, groups: [GroupSelector] = [], maxDrop: Double? = nil,
        maxRise: Double? = nil, minSamples: Int = 100, small: SmallGroupRule = .block, maturity: Duration = .zero
    ) {
        self.maturity = maturity
        self.measure = measure
        self.range = range
        self.groups = groups
        self.maxDrop = maxDrop
        self.maxRise = maxRise
        self.minSamples = minSamples
        self.small = small
    }
}

public enum QualityMeasure: String, CaseIterable, Hashable, Codable, Sendable {
    /// prediction = label, over all rows.
    case accuracy
    /// prediction = 1 among label = 1.
    case recall
    /// prediction = 1 among label = 0.
    case falsePositiveRate
    /// prediction = 1, over all rows; needs no label.
    case selectionRate
    /// Mean of `score`.
    case score
}

/// `sex` means every value of that attribute, each by itself; `sex=Female` only that one.
public struct GroupSelector: Hashable, Codable, Sendable, CustomStringConvertible {
    public var attribute: String
    public var value: String?

    public init(attribute: String, value: String? = nil) {
        self.attribute = attribute
        self.value = value
    }

    public var description: String { value.map { "\(attribute)=\($0)" } ?? attribute }
}

public enum SmallGroupRule: String, Hashable, Codable, Sendable {
    /// Promotion waits for it.
    case block
    /// The group is shown as too small.
    case report
}

/// A bound on a scraped series.
public struct MetricCheck: Hashable, Codable, Sendable {
    /// A name with optional label matchers: `nv_gpu_memory_used_bytes{gpu="0"}`.
    public var series: String
    public var aggregate: MetricAggregate
    public var max: Double?
    public var min: Double?
    /// The allowed relative increase over the baseline, for `rate` and `quantile`.
    public var maxIncrease: Double?
    /// The value up to which the candidate never fails `maxIncrease`. It is always set if `maxIncrease` bounds a
    /// `rate`, since otherwise any event would be beyond the bound if the baseline has none.
    public var floor: Double?
    /// The number of scrapes in a row that have to be beyond the bound, ≥ 1.
    public var forScrapes: Int
    /// The meaning of a series that a scrape does not show; nil if it is reported as missing, unless it is a counter
    /// whose family is shown with the same label names.
    public var absent: AbsentSeriesRule?
    /// The unit in which the bounds are written, and so the unit of the series; nil for numbers without one.
    public var unit: MeasureUnit?

    public init(
        series: String, aggregate: MetricAggregate, max: Double? = nil, min: Double? = nil, maxIncrease: Double? = nil,
        floor: Double? = nil, forScrapes: Int = 1, absent: AbsentSeriesRule? = nil, unit: MeasureUnit? = nil
    ) {
        self.series = series
        self.aggregate = aggregate
        self.max = max
        self.min = min
        self.maxIncrease = maxIncrease
        self.floor = floor
        self.forScrapes = forScrapes
        self.absent = absent
        self.unit = unit
    }
}

public enum AbsentSeriesRule: String, CaseIterable, Hashable, Codable, Sendable {
    /// A series that a server does not show counts as 0: many counters appear with their first event.
    case zero
}

public enum MetricAggregate: Hashable, Codable, Sendable {
    /// Over the matching samples of all servers of a version, at one scrape.
    case max, min, sum, mean
    /// Increase per second of a counter over the window.
    case rate
    /// Quantile of a histogram's increase over the window. 0 < q < 1.
    case quantile(Double)
}

/// How the threshold judge counts, in the terms of Argo Rollouts' analysis.
public struct ThresholdLimits: Hashable, Codable, Sendable {
    /// Time between two measurements.
    public var interval: Duration
    /// What a measurement looks back on. Quality looks back on the whole rollout instead.
    public var window: Duration
    /// Requests in each arm (each arm that the bound speaks of) before a measurement counts.
    public var minSamples: Int
    /// Failed measurements that are tolerated; one more fails the check.
    public var failureLimit: Int
    /// Inconclusive measurements that are tolerated; one more pauses the rollout.
    public var inconclusiveLimit: Int
    /// Errors of the measurement in a row that are tolerated; one more makes the provider count as down.
    public var consecutiveErrorLimit: Int

    public init(
        interval: Duration = .seconds(10), window: Duration = .seconds(60), minSamples: Int = 50,
        failureLimit: Int = 2, inconclusiveLimit: Int = 1000, consecutiveErrorLimit: Int = 4
    ) {
        self.interval = interval
        self.window = window
        self.minSamples = minSamples
        self.failureLimit = failureLimit
        self.inconclusiveLimit = inconclusiveLimit
        self.consecutiveErrorLimit = consecutiveErrorLimit
    }
}
