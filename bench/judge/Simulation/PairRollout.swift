import Glibc
import Statistics

/// The paired process: both arms respond to the same request, as with mirrored traffic, and a label says which of them is
/// right. Measures the number of labeled positives until a drop of recall is found, and how often a candidate at the margin is
/// reverted.
enum PairRollout {
    /// The largest allowed drop of recall.
    private static let margin = 0.05
    /// The evidence that a check of the quality of a group needs for a revert under policies/standard.yaml and
    /// policies/sensitive-groups.yaml together.
    private static let needed = 800.0
    /// The labeled positives after which a rollout ends.
    private static let most = 20_000
    /// The share of requests on which the arms may disagree, where there are no labels.
    private static let mostDisagreeing = 0.05

    /// The shares of positives that only the baseline finds, and that only the candidate finds.
    private struct Cell {
        var lost: Double
        var gained: Double
        var isSound: Bool { lost - gained <= PairRollout.margin + 1e-9 }
    }

    private static let cells = [
        Cell(lost: 0.03, gained: 0.03), Cell(lost: 0.05, gained: 0), Cell(lost: 0.07, gained: 0.02),
        Cell(lost: 0.15, gained: 0.1), Cell(lost: 0.1, gained: 0), Cell(lost: 0.12, gained: 0.02),
        Cell(lost: 0.2, gained: 0.1), Cell(lost: 0.2, gained: 0),
    ]

    static func table(_ arguments: Arguments) -> String {
        var random = Random(seed: arguments.seed)
        var lines = [
            "| only the baseline right | only the candidate right | rollouts | reverted | median positives | nine of ten within |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for cell in cells {
            let rollouts = cell.isSound ? arguments.healthy : arguments.bad
            let found = (0..<rollouts).compactMap { _ in positives(cell, &random) }.sorted()
            lines.append(
                "| \(percent(cell.lost)) | \(percent(cell.gained)) | \(rollouts) | \(found.count) | "
                    + "\(quantile(0.5, found, of: rollouts)) | \(quantile(0.9, found, of: rollouts)) |")
        }
        lines += [
            "", "Disagreement without labels, at most \(percent(mostDisagreeing)):", "",
            "| disagree | rollouts | reverted | median pairs | nine of ten within |", "| --- | --- | --- | --- | --- |",
        ]
        for rate in [0.04, 0.05, 0.075, 0.1, 0.2] {
            let rollouts = rate <= mostDisagreeing ? arguments.healthy : arguments.bad
            let found = (0..<rollouts).compactMap { _ in pairs(disagreeing: rate, &random) }.sorted()
            lines.append(
                "| \(percent(rate)) | \(rollouts) | \(found.count) | \(quantile(0.5, found, of: rollouts)) | "
                    + "\(quantile(0.9, found, of: rollouts)) |")
        }
        return lines.joined(separator: "\n")
    }

    /// - Returns: the number of labeled positives until the revert; nil if there is none.
    private static func positives(_ cell: Cell, _ random: inout Random) -> Int? {
        var process = BoundedMeanProcess(margin: margin, restarts: .standard)
        return (1...most).first { _ in
            let draw = random.uniform()
            process.observe(draw < cell.lost ? 1 : draw < cell.lost + cell.gained ? -1 : 0)
            return process.logEvidence >= ln(needed)
        }
    }

    /// - Returns: the number of pairs until a revert for disagreement; nil if there is none.
    private static func pairs(disagreeing rate: Double, _ random: inout Random) -> Int? {
        var bank = Bank(BankSettings(alternatives: Alternatives.worse.count))
        return (1...most).first { _ in
            let pair = Tally(random.uniform() < rate ? 1 : 0, of: 1)
            bank.observe {
                exp(RateCeiling.logLikelihoodRatio(pair, oddsBy: Alternatives.worse[$0], against: mostDisagreeing))
            }
            return bank.logEvidence >= ln(needed)
        }
    }

    private static func quantile(_ p: Double, _ found: [Int], of rollouts: Int) -> String {
        let place = Int((p * Double(rollouts)).rounded(.up)) - 1
        return found.indices.contains(place) ? "\(found[place])" : "never"
    }

    private static func percent(_ share: Double) -> String { "\((share * 1000).rounded() / 10) %" }
}
