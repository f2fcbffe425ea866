import PolicyModel
import Statistics
import TestSupport
import Testing

@testable import Analysis

/// Labels that come later the worse a prediction was, over a change of the split.
@Suite struct LabelDelayTests {
    private static let check = QualityCheck(measure: .accuracy, maxDrop: 0.02, minSamples: 50)

    /// Rows of two equal arms in the order in which they come: right ones at once, wrong ones after ten minutes.
    private static func rows(seed: UInt64) -> [QualityRow] {
        var random = SplitMix64(seed: seed)
        var rows: [(at: Int, row: QualityRow)] = []
        for second in 0..<3_600 {
            let step: UInt16 = second < 1_200 ? 1 : 2
            for _ in 0..<10 {
                let arm: Arm = random.chance(step == 1 ? 0.1 : 0.5) ? .candidate : .baseline
                let isRight = random.chance(0.8)
                let row = QualityRow(
                    arm: arm, step: step, label: 1, prediction: isRight ? 1 : 0, score: nil, groups: [])
                rows.append((second + (isRight ? 0 : 600), row))
            }
        }
        return rows.enumerated().sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }.map(\.element.row)
    }

    @Test("equal arms are not reverted because wrong predictions are labeled last", arguments: 1...5)
    func delayByOutcome(seed: UInt64) {
        var groups = GroupsProcess(Self.check)
        var most = -Double.infinity
        for row in Self.rows(seed: seed) {
            groups.observe([row], current: 2)
            most = max(most, groups.evidence.value)
        }
        #expect(most < ln(100), "\(most)")
        #expect(groups.groups[0].bounds[0].sinceStart.rows(.candidate) > 5_000)
    }

    @Test("a real drop is found over the same delays")
    func drop() {
        var groups = GroupsProcess(Self.check)
        for var row in Self.rows(seed: 1) {
            if row.arm == .candidate, row.prediction == 1, row.label == 1, groups.groups[0].bounds[0].sinceStart.rows(.candidate) % 4 == 0
            {
                row.prediction = 0
            }
            groups.observe([row], current: 2)
        }
        #expect(groups.evidence.value > ln(400))
    }
}
