import Analysis
import PolicyModel
import PolicySimulation
import Statistics

/// The result of pseudo-rollouts in which parts of a service's recorded traffic are compared with the rest of it. Times
/// are in seconds, shares 0 ... 1.
struct Calibration: Encodable {
    var service: String
    /// The usable length of the recorded history.
    var historySeconds: Int64
    /// The requests of the whole history, and the share of them that failed.
    var historyRequests: Int
    var errorRate: Double
    /// The number of pseudo-rollouts that fit into the history without overlap, at least 1.
    var disjointRollouts: Int
    /// The number of pseudo-rollouts, and of the times at which they start.
    var rollouts: Int
    var starts: Int
    /// The share of the rollouts in which a required check failed, so that they were reverted or paused.
    var failed: SimulationReport.Share
    var failedBy: [SimulationReport.CheckCount]
    /// The overdispersion φ̂; absent if there were too few errors, or requests, to estimate it.
    var errorOverdispersion: Double?
    var latencyOverdispersion: Double?
    /// How the judge counts errors and slow requests because of that, as text.
    var errorBets: String
    var latencyBets: String
    /// The accepted risk of a false revert.
    var falseRevert: Double
    /// True if more pseudo-rollouts failed than `falseRevert` accepts.
    var isTooHigh: Bool
    /// The paths of the checks that a calibration cannot judge.
    var leftOut: [String]

    init(
        _ service: String, _ summary: SimulationSummary, _ history: BaselineHistory, starts: Int, risk: Risk,
        leftOut: [String]
    ) {
        self.service = service
        historySeconds = history.usableSeconds
        historyRequests = history.requests
        errorRate = history.requests > 0 ? Double(history.errors) / Double(history.requests) : 0
        disjointRollouts = max(1, history.disjointRollouts)
        rollouts = summary.rollouts
        self.starts = starts
        // Overlapping pseudo-rollouts share requests and are not independent, so only as many count as fit without
        // overlap.
        let independent = Double(min(disjointRollouts, rollouts))
        let share = summary.reverted.value + summary.paused.value
        failed = SimulationReport.Share(EstimatedShare(hits: share * independent, of: independent))
        failedBy = summary.checks.map { SimulationReport.CheckCount(check: $0.check, rollouts: $0.rollouts) }
        errorOverdispersion = history.profile.errorOverdispersion
        latencyOverdispersion = history.profile.latencyOverdispersion
        errorBets = Self.words(history.profile.errorMode)
        latencyBets = Self.words(history.profile.latencyMode)
        falseRevert = risk.falseRevert
        isTooHigh = share > risk.falseRevert
        self.leftOut = leftOut
    }

    private static func words(_ mode: CountingMode) -> String {
        switch mode {
        case .counts(let discount) where discount >= 1: "each request counts"
        case .counts(let discount): "bets are raised to the power of \(Measurement.decimals(discount, 2))"
        case .ticks: "each second counts once"
        }
    }

    func lines(note: String?) -> [String] {
        func phi(_ value: Double?) -> String { value.map { "φ̂ \(Measurement.decimals($0, 1))" } ?? "φ̂ not known yet" }
        let half = Duration.seconds(BaselineHistory.rolloutLength).written
        var lines = [
            "\(service) against itself: \(Words.count(rollouts)) pseudo-rollouts of \(half), "
                + (starts == 1 ? "all begun at the same time" : "begun at \(starts) times"),
            "  history    \(Words.time(Double(historySeconds))), \(Words.count(historyRequests)) requests, "
                + "\(Words.percent(errorRate)) errors",
            "  errors     \(phi(errorOverdispersion)): \(errorBets)",
            "  latency    \(phi(latencyOverdispersion)): \(latencyBets)",
            "",
            "failed       \(Words.percent(failed.value)), reverted or paused, all of them falsely; the policy's risk is "
                + Words.percent(falseRevert),
            "             95 % interval \(Words.percent(failed.low)) to \(Words.percent(failed.high)): "
                + "pseudo-rollouts overlap,",
            "             and count as the \(disjointRollouts) that \(disjointRollouts == 1 ? "does" : "do") not"
                + (failed.high > 5 * falseRevert ? "; more history makes it narrower, best a day" : ""),
        ]
        if !failedBy.isEmpty {
            let parts = failedBy.map { "\($0.check) \(Words.percent(Double($0.rollouts) / Double(rollouts)))" }
            lines.append("             by \(parts.joined(separator: ", "))")
        }
        if isTooHigh { lines += ["", advice] }
        if let note { lines += ["", note] }
        return lines
    }

    /// Advice for the case that too many pseudo-rollouts failed.
    private var advice: String {
        let check = failedBy.first?.check ?? "the check"
        return "too many: widen \(check) (maxIncrease, floor or max), set it to action: notify while you look for what "
            + "makes requests fail or slow together, or lower analysis.risk.falseRevert of the service"
    }
}
