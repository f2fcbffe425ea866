import Analysis
import PolicyModel
import Vocabulary

/// Judges the recording of a rollout again, by other policies.
public enum RecordedRollout {
    /// The decision of the policies on the recorded traffic.
    public struct Decision: Sendable {
        /// The result of the first check that would have reverted or paused the rollout; nil if none would.
        public var fails: CheckResult?
        /// True if every required check was proven in the last recorded step.
        public var isProven: Bool
        /// The time from the beginning of the recording to the decision, or to its end if there was none.
        public var seconds: Int64
        /// The requests of the candidate in that time.
        public var requests: Int
        /// The judge's number of the step in which the decision was made. It counts from 1, a warm-up included; 0 is
        /// the time before the first step.
        public var step: UInt16
        /// The proofs that were missing for a promotion at the end, as text; empty if there was a decision.
        public var missing: [String]
    }

    /// - Parameters:
    ///   - items: the whole recording of one rollout.
    ///   - profile: the profile of the baseline at the beginning of the rollout.
    public static func judge(
        _ items: [JudgedItem], by policies: [Policy], risk: Risk, profile: BaselineProfile, isKeyed: Bool
    ) -> Decision {
        var judge = SequentialJudge(policies, risk: risk, isKeyed: isKeyed, profile: profile)
        let nothing = WindowSnapshot(observations: ObservationWindow(retention: .seconds(1), startedAt: 0))
        let last = items.compactMap(\.step).max() ?? 1
        var (now, elapsed): (Int64?, Int64) = (nil, 0)
        var requests = 0
        var results: [CheckResult] = []
        func verdict(_ fails: CheckResult?, _ isProven: Bool) -> Decision {
            let missing = results.filter { $0.isRequired && !$0.proven }.map { "\($0.path): \($0.missing)" }
            return Decision(
                fails: fails, isProven: isProven, seconds: now == nil ? 0 : elapsed + 1, requests: requests,
                step: judge.step, missing: fails == nil && !isProven ? missing : [])
        }
        for (index, item) in items.enumerated() {
            judge.take(item)
            if let second = item.second {
                // The clock starts again with the machine. Latencies are recorded later than the errors of their second.
                if let now, second > now { elapsed += second - now }
                now = now.map { second < $0 - BaselineHistory.longestGap ? second : max(second, $0) } ?? second
            }
            if case .errors(let tick) = item { requests += tick.requests(.candidate) }
            guard index + 1 == items.count || items[index + 1].beginsSecond else { continue }
            results = judge.evaluate(policies, nothing, now: (now ?? 0) * 1_000_000_000)
            let evaluation = Evaluation(results: results)
            if let failing = evaluation.failing(.revert) ?? evaluation.failing(.pause) {
                return verdict(failing, false)
            }
            let required = results.filter(\.provesForPromotion)
            if judge.step >= last, !required.isEmpty, required.allSatisfy({ $0.proven && $0.verdict == .pass }) {
                return verdict(nil, true)
            }
        }
        return verdict(nil, false)
    }
}

extension JudgedItem {
    /// True if the item is the first of a second. The agent hands the judge all items of a second before it evaluates,
    /// so an evaluation between two of them would be one that no agent makes.
    var beginsSecond: Bool { if case .errors = self { true } else { false } }

    /// The step that a tick belongs to; nil for rows.
    var step: UInt16? {
        switch self {
        case .errors(let tick): tick.step
        case .latencies(let tick): tick.step
        case .rows: nil
        }
    }
}
