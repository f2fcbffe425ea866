import PolicyModel
import Statistics
import Vocabulary

/// Why a measurement failed although the servers' metrics were scraped.
public enum MeasurementFault: Sendable {
    /// No scrape shows the series that the check names.
    case missingSeries
    /// The scrapes show the series, but its values cannot be measured: NaN, a changed type, a page that does not
    /// change.
    case unusableSeries
}

extension QualityCheck {
    /// The unit of the check's bounds.
    var unit: MeasureUnit { range == nil ? .points : .score }
}

/// One comparison of a value with a bound, with every number that it rests on.
public struct Measurement: Hashable, Codable, Sendable {
    /// What is bounded: `ceiling`, `increase`, a group such as `sex=Female`.
    public var subject: String
    public var unit: MeasureUnit
    /// The value of each arm; nil without samples. An infinite value is stored as `.greatestFiniteMagnitude`, because
    /// JSON has no infinity.
    public var candidate: Double?
    public var baseline: Double?
    /// The number of samples behind each value.
    public var candidateSamples: UInt64
    public var baselineSamples: UInt64
    /// The bound on `value`.
    public var bound: Double
    /// The number that is compared with the bound: the candidate's value, or its drop or rise against the baseline.
    public var value: Double?
    /// True if the bound is the largest allowed value; false if it is the smallest.
    public var atMost: Bool
    public var verdict: Verdict
    /// The interval of the candidate's value less the baseline's; nil where it is not known.
    public var difference: DifferenceInterval?
    /// Facts beside the numbers: what is missing or uncertain, and what decided.
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

    /// The reason why a scraped series gave no value; nil for other verdicts, and if the scrapes themselves failed.
    public var fault: MeasurementFault? {
        guard verdict == .error else { return nil }
        if notes.contains(where: { $0.kind == .missingSeries }) { return .missingSeries }
        return notes.contains { $0.kind == .unusableSeries } ? .unusableSeries : nil
    }

    private static func finite(_ x: Double) -> Double {
        x.isNaN ? 0 : min(max(x, -.greatestFiniteMagnitude), .greatestFiniteMagnitude)
    }
}

/// The sequential judge's evidence for and against a candidate in one check.
public struct CheckEvidence: Hashable, Codable, Sendable {
    /// ln E against the candidate, and the threshold at which the check fails, ln 1/(w α).
    public var value: Double
    public var revertAt: Double
    /// ln E for a promotion, and the value that it must have at the time of promotion.
    public var proof: Double
    public var promoteAt: Double
    /// The check's share of the risk, 0 ... 1.
    public var weight: Double
    /// The bound or the group that has the strongest evidence.
    public var part: String
    /// The mode of betting that follows from how failures cluster, and φ̂ itself. Both are nil for quality, and φ̂
    /// until it is known.
    public var mode: CountingMode?
    public var overdispersion: Double?
    /// An estimate of how many more requests of the candidate the proof needs, and of the time that they take at the
    /// present rate, in seconds; nil if unknown.
    public var requestsNeeded: Double?
    public var secondsNeeded: Double?
    /// The course of ln E against the candidate over the rollout.
    public var trace: EvidenceTrace

    /// How failures cluster and what follows for the bets, as text; empty for quality.
    public var dependence: String { mode?.words(overdispersion) ?? "" }

    /// The odds against the candidate being sound, such as `2,500 : 1`.
    public var odds: String { Self.odds(value) }

    public static func odds(_ logEvidence: Double) -> String { "\(oddsToOne(logEvidence)) : 1" }

    /// The first number of the odds, such as `2,500` for 2,500 : 1.
    public static func oddsToOne(_ logEvidence: Double) -> String {
        if let power = power(logEvidence) { return "more than \(power)" }
        // Rounding: 1/0.01 must not become 99 on its way through the logarithm.
        let e = evidence(ofLog: logEvidence) * (1 + 1e-9)
        return e < 10 ? Measurement.decimals(e, 1) : grouped(UInt64(saturating: e.rounded(.down)))
    }

    /// The largest share of sound candidates against which as much evidence is ever found, such as `1 of 2,500`.
    public static func chance(_ logEvidence: Double) -> String {
        if let power = power(logEvidence) { return "1 of \(power)" }
        return "1 of \(grouped(UInt64(saturating: (evidence(ofLog: max(logEvidence, 0)) * (1 + 1e-9)).rounded(.down))))"
    }

    /// The evidence as a power of ten, such as `10^9`, at most `10^13`; nil below a million, where it is shown in
    /// digits.
    private static func power(_ logEvidence: Double) -> String? {
        let power = logEvidence * 0.434_294_481_903_251_8 + 1e-9
        return power < 6 ? nil : "10^\(Int(saturating: min(power, 13).rounded(.down)))"
    }

    /// An estimated count as text, rounded up to two digits: `2,400` for 2,317.4.
    public static func about(_ count: Double) -> String {
        var scale = 1.0
        let count = min(max(count, 1), 1e15)
        while count / scale >= 100 { scale *= 10 }
        return grouped(UInt64(saturating: (count / scale).rounded(.up) * scale))
    }

    /// A number with a comma before every three digits, such as `12,345`.
    public static func grouped(_ n: UInt64) -> String {
        let digits = String(n).utf8
        guard digits.count > 3 else { return String(n) }
        var text = ""
        var left = digits.count
        for digit in digits {
            text.unicodeScalars.append(Unicode.Scalar(digit))
            left -= 1
            if left > 0, left % 3 == 0 { text.append(",") }
        }
        return text
    }
}

/// The result of one check in one evaluation.
public struct CheckResult: Hashable, Codable, Sendable {
    enum CodingKeys: String, CodingKey {
        case policy, check, action, verdict, measured, measurements, failures, failureLimit, inconclusives
        case consecutiveErrors, proven, missing, waitsOnlyForPromotion, needsMoreThanTraffic, isOverInconclusiveLimit
        case evidence, mostExcessFailures
    }

    public var policy: String
    public var check: String
    /// What happens when the check fails.
    public var action: CheckAction
    /// The verdict of the check, which takes its limits of failures, inconclusive results and errors into account.
    public var verdict: Verdict
    /// The verdict of the newest measurement alone.
    public var measured: Verdict
    public var measurements: [Measurement]
    /// The number of failed measurements so far, and the number that is tolerated.
    public var failures: Int
    public var failureLimit: Int
    public var inconclusives: Int
    public var consecutiveErrors: Int
    /// True if this check does not block a promotion now.
    public var proven: Bool
    /// What is still missing for a promotion, as text; empty if nothing is.
    public var missing: String
    /// True if a step may end while this check has no data, so that only the promotion waits for it.
    public var waitsOnlyForPromotion: Bool
    /// True if the check has no data and more requests like the present ones would not change that; `missing` says why.
    public var needsMoreThanTraffic = false
    /// True if more measurements were inconclusive than the policy tolerates, so that the rollout is held for an
    /// operator.
    public var isOverInconclusiveLimit = false
    /// The sequential judge's evidence; nil for checks that have no share of the risk, and for the threshold judge.
    public var evidence: CheckEvidence?
    /// The upper bound on the candidate's failures beyond the baseline's; nil for every result but that of the harm
    /// budget.
    public var mostExcessFailures: Double?

    public init(
        policy: String, check: String, action: CheckAction, verdict: Verdict, measured: Verdict,
        measurements: [Measurement] = [], failures: Int = 0, failureLimit: Int = 0, inconclusives: Int = 0,
        consecutiveErrors: Int = 0, proven: Bool = false, missing: String = "", waitsOnlyForPromotion: Bool = false
    ) {
        self.policy = policy
        self.check = check
        self.action = action
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

    /// The names of policy and check, `policy/check`.
    public var path: String { "\(policy)/\(check)" }
    /// True if a promotion needs the proof of the check.
    public var isRequired: Bool { action.isRequired }
    /// True if the check can prove something that a promotion needs. The harm budget only pauses.
    public var provesForPromotion: Bool { isRequired && mostExcessFailures == nil }

    /// The reason why a scraped series gave no value in the newest measurement; nil if it gave one, or if scrapes fail.
    public var fault: MeasurementFault? {
        measured == .error ? measurements.lazy.compactMap(\.fault).first : nil
    }

    /// The measurement that decided the newest evaluation.
    public var decisive: Measurement? { measurements.decisive(for: measured) }
}

// Earlier builds stored `mode` in place of `action`.
extension CheckResult {
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            policy: try values.decode(String.self, forKey: .policy),
            check: try values.decode(String.self, forKey: .check),
            action: try CheckAction(storedIn: decoder), verdict: try values.decode(Verdict.self, forKey: .verdict),
            measured: try values.decode(Verdict.self, forKey: .measured),
            measurements: try values.decode([Measurement].self, forKey: .measurements),
            failures: try values.decode(Int.self, forKey: .failures),
            failureLimit: try values.decode(Int.self, forKey: .failureLimit),
            inconclusives: try values.decode(Int.self, forKey: .inconclusives),
            consecutiveErrors: try values.decode(Int.self, forKey: .consecutiveErrors),
            proven: try values.decode(Bool.self, forKey: .proven),
            missing: try values.decode(String.self, forKey: .missing),
            waitsOnlyForPromotion: try values.decode(Bool.self, forKey: .waitsOnlyForPromotion))
        needsMoreThanTraffic = try values.decode(Bool.self, forKey: .needsMoreThanTraffic)
        isOverInconclusiveLimit = try values.decode(Bool.self, forKey: .isOverInconclusiveLimit)
        evidence = try values.decodeIfPresent(CheckEvidence.self, forKey: .evidence)
        mostExcessFailures = try values.decodeIfPresent(Double.self, forKey: .mostExcessFailures)
    }
}

/// How far the failure of a check has gone at one moment.
public struct FailureExtent: Hashable, Codable, Sendable {
    /// ln E against the candidate; nil for a check without evidence.
    public var evidence: Double?
    /// The number of failed measurements, for a check without evidence.
    public var failures: Int
    /// The groups that fail, such as `sex=Female`; empty for a check that is not on quality.
    public var groups: [String]
    /// The excess failures, for the harm budget.
    public var excessFailures: Double?

    public init(
        evidence: Double? = nil, failures: Int = 0, groups: [String] = [], excessFailures: Double? = nil
    ) {
        self.evidence = evidence
        self.failures = failures
        self.groups = groups
        self.excessFailures = excessFailures
    }
}

extension CheckResult {
    /// How far the failure of the check has gone now.
    public var extent: FailureExtent {
        // Only the measurements of quality checks have values that are differences.
        let groups = measurements.filter { $0.verdict == .fail && $0.unit.isDifference }.map(\.subject)
        return FailureExtent(
            evidence: evidence?.value, failures: failures, groups: groups, excessFailures: mostExcessFailures)
    }

    /// True if the check has failed once more since its failure had the extent `earlier`: the evidence since then has
    /// reached the check's threshold by itself, more measurements have failed since then than are tolerated, or a group
    /// fails that did not.
    ///
    /// The ratio of the evidence now to that of an earlier moment is what the bets since then have won. So the check
    /// fails again where it would have failed in a rollout that began at that moment.
    public func hasFailedAgain(since earlier: FailureExtent) -> Bool {
        guard verdict == .fail else { return false }
        if failsInMoreGroups(than: earlier) { return true }
        if let mostExcessFailures, let budget = measurements.first?.bound {
            return mostExcessFailures - (earlier.excessFailures ?? 0) > budget
        }
        guard let evidence else { return failures - earlier.failures > failureLimit }
        return evidence.value - (earlier.evidence ?? 0) >= evidence.revertAt
    }

    /// True if a group fails that did not when the failure had the extent `earlier`.
    public func failsInMoreGroups(than earlier: FailureExtent) -> Bool {
        verdict == .fail && extent.groups.contains { !earlier.groups.contains($0) }
    }

    /// True if nothing is left of a failure of the check: its evidence is back at 1 : 1 or less, there are no excess
    /// failures, or for a check with neither, it does not fail any more.
    public var isFailureOver: Bool {
        if let mostExcessFailures { return mostExcessFailures <= 0 }
        return evidence.map { $0.value <= 0 } ?? (verdict != .fail)
    }
}

extension Measurement: BoundComparison {
    public var excess: Double? { value.map { atMost ? $0 - bound : bound - $0 } }
}
