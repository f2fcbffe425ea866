import Analysis
import PolicyModel
import PolicySimulation

/// A forecast, from simulated rollouts, of what the written policy does with traffic like that of the sample.
struct Forecast {
    /// An error rate at which every operator wants a revert.
    static let badErrors = 0.05
    /// How long the agent observed the baseline before the rollouts for which that is assumed.
    private static let baselineHistory = Duration.seconds(2 * 3600)
    /// The number of simulated rollouts and the maximum duration of each, chosen so that the forecast takes seconds.
    private static let rollouts = 100
    private static let longest = Duration.seconds(6 * 3600)
    /// The request rate per second above which fewer rollouts are simulated.
    private static let fullRate = 100.0

    var lines: [String]

    init(_ policy: Policy, _ sample: BaselineSample, _ bounds: ProposedBounds) {
        guard sample.isEnough else {
            lines = [
                "How long a proof takes cannot be said from that; canaryctl policy simulate says it for the rate that you "
                    + "expect."
            ]
            return
        }
        let p50 = sample.p50 ?? 0.04
        let p95 = max(sample.p95 ?? 0.09, p50)
        let latency = LatencyShape(
            p50: .nanoseconds(Int64(saturating: p50 * 1e9)), p95: .nanoseconds(Int64(saturating: p95 * 1e9)))
        func plan(_ errors: Double, history: Duration) -> RolloutSimulation {
            var plan = RolloutSimulation(
                policies: [policy], steps: [10, 25, 50, 90].map { (Weight(clamping: $0 * 100), .seconds(600)) },
                rate: sample.rate, baseline: ArmTraffic(errors: sample.errorRate, latency: latency),
                candidate: ArmTraffic(errors: errors, latency: latency))
            plan.maximumDuration = Self.longest
            plan.baselines = 2
            plan.baselineHistory = history
            return plan
        }
        let count = max(10, Int(Double(Self.rollouts) * min(1, Self.fullRate / sample.rate)))
        let sound = plan(sample.errorRate, history: .zero).summary(rollouts: max(10, count / 2))
        let badErrors = max(Self.badErrors, sample.errorRate * 4)
        let bad = plan(badErrors, history: .zero).summary(rollouts: count)
        let known = plan(badErrors, history: Self.baselineHistory).summary(rollouts: count)
        var text = ""
        if let seen = sample.p95Text, let p95 = bounds.p95 {
            text = "Your \(seen); ceiling \(p95.written); at"
        } else {
            text = "At"
        }
        text += " \(Words.rate(sample.rate)) requests/s "
        if let time = sound.promotionSeconds, sound.promoted.value >= 0.5 {
            text += "proof takes about \(Words.span(Double(time.median)))"
        } else {
            text += "proof takes more than \(Self.longest.written)"
        }
        let rate = Words.percent(badErrors)
        if let requests = bad.revertRequests, bad.reverted.value >= 0.5 {
            text +=
                "; a \(rate) error rate would be reverted after about \(Words.count(Self.rounded(requests.median)))"
                + " requests to the new version"
            // The judge is more careful while it does not know how the old version's failures cluster.
            if let later = known.revertRequests, 4 * later.median < 3 * requests.median {
                text +=
                    ", after about \(Words.count(Self.rounded(later.median))) where the agent has seen "
                    + "\(Words.span(Self.baselineHistory.seconds)) of the old one's traffic before (add candidate: then)"
            }
            text += "."
        } else {
            text += "; a \(rate) error rate would not be found within \(Self.longest.written)."
        }
        lines = [text, "(simulated: \(count) rollouts of each kind, requests that fail independently)"]
    }

    /// Rounds to two significant digits, for texts that say `about`.
    static func rounded(_ value: Int) -> Int {
        var scale = 1
        while value / scale >= 100 { scale *= 10 }
        return (value + scale / 2) / scale * scale
    }
}

extension Words {
    /// A time such as `25 minutes` or `3 hours`.
    static func span(_ seconds: Double) -> String {
        if seconds < 5400 { return count(max(1, Int(saturating: seconds / 60)), "minute") }
        return "\(Measurement.decimals(seconds / 3600, 1)) hours"
    }
}
