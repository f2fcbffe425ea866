import PolicyModel
import Vocabulary

/// A fact about a measurement beside its numbers: what is missing, what is uncertain, what decided.
public enum MeasurementNote: Hashable, Codable, Sendable {
    /// An arm has `seen` of the `needed` samples.
    case fewSamples(Arm, seen: UInt64, needed: UInt64)
    /// The histogram has no observation in the window.
    case noObservations
    /// A group has too few rows: each arm needs `needed` of them.
    case fewRows(candidate: UInt64, baseline: UInt64, needed: UInt64)
    /// A group has too few rows, and the check only reports such groups: it is shown and decides nothing.
    case tooSmallToJudge(candidate: UInt64, baseline: UInt64, needed: UInt64)
    /// No row with the check's attribute has come.
    case unseenAttribute
    /// The attributes have more values than are judged.
    case tooManyGroups(limit: Int)
    case scoresOutOfRange(count: Int, ScoreRange)
    /// The value is beyond the bound by less than two standard errors.
    case withinError
    /// The baseline is beyond the bound as well, and the candidate is not clearly worse.
    case baselineBeyondBound
    /// A failure that counted at an earlier measurement already; the data since then are within the bound.
    case countedAlready
    /// The increase is largest at this quantile, which is not the check's own.
    case strongestAtQuantile(Double)
    /// The latency is beyond its bound mostly because requests failed, which count as the slowest.
    case failsMore(candidate: FailedRequests, baseline: FailedRequests)
    /// The evidence against the candidate, ln E, and the threshold at which it reverts.
    case evidence(value: Double, revertAt: Double)
    /// The most frequent statuses: `404 80%, 401 20%`.
    case responseStatuses(String)
    /// The reason why too few responses can be timed.
    case untimedResponses(String)
    /// The bucket edges around a bound that lies between two, and what to write instead.
    case boundBetweenEdges(String)
    /// The quantile lies in the bucket that ends at the bound, so it may reach the bound.
    case quantileInBoundBucket
    /// The baseline fails so often that its quantile is an error. The value is the quantile's name, such as `P95`.
    case baselineQuantileIsError(String)
    /// The baseline's value is 0, so that no relative increase can be computed.
    case baselineIsZero
    case noCountersYet
    /// An arm's request counter grew by an amount that is no count: negative, not finite or too large.
    case uncountable(Arm, requests: Double)
    /// A gauge was shown by `seen` of the `needed` latest scrapes.
    case fewFreshScrapes(seen: Int, needed: Int)
    /// The arms do not have enough scrapes within the window yet.
    case fewScrapes
    /// An arm's version has no metrics configured.
    case notScraped(Arm)
    /// All scrapes of an arm fail: one of its servers, and the reason of its last failure.
    case scrapesFail(server: String, reason: String)
    /// No scrape shows the series: its description, with a hint.
    case missingSeries(String)
    /// The series is shown but cannot be measured: the reason.
    case unusableSeries(String)
    case splitMismatch
    case labelMismatch
    /// Labels came after the longest maturity of the quality checks, so many that the difference between the arms cannot
    /// be trusted. The values are the shares of each arm's labels that came late, 0 ... 1.
    case lateLabels(candidate: Double, baseline: Double)
    /// The text of a stored note that was written before notes had kinds.
    case other(String)

    /// An arm's failed requests, and the number of all its requests.
    public struct FailedRequests: Hashable, Codable, Sendable {
        public var failed: UInt64
        public var total: UInt64

        public init(failed: UInt64, total: UInt64) {
            self.failed = failed
            self.total = total
        }

        var words: String { "\(CheckEvidence.grouped(failed)) of \(CheckEvidence.grouped(total))" }
    }

    public var kind: NoteKind {
        switch self {
        case .fewSamples, .noObservations, .fewRows: .fewSamples
        case .tooSmallToJudge: .tooSmallToJudge
        case .unseenAttribute: .unseenAttribute
        case .tooManyGroups: .tooManyGroups
        case .scoresOutOfRange: .scoresOutOfRange
        case .withinError: .withinError
        case .baselineBeyondBound: .baselineBeyondBound
        case .countedAlready: .countedAlready
        case .strongestAtQuantile: .strongestAtQuantile
        case .failsMore: .failsMore
        case .evidence: .evidence
        case .responseStatuses: .responseStatuses
        case .untimedResponses: .untimedResponses
        case .boundBetweenEdges, .quantileInBoundBucket: .boundBetweenEdges
        case .baselineQuantileIsError: .baselineQuantileIsError
        case .baselineIsZero: .baselineIsZero
        case .noCountersYet: .noCountersYet
        case .uncountable: .uncountable
        case .fewFreshScrapes, .fewScrapes: .fewScrapes
        case .notScraped: .notScraped
        case .scrapesFail: .scrapesFail
        case .missingSeries: .missingSeries
        case .unusableSeries: .unusableSeries
        case .splitMismatch: .splitMismatch
        case .labelMismatch: .labelMismatch
        case .lateLabels: .lateLabels
        case .other: .other
        }
    }

    /// The note for people, without the subject of the measurement.
    public var words: String {
        switch self {
        case .fewSamples(let arm, let seen, let needed): "\(seen) of \(needed) samples on the \(arm.name)"
        case .noObservations: "no observation in the window"
        case .fewRows(let candidate, let baseline, let needed): Self.rows(candidate, baseline, needed)
        case .tooSmallToJudge(let candidate, let baseline, let needed):
            "too small to judge: \(Self.rows(candidate, baseline, needed))"
        case .unseenAttribute: "no feedback with this attribute yet"
        case .tooManyGroups(let limit): "more than \(limit) groups: the others are not judged; name those that matter"
        case .scoresOutOfRange(let count, let range): "\(count) scores outside \(range) are not counted"
        case .withinError: "beyond the bound, but by less than two standard errors"
        case .baselineBeyondBound:
            "the baseline is beyond this bound too, and the candidate is not clearly worse"
        case .countedAlready: "counted already: what came since keeps the bound"
        case .strongestAtQuantile(let quantile): "shows most at \(Self.name(ofQuantile: quantile))"
        case .failsMore(let candidate, let baseline):
            "fails more often, and failed requests count as the slowest: \(candidate.words) against \(baseline.words) "
                + "on the baseline"
        case .evidence(let value, let revertAt):
            "evidence \(CheckEvidence.odds(value)) against a sound candidate, fails at \(CheckEvidence.odds(revertAt))"
        case .responseStatuses(let text), .untimedResponses(let text), .boundBetweenEdges(let text),
            .missingSeries(let text), .unusableSeries(let text), .other(let text):
            text
        case .quantileInBoundBucket:
            "the quantile lies in the bucket that ends at the bound, and may be at it; write a lower bucket edge"
        case .baselineQuantileIsError(let quantile):
            "the baseline fails so often that its \(quantile) is an error"
        case .baselineIsZero:
            "the baseline is at 0, which nothing can be compared with: give the check a floor"
        case .noCountersYet: "the servers show no requests and errors yet"
        case .uncountable(let arm, let requests):
            "the \(arm.name)'s metrics grew by \(requests) requests within the window, which cannot be counted: check "
                + "what the servers show"
        case .fewFreshScrapes(let seen, let needed): "\(seen) of \(needed) fresh scrapes"
        case .fewScrapes: "too few scrapes of both arms yet"
        case .notScraped(let arm):
            "the \(arm.name) is not scraped: give its version metrics: {preset: …} in the service's file"
        case .scrapesFail(let server, let reason): "\(server) could not be scraped: \(reason)"
        case .splitMismatch:
            "the split is not what it should be, so the arms cannot be compared: nothing advances. Look for clients that "
                + "choose their arm, and for retries that land on the other one"
        case .labelMismatch:
            "labels come in time for one arm more often than for the other, so quality cannot be compared: nothing advances. Look "
                + "for label jobs that depend on the model's response"
        case .lateLabels(let candidate, let baseline):
            "\(Measurement.decimals(100 * candidate, 1)) % of the candidate's labels and "
                + "\(Measurement.decimals(100 * baseline, 1)) % of the baseline's came later than the longest 'maturity' of the "
                + "quality checks, and may differ from the others: write a longer one for the next rollout"
        }
    }

    private static func rows(_ candidate: UInt64, _ baseline: UInt64, _ needed: UInt64) -> String {
        "\(candidate) of \(needed) samples on the candidate, \(baseline) on the baseline"
    }

    /// A quantile's name, such as `P99.9`.
    public static func name(ofQuantile quantile: Double) -> String {
        "P\(Measurement.decimals(quantile * 100, 2))"
    }
}
