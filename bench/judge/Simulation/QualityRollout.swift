import Statistics

/// Rollouts judged by the recall of one group. 2 % of the requests are positives of the group, the baseline finds 60 % of
/// them, and the policy allows a drop of 5 points. Labels arrive at once. Only the sequential judge is simulated, because
/// no peer compares a group between arms.
enum QualityRollout {
    static let share = 0.02
    static let recall = 0.6
    static let margin = 0.05

    /// Simulates one rollout.
    /// - Parameter drop: the candidate's loss of recall.
    /// - Returns: the end of the rollout; its requests are the candidate's labeled positives.
    static func run(drop: Double, rate: Double, settings: SequentialSettings, random: inout Random) -> Ending {
        let budget = RiskBudget(alpha: settings.falseRevert)
        let weight = budget.weights([(.errors, 1), (.latency, 1), (.quality, 1)])[2]
        let revertAt = budget.logThreshold(weight: weight)
        let promoteAt = RiskBudget(alpha: settings.falsePromote).logThreshold(weight: 1)
        var process = BoundedMeanProcess(margin: margin, restarts: .standard)
        var proof = BoundedMeanProcess(margin: margin, null: .atLeast)
        var positives = 0
        var found = (candidate: Tally(), baseline: Tally())
        var means: [Poisson] = []
        var last = 0.0
        for second in 0..<Steps.deadline {
            let w = Steps.weight(at: second)
            if w != last {
                last = w
                let c = rate * share * w
                let b = rate * share * (1 - w)
                means = [
                    Poisson(c * (recall - drop)), Poisson(c * (1 - recall + drop)), Poisson(b * recall),
                    Poisson(b * (1 - recall)),
                ]
            }
            let k = means.map { random.poisson($0) }
            positives += k[0] + k[1]
            found.candidate += Tally(k[0], of: k[0] + k[1])
            found.baseline += Tally(k[2], of: k[2] + k[3])
            guard let c = found.candidate.rate, let b = found.baseline.rate else { continue }
            process.observe(b - c)
            if second >= Steps.end - Steps.seconds { proof.observe(b - c) }
            found = (Tally(), Tally())
            if process.logEvidence >= revertAt {
                return Ending(kind: .reverted, requests: positives, seconds: second)
            }
            if second >= Steps.end && proof.logEvidence >= promoteAt {
                return Ending(kind: .promoted, requests: positives, seconds: second)
            }
        }
        return Ending(kind: .undecided, requests: positives, seconds: Steps.deadline)
    }

    static func table(_ arguments: Arguments) -> String {
        var random = Random(seed: arguments.seed)
        var text =
            "| requests/s | drop | reverted / median of labeled positives | promoted |\n| --- | --- | --- | --- |\n"
        for rate in arguments.rates {
            for drop in [0, 0.03, 0.05, 0.1] {
                let runs = drop == 0 ? arguments.healthy : arguments.bad
                let cell = Cell(
                    (0..<runs).map { _ in
                        run(drop: drop, rate: rate, settings: SequentialSettings(), random: &random)
                    })
                let time = cell.medianPromotion.map { ", median \($0 / 60) min" } ?? ""
                text += "| \(rate) | \(Int(drop * 100)) points | \(cell.text) | "
                text += "\(percent(Double(cell.promoted) / Double(runs))) %\(time) |\n"
            }
        }
        return text
    }
}
