import Analysis
import PolicyModel

/// Judges what was recorded of a rollout by other policies.
public enum RecordedRollout {
    /// What policies would have decided of the traffic that there was.
    public struct Verdict: Sendable {
        /// The first check that would have reverted: `standard/error-rate`, with what it measured.
        public var reverts: CheckResult?
        /// Every enforced check was proven in the last step that there was.
        public var isProven: Bool
        /// Since the recording began, and requests of the candidate until then. Where nothing was decided: of all of it.
        public var seconds: Int64
        public var requests: Int
        /// Of the step that was running, from 1.
        public var step: UInt16
        /// What was missing for a promotion at the end; empty where something was decided.
        public var missing: [String]
    }

    /// - Parameters:
    ///   - items: of one rollout, whole.
    ///   - profile: of the baseline when it began.
    public static func judge(
        _ items: [JudgedItem], by policies: [Policy], risk: Risk, profile: BaselineProfile, isKeyed: Bool
    ) -> Verdict {
        var judge = SequentialJudge(policies, risk: risk, isKeyed: isKeyed, profile: profile)
        let nothing = WindowSnapshot(observations: ObservationWindow(retention: .seconds(1), startedAt: 0))
        let last = items.compactMap(\.step).max() ?? 1
        var begin: Int64?
        var now: Int64 = 0
        var requests = 0
        var results: [CheckResult] = []
        func verdict(_ reverts: CheckResult?, _ isProven: Bool) -> Verdict {
            let missing = results.filter { $0.isEnforced && !$0.proven }.map { "\($0.path): \($0.missing)" }
            return Verdict(
                reverts: reverts, isProven: isProven, seconds: begin.map { now - $0 + 1 } ?? 0, requests: requests,
                step: judge.step, missing: reverts == nil && !isProven ? missing : [])
        }
        for item in items {
            judge.take(item)
            if let second = item.second {
                begin = begin ?? second
                now = max(now, second)
            }
            if case .errors(let tick) = item { requests += tick.tally(.candidate).trials }
            results = judge.evaluate(policies, nothing, now: now * 1_000_000_000)
            if let failing = results.first(where: { $0.isEnforced && $0.verdict == .fail }) {
                return verdict(failing, false)
            }
            let enforced = results.filter(\.isEnforced)
            if judge.step >= last, !enforced.isEmpty, enforced.allSatisfy({ $0.proven && $0.verdict == .pass }) {
                return verdict(nil, true)
            }
        }
        return verdict(nil, false)
    }
}

extension JudgedItem {
    /// Nil for rows.
    var step: UInt16? {
        switch self {
        case .errors(let tick): tick.step
        case .latencies(let tick): tick.step
        case .rows: nil
        }
    }
}
