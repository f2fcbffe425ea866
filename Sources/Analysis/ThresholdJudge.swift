import PolicyModel
import Vocabulary

/// A judge that compares each check with its bounds once per interval and counts failures as Argo Rollouts does: a
/// check fails when more measurements have failed than `failureLimit` tolerates, over the whole rollout. A measurement
/// fails if it is beyond a bound by more than two standard errors; if by less, it is inconclusive. Windows of
/// neighboring measurements overlap, so a failure only counts if the data since the last counted one are beyond the
/// bound by themselves: a short burst of errors counts once, or twice if a measurement fell into it, and a lasting
/// fault counts at every interval. The judge does not correct for measuring repeatedly: use a generous margin, or the
/// sequential judge.
public struct ThresholdJudge: Hashable, Codable, Sendable {
    /// The counts of one check over the rollout.
    struct Tally: Hashable, Codable, Sendable {
        var failures = 0
        var inconclusives = 0
        var consecutiveErrors = 0
        /// The candidate's rows at the last counted failure, by the subject of the measurement; nil before the first.
        /// Only quality checks keep these rows, since quality is measured over the whole rollout and therefore across
        /// restarts.
        var countedRows: [String: GroupCounts]?
    }

    private struct Latest {
        var result: CheckResult
        /// The time from which on the next measurement counts, in monotonic nanoseconds.
        var nextAt: Int64
        /// True if the result belongs to an earlier step, so that the check has to be measured again.
        var isOutdated = false
    }

    private var tallies: [String: Tally] = [:]
    /// The newest result of each check. It is not stored, so that every check is measured at once after a restart.
    private var latest: [String: Latest] = [:]
    /// The data of the last counted failure of each check. They are not stored, because requests and scrapes are
    /// counted from zero after a restart.
    private var counted: [String: CountedFailure] = [:]

    public init() {}

    /// Measures every check whose interval is over, and repeats the last result of the others.
    /// - Parameter now: monotonic nanoseconds.
    public mutating func evaluate(_ policies: [Policy], _ snapshot: WindowSnapshot, now: Int64) -> [CheckResult] {
        let sets = ClientErrorSets(policies)
        return policies.flatMap { policy in
            policy.checks.map { check in
                let path = "\(policy.name)/\(check.name)"
                let last = latest[path]
                let isDue = last.map { now >= $0.nextAt } ?? true
                if let last, !isDue, !last.isOutdated { return last.result }
                let measuring = ThresholdMeasurement(check: check, snapshot: snapshot, sets: sets, now: now)
                let result = judge(measuring, policy: policy.name, counts: isDue)
                let nextAt = isDue ? now + check.limits.interval.nanoseconds : last?.nextAt ?? now
                latest[path] = Latest(result: result, nextAt: nextAt)
                return result
            }
        }
    }

    /// Makes the next `evaluate` measure every check again, because a new step has begun. A measurement that comes
    /// before its interval is over does not count toward any limit.
    public mutating func measureAgain() { for path in latest.keys { latest[path]?.isOutdated = true } }

    /// - Parameter counts: true if the measurement is due and counts toward the limits.
    private mutating func judge(_ measuring: ThresholdMeasurement, policy: String, counts: Bool) -> CheckResult {
        let check = measuring.check
        let path = "\(policy)/\(check.name)"
        var measurements = measuring.measure()
        let measured = Self.worst(measurements.map(\.verdict))
        if counts { count(measured, &measurements, path, measuring) }
        let tally = tallies[path] ?? Tally()
        let verdict: Verdict =
            switch measured {
            case _ where tally.failures > check.limits.failureLimit: .fail
            case .fail: .inconclusive
            // A series is only missing after three scrapes without it, so the limit of errors does not apply.
            case .error where measurements.contains { $0.fault == .missingSeries }: .error
            case .error: tally.consecutiveErrors > check.limits.consecutiveErrorLimit ? .error : .noData
            case .pass, .inconclusive, .noData: measured
            }
        var result = CheckResult(
            policy: policy, check: check.name, action: check.action, verdict: verdict, measured: measured,
            measurements: measurements, failures: tally.failures, failureLimit: check.limits.failureLimit,
            inconclusives: tally.inconclusives, consecutiveErrors: tally.consecutiveErrors)
        result.isOverInconclusiveLimit = tally.inconclusives > check.limits.inconclusiveLimit
        if case .quality = check.kind { result.waitsOnlyForPromotion = true }
        result.missing = measuring.missing(measured: measured, measurements: measurements)
        result.needsMoreThanTraffic = verdict == .noData && measuring.hasNothingToTime
        result.proven = verdict == .pass && result.missing.isEmpty
        return result
    }

    private mutating func count(
        _ measured: Verdict, _ measurements: inout [Measurement], _ path: String, _ measuring: ThresholdMeasurement
    ) {
        var tally = tallies[path] ?? Tally()
        switch measured {
        case .fail:
            let failed = measurements.filter { $0.verdict == .fail }
            let last = counted[path] ?? tally.countedRows.map { CountedFailure(rows: $0) }
            let fresh = failed.compactMap { failure in
                last.map { measuring.repeated(failure, after: $0) } ?? measuring.position
            }
            if let first = fresh.first {
                tally.failures += 1
                var position = first
                position.startedUpTo = fresh.map(\.startedUpTo).min() ?? first.startedUpTo
                position.rows = measuring.rows(of: failed)
                tally.countedRows = position.rows.isEmpty ? nil : position.rows
                counted[path] = position
            } else {
                for i in measurements.indices where measurements[i].verdict == .fail {
                    measurements[i].notes = [.countedAlready]
                }
            }
        case .inconclusive: tally.inconclusives += 1
        case .error, .pass, .noData: break
        }
        tally.consecutiveErrors = measured == .error ? tally.consecutiveErrors + 1 : 0
        tallies[path] = tally
    }

    /// The most severe verdict, in the order fail, error, inconclusive, noData, pass; noData for an empty list.
    static func worst(_ verdicts: [Verdict]) -> Verdict {
        for verdict in [Verdict.fail, .error, .inconclusive, .noData] where verdicts.contains(verdict) {
            return verdict
        }
        return verdicts.isEmpty ? .noData : .pass
    }

    public static func == (a: Self, b: Self) -> Bool { a.tallies == b.tallies }
    public func hash(into hasher: inout Hasher) { hasher.combine(tallies) }

    private enum CodingKeys: String, CodingKey { case tallies }
}
