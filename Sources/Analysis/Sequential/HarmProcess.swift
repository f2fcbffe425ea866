import PolicyModel
import Statistics
import Vocabulary

/// The count of the candidate's failures beyond those that the baseline would have had, from ticks.
struct HarmProcess: Hashable, Codable, Sendable {
    /// The number of seconds whose failures of the baseline wait for the share. It is more than latencies are waited
    /// for.
    private static let mostWaiting = 600
    /// The number of seconds for which a share is remembered after its last second. It is more than the failures of a
    /// second can come after its share.
    private static let rememberedSeconds: Int64 = 60
    /// The number of spans that are remembered at most, also if the clock starts again.
    private static let mostSpans = 60

    private(set) var excess = ExcessFailures()
    /// The numbers of judged requests.
    private(set) var candidateRequests: UInt64 = 0
    private(set) var baselineRequests: UInt64 = 0
    /// The failures of the baseline whose latency tick, which says how the second's requests were split, has not come
    /// yet, by second, ascending.
    private var waiting: [Waiting] = []
    private struct Waiting: Hashable, Codable, Sendable {
        var second: Int64
        var failures: Int
    }
    /// The candidate's share in the newest seconds, as spans of seconds with the same share. A latency tick comes before
    /// the error tick of its second if no check waits long for slow requests.
    private var shares: [Span] = []
    private struct Span: Hashable, Codable, Sendable {
        var first: Int64
        var last: Int64
        var share: Weight
    }
    /// True under sticky routing. A user is not assigned anew with each request, so no failure is put down to the
    /// baseline: all of the candidate's count.
    private let isKeyed: Bool

    init(isKeyed: Bool) { self.isKeyed = isKeyed }

    mutating func observe(_ tick: ErrorTick) {
        candidateRequests &+= UInt64(tick.requests(.candidate))
        baselineRequests &+= UInt64(tick.requests(.baseline))
        excess.observe(candidate: tick.tally(.candidate, .errors).hits)
        let failures = tick.tally(.baseline, .errors).hits
        guard failures > 0, !isKeyed else { return }
        if let known = shares.last(where: { $0.first <= tick.second && tick.second <= $0.last }) {
            return excess.observe(baseline: failures, share: known.share.fraction)
        }
        waiting.append(Waiting(second: tick.second, failures: failures))
        if waiting.count > Self.mostWaiting { waiting.removeFirst() }
    }

    mutating func observe(_ tick: LatencyTick) {
        guard !isKeyed else { return }
        for entry in waiting where entry.second == tick.second {
            excess.observe(baseline: entry.failures, share: tick.share.fraction)
        }
        waiting.removeAll { $0.second <= tick.second }
        if let newest = shares.last, newest.share == tick.share, newest.last &+ 1 == tick.second {
            shares[shares.count - 1].last = tick.second
        } else {
            shares.append(Span(first: tick.second, last: tick.second, share: tick.share))
        }
        shares.removeAll { $0.last < tick.second &- Self.rememberedSeconds }
        if shares.count > Self.mostSpans { shares.removeFirst() }
    }
}

extension SequentialJudge {
    /// The policy and the name of the result that shows excess failures, and its path.
    private static let harmNames = (policy: "canaryd", check: "excess-failures")
    public static let harmPath = "\(harmNames.policy)/\(harmNames.check)"

    /// The result of the harm budget; nil if the service limits no harm.
    public var harmResult: CheckResult? {
        guard let harm, let bound = risk.harm?.excessFailures ?? risk.promotion?.whenExcessFailuresAtMost else {
            return nil
        }
        let confidence = risk.harm?.confidence ?? HarmBudget.usualConfidence
        let most = harm.excess.upperBound(alpha: 1 - confidence, discount: profile.errorMode.proofDiscount)
        let isBeyond = most > Double(bound)
        let verdict: Verdict = !isBeyond ? .pass : risk.harm == nil ? .inconclusive : .fail
        let value = max(most.rounded(.up), 0)
        let measurement = Measurement(
            subject: "excess failures", unit: .plain, candidate: value, candidateSamples: harm.candidateRequests,
            baselineSamples: harm.baselineRequests, bound: Double(bound), value: value, verdict: verdict)
        var result = CheckResult(
            policy: Self.harmNames.policy, check: Self.harmNames.check, action: risk.harm == nil ? .notify : .pause,
            verdict: verdict, measured: verdict, measurements: [measurement], proven: verdict == .pass,
            missing: isBeyond && risk.harm != nil ? "the budget is used up, so only canaryctl promote promotes" : "")
        result.mostExcessFailures = most
        return result
    }
}
