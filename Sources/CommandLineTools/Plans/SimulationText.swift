import Analysis
import PolicyModel
import PolicySimulation

/// Formats the result of a simulation for people.
enum SimulationText {
    static func lines(
        _ summary: SimulationSummary, _ plan: RolloutSimulation, isSame: Bool, note: String?
    ) -> [String] {
        var lines = [
            "\(Words.count(summary.rollouts)) rollouts at \(Measurement.decimals(plan.rate, 2)) requests/s, "
                + "each for at most \(Measurement.decimals(plan.maximumDuration.seconds / 3600, 1)) h",
            "  steps      " + plan.steps.map { "\($0.weight) for \($0.hold.written)" }.joined(separator: ", "),
            "  baseline   " + arm(plan.baseline),
            "  candidate  " + (isSame ? "the same" : arm(plan.candidate)),
            "",
            "reverted     \(share(summary.reverted))"
                + (isSame && summary.reverted.value > 0 ? ", all of them falsely" : ""),
        ]
        if let requests = summary.revertRequests, let seconds = summary.revertSeconds {
            lines.append("             after \(spread(requests)) requests to the candidate, \(times(seconds))")
        }
        if let requests = summary.pauseRequests, let seconds = summary.pauseSeconds {
            lines.append("paused       \(share(summary.paused))\(isSame ? ", all of them falsely" : "")")
            lines.append("             after \(spread(requests)) requests to the candidate, \(times(seconds))")
        }
        if !summary.checks.isEmpty {
            let checks = summary.checks.map { "\($0.check) \(part($0.rollouts, of: summary))" }
            lines.append("             by \(checks.joined(separator: ", "))")
        }
        lines.append("promoted     \(share(summary.promoted))")
        if let requests = summary.promotionRequests, let seconds = summary.promotionSeconds {
            lines.append("             after \(spread(requests)) requests to the candidate, \(times(seconds))")
        }
        lines.append("undecided    \(share(summary.undecided))")
        if let note { lines += ["", note] }
        return lines
    }

    private static func arm(_ traffic: ArmTraffic) -> String {
        "\(Words.percent(traffic.errors)) errors, P50 \(traffic.latency.p50.written), P95 \(traffic.latency.p95.written)"
    }

    static func share(_ share: EstimatedShare) -> String {
        "\(Words.percent(share.value)) (95 % interval \(Words.percent(share.low)) to \(Words.percent(share.high)))"
    }

    private static func spread(_ spread: SimulationSummary.Spread) -> String {
        "a median of \(Words.count(spread.median)) (P90 \(Words.count(spread.p90)))"
    }

    private static func times(_ spread: SimulationSummary.Spread) -> String {
        "\(Words.time(Double(spread.median))) (P90 \(Words.time(Double(spread.p90))))"
    }

    private static func part(_ count: Int, of summary: SimulationSummary) -> String {
        Words.percent(Double(count) / Double(summary.rollouts))
    }
}

/// The result of a simulation for scripts. Times are in seconds, shares 0 ... 1.
struct SimulationReport: Encodable {
    struct Share: Encodable {
        var value: Double
        var low: Double
        var high: Double

        init(_ share: EstimatedShare) {
            value = share.value
            low = share.low
            high = share.high
        }
    }

    struct Spread: Encodable {
        var median: Int
        var p90: Int

        init?(_ spread: SimulationSummary.Spread?) {
            guard let spread else { return nil }
            median = spread.median
            p90 = spread.p90
        }
    }

    struct CheckCount: Encodable {
        var check: String
        var rollouts: Int
    }

    var rollouts: Int
    var seed: UInt64
    var reverted: Share
    var paused: Share
    var promoted: Share
    var undecided: Share
    /// The checks that reverted or paused.
    var failedBy: [CheckCount]
    var requestsUntilRevert: Spread?
    var secondsUntilRevert: Spread?
    var requestsUntilPause: Spread?
    var secondsUntilPause: Spread?
    var requestsUntilPromotion: Spread?
    var secondsUntilPromotion: Spread?
    var leftOut: [String]

    init(_ summary: SimulationSummary, _ plan: RolloutSimulation, leftOut: [String]) {
        rollouts = summary.rollouts
        seed = plan.seed
        reverted = Share(summary.reverted)
        paused = Share(summary.paused)
        promoted = Share(summary.promoted)
        undecided = Share(summary.undecided)
        failedBy = summary.checks.map { CheckCount(check: $0.check, rollouts: $0.rollouts) }
        requestsUntilRevert = Spread(summary.revertRequests)
        secondsUntilRevert = Spread(summary.revertSeconds)
        requestsUntilPause = Spread(summary.pauseRequests)
        secondsUntilPause = Spread(summary.pauseSeconds)
        requestsUntilPromotion = Spread(summary.promotionRequests)
        secondsUntilPromotion = Spread(summary.promotionSeconds)
        self.leftOut = leftOut
    }
}
