import PolicyModel
import Statistics
import Vocabulary

/// Why a measurement failed although the servers' metrics were scraped.
public enum MeasurementFault: Sendable {
    /// No scrape shows the series that the check names.
    case missingSeries
    /// The scrapes show the series, but its values cannot be measured: NaN, a changed type, a page that stands still.
    case unusableSeries
}

extension QualityCheck {
    /// The unit of its bounds.
    var unit: MeasureUnit { range == nil ? .points : .score }
}

/// One comparison of a value with a bound, with every number that it rests on.
public struct Measurement: Hashable, Codable, Sendable {
    /// What is bounded: `ceiling`, `increase`, a group such as `sex=Female`.
    public var subject: String
    public var unit: MeasureUnit
    /// Nil where there was no sample. Infinite is written as `.greatestFiniteMagnitude`, which JSON can hold.
    public var candidate: Double?
    public var baseline: Double?
    /// Samples that each value rests on.
    public var candidateSamples: UInt64
    public var baselineSamples: UInt64
    /// The bound on `value`.
    public var bound: Double
    /// What is held against the bound: the candidate's value, or its drop or rise against the baseline.
    public var value: Double?
    /// True: the value may be at most the bound; false: at least.
    public var atMost: Bool
    public var verdict: Verdict
    /// The interval of the candidate's value less the baseline's; nil where it is not known.
    public var difference: DifferenceInterval?
    /// What is missing or uncertain, and what decided.
    public var notes: [MeasurementNote]

    public init(
        subject: String, unit: MeasureUnit, candidate: Double? = nil, baseline: Double? = nil,
        candidateSamples: UInt64 = 0, baselineSamples: UInt64 = 0, bound: Double, value: Double? = nil,
        atMost: Bool = true, verdict: Verdict, notes: [MeasurementNote] = []
    ) {
        self.subject = subject
        self.unit = unit
        self.candidate = candidate.map(Self.finite)
        self.baseline = baseline.map(Self.finite)
        self.candidateSamples = candidateSamples
        self.baselineSamples = baselineSamples
        self.bound = Self.finite(bound)
        self.value = value.map(Self.finite)
        self.atMost = atMost
        self.verdict = verdict
        self.notes = notes
    }

    /// The reason for which a scraped series gave no value; nil for other verdicts, and where the scrapes themselves
    /// failed.
    public var fault: MeasurementFault? {
        guard verdict == .error else { return nil }
        if notes.contains(where: { $0.kind == .missingSeries }) { return .missingSeries }
        return notes.contains { $0.kind == .unusableSeries } ? .unusableSeries : nil
    }

    private static func finite(_ x: Double) -> Double {
        x.isNaN ? 0 : min(max(x, -.greatestFiniteMagnitude), .greatestFiniteMagnitude)
    }
}

/// What the sequential judge holds for and against a candidate in one check.
public struct CheckEvidence: Hashable, Codable, Sendable {
    /// ln E for a revert, and what it has to reach: ln 1/(w α).
    public var value: Double
    public var revertAt: Double
    /// ln E for a promotion, and what it has to stand at.
    public var proof: Double
    public var promoteAt: Double
    /// The check's share of the risk, 0 ... 1.
    public var weight: Double
    /// The bound or the group that has the strongest evidence.
    public var part: String
    /// How failures cluster, φ̂, and what follows for the bets; nil for quality, and φ̂ before it is known.
    public var mode: CountingMode?
    public var overdispersion: Double?
    /// About how many more requests of the candidate the proof needs, and how long that takes at this rate, in seconds;
    /// nil where it cannot be told.
    public var requestsNeeded: Double?
    public var secondsNeeded: Double?
    /// ln E over the rollout.
    public var trace: EvidenceTrace

    /// How failures cluster and what follows, in words; empty for quality.
    public var dependence: String { mode?.words(overdispersion) ?? "" }

    /// `2,500 : 1`: the odds that were won against the candidate being sound.
    public var odds: String { Self.odds(value) }

    public static func odds(_ logEvidence: Double) -> String { "\(oddsToOne(logEvidence)) : 1" }

    /// The first number of odds: `2,500` for 2,500 : 1.
    public static func oddsToOne(_ logEvidence: Double) -> String {
        if let power = power(logEvidence) { return "more than \(power)" }
        // What was 1/0.01 before its logarithm was taken is not to be shown as 99.
        let e = evidence(ofLog: logEvidence) * (1 + 1e-9)
        return e < 10 ? Measurement.decimals(e, 1) : grouped(UInt64(saturating: e.rounded(.down)))
    }

    /// `1 of 2,500`: how often bets that are fair win as much, at most.
    public static func chance(_ logEvidence: Double) -> String {
        if let power = power(logEvidence) { return "1 of \(power)" }
        return "1 of \(grouped(UInt64(saturating: (evidence(ofLog: max(logEvidence, 0)) * (1 + 1e-9)).rounded(.down))))"
    }

    /// `10^9`: from a million on nobody reads digits, and beyond 10^13 it is all the same.
    private static func power(_ logEvidence: Double) -> String? {
        let power = logEvidence * 0.434_294_481_903_251_8 + 1e-9
        return power < 6 ? nil : "10^\(Int(saturating: min(power, 13).rounded(.down)))"
    }

    /// `2,300` of 2,317.4: an estimate of a count, to two digits.
    public static func about(_ count: Double) -> String {
        var scale = 1.0
        let count = min(max(count, 1), 1e15)
        while count / scale >= 100 { scale *= 10 }
        return grouped(UInt64(saturating: (count / scale).rounded(.up) * scale))
    }

    /// `12,345`.
    public static func grouped(_ n: UInt64) -> String {
        var digits = Array(String(n))
        var i = digits.count - 3
        while i > 0 {
            digits.insert(",", at: i)
            i -= 3
        }
        return String(digits)
    }
}

/// One check at one look.
public struct CheckResult: Hashable, Codable, Sendable {
    public var policy: String
    public var check: String
    public var mode: CheckMode
    /// What the check decides.
    public var verdict: Verdict
    /// What the newest measurement alone says.
    public var measured: Verdict
    public var measurements: [Measurement]
    /// Failed measurements so far, and how many are tolerated.
    public var failures: Int
    public var failureLimit: Int
    public var inconclusives: Int
    public var consecutiveErrors: Int
    /// Whether promotion may rest on this check now.
    public var proven: Bool
    /// What is still missing for that, in words; empty where nothing is.
    public var missing: String
    /// A step may end although this check has no data: only promotion waits for it.
    public var waitsOnlyForPromotion: Bool
    /// True if the check has no data and more requests like the present ones would not change that; `missing` says why.
    public var needsMoreThanTraffic = false
    /// More inconclusive measurements than the policy tolerates: someone has to look.
    public var isOverInconclusiveLimit = false
    /// What the sequential judge holds; nil for bounds that are no part of the risk, and for other judges.
    public var evidence: CheckEvidence?

    public init(
        policy: String, check: String, mode: CheckMode, verdict: Verdict, measured: Verdict,
        measurements: [Measurement] = [], failures: Int = 0, failureLimit: Int = 0, inconclusives: Int = 0,
        consecutiveErrors: Int = 0, proven: Bool = false, missing: String = "", waitsOnlyForPromotion: Bool = false
    ) {
        self.policy = policy
        self.check = check
        self.mode = mode
        self.verdict = verdict
        self.measured = measured
        self.measurements = measurements
        self.failures = failures
        self.failureLimit = failureLimit
        self.inconclusives = inconclusives
        self.consecutiveErrors = consecutiveErrors
        self.proven = proven
        self.missing = missing
        self.waitsOnlyForPromotion = waitsOnlyForPromotion
    }

    /// `policy/check`.
    public var path: String { "\(policy)/\(check)" }
    public var isEnforced: Bool { mode == .enforce }

    /// The reason why a scraped series gave no value in the newest measurement; nil if it gave one, or if scrapes fail.
    public var fault: MeasurementFault? {
        measured == .error ? measurements.lazy.compactMap(\.fault).first : nil
    }

    /// The measurement that decided the newest evaluation.
    public var decisive: Measurement? { measurements.decisive(for: measured) }
}

extension Measurement: BoundComparison {
    public var excess: Double? { value.map { atMost ? $0 - bound : bound - $0 } }
}
