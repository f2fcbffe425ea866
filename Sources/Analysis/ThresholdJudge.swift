import PolicyModel
import Vocabulary

/// Bounds at each interval, counted as Argo Rollouts counts them: a check fails when more measurements failed than
/// `failureLimit` tolerates, over the whole rollout. A measurement fails when a bound is crossed by more than two
/// standard errors; crossed by less it is inconclusive. Windows of neighboring measurements overlap, so a failed one
/// only counts if what came since the last counted one is beyond the bound by itself: a short burst of errors counts
/// once, or twice if a measurement fell into it, and a lasting fault at every interval. It looks often and corrects
/// for nothing: use a generous margin, or the sequential judge.
public struct ThresholdJudge: Hashable, Codable, Sendable {
    /// The counts of one check over the rollout.
    struct Tally: Hashable, Codable, Sendable {
        var failures = 0
        var inconclusives = 0
        var consecutiveErrors = 0
        /// The candidate's rows at the last counted failure, by measurement; only for quality, which is measured over
        /// the whole rollout and so over restarts. Nil before the first.
        var countedRows: [String: GroupCounts]?
    }

    private struct Latest {
        var result: CheckResult
        /// When the next measurement counts.
        var nextAt: Int64
        /// The result belongs to an earlier step: shown again only after a fresh measurement.
        var isOutdated = false
    }

    private var tallies: [String: Tally] = [:]
    /// Results of the last measurements; not kept over a restart, which just looks at once.
    private var latest: [String: Latest] = [:]
    /// What the last counted failure of each check rested on. Not kept over a restart, after which requests and scrapes
    /// are counted from nothing.
    private var counted: [String: CountedFailure] = [:]

    public init() {}

    /// Looks at every check whose interval is over and repeats the last result of the others.
    /// - Parameter now: monotonic nanoseconds.
    public mutating func evaluate(_ policies: [Policy], _ snapshot: WindowSnapshot, now: Int64) -> [CheckResult] {
        let sets = ClientErrorSets(policies)
        return policies.flatMap { policy in
            policy.checks.map { check in
                let path = "\(policy.name)/\(check.name)"
                let last = latest[path]
                let isDue = last.map { now >= $0.nextAt } ?? true
                if let last, !isDue, !last.isOutdated { return last.result }
                let look = ThresholdLook(check: check, snapshot: snapshot, sets: sets, now: now)
                let result = judge(look, policy: policy.name, counts: isDue)
                let nextAt = isDue ? now + check.limits.interval.nanoseconds : last?.nextAt ?? now
                latest[path] = Latest(result: result, nextAt: nextAt)
                return result
            }
        }
    }

    /// Looks at everything again at the next call: what was measured belongs to another step. Such a look counts toward
    /// no limit, since it comes sooner than an interval after the last one.
    public mutating func lookAgain() { for path in latest.keys { latest[path]?.isOutdated = true } }

    /// - Parameter counts: whether the measurement is due and counts toward the limits.
    private mutating func judge(_ look: ThresholdLook, policy: String, counts: Bool) -> CheckResult {
        let check = look.check
        let path = "\(policy)/\(check.name)"
        var measurements = look.measure()
        let measured = Self.worst(measurements.map(\.verdict))
        if counts { count(measured, &measurements, path, look) }
        let tally = tallies[path] ?? Tally()
        let verdict: Verdict =
            switch measured {
            case _ where tally.failures > check.limits.failureLimit: .fail
            case .fail: .inconclusive
            // Three scrapes without a series are patience enough.
            case .error where measurements.contains { $0.fault == .missingSeries }: .error
            case .error: tally.consecutiveErrors > check.limits.consecutiveErrorLimit ? .error : .noData
            case .pass, .inconclusive, .noData: measured
            }
        var result = CheckResult(
            policy: policy, check: check.name, mode: check.mode, verdict: verdict, measured: measured,
            measurements: measurements, failures: tally.failures, failureLimit: check.limits.failureLimit,
            inconclusives: tally.inconclusives, consecutiveErrors: tally.consecutiveErrors)
        result.isOverInconclusiveLimit = tally.inconclusives > check.limits.inconclusiveLimit
        if case .quality = check.kind { result.waitsOnlyForPromotion = true }
        result.missing = look.missing(measured: measured, measurements: measurements)
        result.needsMoreThanTraffic = verdict == .noData && look.hasNothingToTime
        result.proven = verdict == .pass && result.missing.isEmpty
        return result
    }

    private mutating func count(
        _ measured: Verdict, _ measurements: inout [Measurement], _ path: String, _ look: ThresholdLook
    ) {
        var tally = tallies[path] ?? Tally()
        switch measured {
        case .fail:
            let failed = measurements.filter { $0.verdict == .fail }
            let last = counted[path] ?? tally.countedRows.map { CountedFailure(rows: $0) }
            let fresh = failed.compactMap { failure in last.map { look.repeated(failure, after: $0) } ?? look.position }
            if let first = fresh.first {
                tally.failures += 1
                var position = first
                position.startedUpTo = fresh.map(\.startedUpTo).min() ?? first.startedUpTo
                position.rows = look.rows(of: failed)
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

    /// Fail before error before inconclusive before noData before pass; noData where there is nothing.
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
