import PolicyModel
import Statistics
import TestSupport
import Testing

@testable import Analysis

/// Labels that come later the worse a prediction was, over a change of the split.
@Suite(.timeLimit(.minutes(45))) struct LabelDelayTests {
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
            let count = groups.groups[0].bounds[0].sinceStart.rows(.candidate)
            if row.arm == .candidate, row.prediction == 1, count % 4 == 0 { row.prediction = 0 }
            groups.observe([row], current: 2)
        }
        #expect(groups.evidence.value > ln(400))
    }
}

/// The evidence of several groups of one check.
@Suite(.timeLimit(.minutes(45))) struct GroupEvidenceTests {
    private static let groups = ["a", "b", "c", "d"].map { GroupSelector(attribute: "g", value: $0) }
    private static let policy = Policy(
        name: "p",
        checks: [
            Check(
                name: "q",
                kind: .quality(QualityCheck(measure: .accuracy, groups: groups, maxDrop: 0.05, minSamples: 20)))
        ])

    /// Rows until the check fails; nil if it does not within 20,000. Each group is right in 90 of 100.
    private static func rowsToRevert(harmed: Set<String>) -> (rows: Int, failing: [String])? {
        var random = SplitMix64(seed: 3)
        var judge = SequentialJudge([policy], risk: Risk(), isKeyed: false)
        let nothing = WindowSnapshot(observations: ObservationWindow(retention: .seconds(60), startedAt: 0))
        for i in 0..<20_000 {
            let arm: Arm = i % 2 == 0 ? .candidate : .baseline
            let group = groups[i / 2 % 4].value!
            let isRight = random.chance(arm == .candidate && harmed.contains(group) ? 0.75 : 0.9)
            judge.take(
                .rows([
                    QualityRow(
                        arm: arm, step: 1, label: 1, prediction: isRight ? 1 : 0, score: nil, groups: ["g=\(group)"])
                ]))
            guard i % 20 == 19, let evidence = judge.evidence.first?.evidence, evidence.value >= evidence.revertAt
            else { continue }
            let result = judge.evaluate([policy], nothing, now: 0)[0]
            return (i, result.measurements.filter { $0.verdict == .fail }.map(\.subject))
        }
        return nil
    }

    @Test("one harmed group reverts, several revert sooner, and the check names one of them")
    func merged() throws {
        #expect(Self.rowsToRevert(harmed: []) == nil)
        let one = try #require(Self.rowsToRevert(harmed: ["b"]))
        #expect(one.failing == ["g=b"])
        let all = try #require(Self.rowsToRevert(harmed: ["a", "b", "c", "d"]))
        #expect(!all.failing.isEmpty)
        #expect(all.rows < one.rows * 9 / 10, "\(all.rows) against \(one.rows)")
    }
}
