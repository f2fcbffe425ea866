import PolicyModel

/// Bounds at each interval, counted as Argo Rollouts counts them: a check fails when more measurements failed than
/// `failureLimit` tolerates, over the whole rollout. A measurement fails when a bound is crossed by more than two
/// standard errors; crossed by less it is inconclusive. It looks often and corrects for nothing: use a generous
/// margin, or the sequential judge.
public struct ThresholdJudge: Hashable, Codable, Sendable {
    /// The counts of one check over the rollout.
    struct Tally: Hashable, Codable, Sendable {
        var failures = 0
        var inconclusives = 0
        var consecutiveErrors = 0
    }

    private var tallies: [String: Tally] = [:]
    /// Results of the last measurements and when the next is due; not kept over a restart, which just looks at once.
    private var latest: [String: (result: CheckResult, nextAt: Int64)] = [:]

    public init() {}

    /// Looks at every check whose interval is over and repeats the last result of the others.
    /// - Parameter now: monotonic nanoseconds.
    public mutating func evaluate(_ policies: [Policy], _ snapshot: WindowSnapshot, now: Int64) -> [CheckResult] {
        policies.flatMap { policy in
            policy.checks.map { check in
                let path = "\(policy.name)/\(check.name)"
                if let last = latest[path], now < last.nextAt { return last.result }
                let look = ThresholdLook(check: check, snapshot: snapshot, now: now)
                let result = count(look.measure(), of: check, policy: policy.name, look: look)
                latest[path] = (result, now + check.limits.interval.nanoseconds)
                return result
            }
        }
    }

    /// Looks at everything again at the next call: what was measured belongs to another step.
    public mutating func lookAgain() { latest = [:] }

    private mutating func count(
        _ measurements: [Measurement], of check: Check, policy: String, look: ThresholdLook
    ) -> CheckResult {
        let path = "\(policy)/\(check.name)"
        var tally = tallies[path] ?? Tally()
        let measured = Self.worst(measurements.map(\.verdict))
        switch measured {
        case .fail: tally.failures += 1
        case .inconclusive: tally.inconclusives += 1
        case .error: break
        case .pass, .noData: break
        }
        tally.consecutiveErrors = measured == .error ? tally.consecutiveErrors + 1 : 0
        tallies[path] = tally

        let verdict: Verdict =
            switch measured {
            case _ where tally.failures > check.limits.failureLimit: .fail
            case .fail: .inconclusive
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
        result.proven = verdict == .pass && result.missing.isEmpty
        return result
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
