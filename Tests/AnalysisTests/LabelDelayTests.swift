import PolicyModel
import Statistics
import TestSupport
import Testing

@testable import Analysis

/// Labels that come later the worse a prediction was, over a change of the split.
@Suite(.timeLimit(.minutes(15))) struct LabelDelayTests {
    private static let check = QualityCheck(measure: .accuracy, maxDrop: 0.02, minSamples: 50)

    /// Rows of two equal arms in the order in which they come: right ones at once and wrong ones after ten minutes, or the
    /// other way round.
    private static func rows(seed: UInt64, isWrongLast: Bool = true) -> [QualityRow] {
        var random = SplitMix64(seed: seed)
        var rows: [(at: Int, row: QualityRow)] = []
        for second in 0..<3_600 {
            let step: UInt16 = second < 1_200 ? 1 : 2
            for _ in 0..<10 {
                let arm: Arm = random.chance(step == 1 ? 0.1 : 0.5) ? .candidate : .baseline
                let isRight = random.chance(0.8)
                let row = QualityRow(
                    arm: arm, step: step, label: 1, prediction: isRight ? 1 : 0, score: nil, groups: [])
                rows.append((second + (isRight == isWrongLast ? 0 : 600), row))
            }
        }
        return rows.enumerated().sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }.map(\.element.row)
    }

    // Where the right ones come last, the first labels after the change of the split are of wrong predictions of both arms,
    // and right ones of the earlier split, most of which the baseline made.
    @Test(
        "equal arms are not reverted because wrong, or right, predictions are labeled last", arguments: 1...5,
        [true, false])
    func delayByOutcome(seed: UInt64, isWrongLast: Bool) {
        var groups = GroupsProcess(Self.check)
        var most = -Double.infinity
        for row in Self.rows(seed: seed, isWrongLast: isWrongLast) {
            groups.observe([row], current: 2)
            most = max(most, groups.evidence.value)
        }
        #expect(most < ln(100), "\(most)")
        #expect(groups.groups[0].bounds[0].sinceStart.rows(.candidate) > 5_000)
    }

    @Test("labels of an earlier step's requests count for a revert and prove nothing", arguments: [1, 2])
    func earlierStep(step: UInt16) {
        var process = QualityProcess(.accuracy, margin: 0.1, isRise: false)
        for i in 0..<400 {
            let row = QualityRow(
                arm: i % 2 == 0 ? .baseline : .candidate, step: step, label: 1, prediction: 1, score: nil, groups: [])
            process.observe(row, current: 2)
        }
        #expect((process.proofEvidence > ln(20)) == (step == 2), "\(process.proofEvidence)")
        #expect(process.evidence < 0)
    }

    @Test("labels that come after the maturity hold a promotion until they are few", arguments: [0, 1, 40])
    func late(late: Int) throws {
        let check = QualityCheck(measure: .recall, maxDrop: 0.05, minSamples: 50, maturity: .seconds(60))
        let policy = Policy(name: "p", checks: [Check(name: "q", kind: .quality(check))])
        var judge = SequentialJudge([policy], risk: Risk(), isKeyed: false)
        let nothing = WindowSnapshot(observations: ObservationWindow(retention: .seconds(60), startedAt: 0))
        func take(_ arm: Arm, label: Int, prediction: Int, isLate: Bool) {
            judge.take(
                .rows([
                    QualityRow(
                        arm: arm, step: 0, label: label, prediction: prediction, score: nil, groups: [], isLate: isLate)
                ]))
        }
        func result() -> CheckResult { judge.evaluate([policy], nothing, now: 0)[0] }
        for i in 0..<2_000 { take(i % 2 == 0 ? .candidate : .baseline, label: 1, prediction: 1, isLate: false) }
        // Every missed positive of the candidate is labeled late.
        for _ in 0..<late { take(.candidate, label: 1, prediction: 0, isLate: true) }
        // Negatives do not belong to the population of recall.
        for _ in 0..<900 { take(.candidate, label: 0, prediction: 1, isLate: true) }
        #expect(result().proven == (late < 10))
        #expect(result().missing.contains("later than") == (late >= 10), "\(result().missing)")
        let measurement = result().measurements[0]
        #expect(measurement.candidate == 1, "late rows are not compared")
        #expect(measurement.verdict == (late < 10 ? .pass : .noData) && measurement.notes.isEmpty == (late < 10))
        // With the next step labels are counted anew.
        judge.take(.errors(ErrorTick(second: 1, step: 1)))
        for i in 0..<2_000 {
            judge.take(
                .rows([
                    QualityRow(
                        arm: i % 2 == 0 ? .candidate : .baseline, step: 1, label: 1, prediction: 1, score: nil,
                        groups: [])
                ]))
        }
        #expect(result().proven)
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
@Suite(.timeLimit(.minutes(15))) struct GroupEvidenceTests {
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

    private static func row(_ arm: Arm, step: UInt16, key: UInt32? = nil, _ groups: [String]) -> QualityRow {
        QualityRow(arm: arm, step: step, label: 1, prediction: 1, score: nil, groups: groups, key: key)
    }

    @Test("before anything was won the groups' evidence is 1, whether they are named or found")
    func wholeWealth() {
        var named = GroupsProcess(QualityCheck(measure: .accuracy, groups: Self.groups, maxDrop: 0.05))
        #expect(abs(named.evidence.value) < 1e-9)
        named.observe([Self.row(.baseline, step: 1, ["g=a"])], current: 1)
        #expect(abs(named.evidence.value) < 1e-9)
        var found = GroupsProcess(
            QualityCheck(measure: .accuracy, groups: [GroupSelector(attribute: "g")], maxDrop: 0.05))
        for group in ["g=a", "g=b", "g=c"] {
            found.observe([Self.row(.baseline, step: 1, [group])], current: 1)
            #expect(abs(found.evidence.value) < 1e-9, "\(group)")
        }
    }

    @Test("keys count once a step, and the bets of each step have their share of the risk", arguments: [true, false])
    func cohorts(isNamed: Bool) {
        let selectors = isNamed ? Self.groups : [GroupSelector(attribute: "g")]
        var process = GroupsProcess(
            QualityCheck(measure: .accuracy, groups: selectors, maxDrop: 0.05), isKeyed: true)
        func observe(_ keys: Range<UInt32>, step: UInt16) {
            let rows = keys.map { Self.row($0 % 2 == 0 ? .baseline : .candidate, step: step, key: $0, ["g=a"]) }
            process.observe(rows, current: step)
        }
        observe(0..<1, step: 1)
        #expect(abs(process.evidence.value + ln(2)) < 1e-9, "half of the risk")
        observe(0..<40, step: 1)
        observe(0..<40, step: 1)
        let a = process.groups[0].bounds[0]
        #expect(a.sinceStart.rows(.baseline) == 20 && a.sinceStart.rows(.candidate) == 20)
        #expect(process.evidence.value < -ln(2), "equal rows lose")
        observe(0..<1, step: 2)
        #expect(abs(process.evidence.value + ln(6)) < 1e-9, "a sixth, and the bets begin anew")
        #expect(process.groups[0].bounds[0].sinceStart.rows(.baseline) == 21)
        // A label of the step before is too late for its bets.
        observe(100..<140, step: 1)
        #expect(process.groups[0].bounds[0].sinceStart.rows(.baseline) == 21)
    }
}
