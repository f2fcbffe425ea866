import PolicyModel
import Statistics
import Testing

@testable import Analysis

/// What must not look like a proof.
@Suite(.timeLimit(.minutes(15))) struct ProofTests {
    @Test("requests of the candidate that were given up between the two thresholds are slow, not absent")
    func givenUp() {
        func bucket(_ milliseconds: UInt32) -> Int { LatencyBuckets.index(milliseconds * 1000) }
        /// The baseline's P90 is 40 ms and may rise to 60: a third of the candidate's takes 50, or is given up then.
        func proof(isGivenUp: Bool) -> Double {
            var process = LatencyProcess(LatencyCheck(quantile: 0.9, maxIncrease: 0.5), mode: .counts(discount: 1))
            var profile = BaselineProfile()
            for second in 0..<300 as Range<Int64> {
                var tick = LatencyTick(second: second, step: 1, share: Weight(clamping: 5000))
                for i in 0..<20 {
                    tick.entries += [
                        LatencyEntry(.baseline, shard: i % 8, total: bucket(i < 17 ? 20 : 40)),
                        LatencyEntry(
                            .candidate, shard: i % 8, total: bucket(i < 14 ? 20 : 50), isCensored: isGivenUp && i >= 14),
                    ]
                }
                process.observe(tick, LatencyCounts(tick, .total), proof: LatencyCounts(tick, .total), profile)
                profile.observe(tick)
            }
            return process.proofEvidence
        }
        #expect(proof(isGivenUp: false) > ln(20))
        #expect(proof(isGivenUp: true) < 0)
    }

    @Test(
        "for a candidate that fails more often than it may, no number of further requests is named",
        arguments: [
            (ErrorsCheck(max: 0.02, maxIncrease: 0.5, floor: 0.0025), 20), (ErrorsCheck(max: 0.02), 20),
            (ErrorsCheck(maxIncrease: 0.5), 20), (ErrorsCheck(max: 0.02, maxIncrease: 0.5, floor: 0.0025), 3),
        ])
    func forecast(check: ErrorsCheck, failures: Int) {
        func needed(failures: Int) -> Double? {
            var process = ErrorsProcess(check, counted: .errors, mode: .counts(discount: 0.2), isKeyed: false)
            for second in 0..<10 as Range<Int64> {
                var tick = ErrorTick(second: second, step: 1)
                for i in 0..<20 {
                    tick.add(.baseline, shard: i % 8, .success)
                    tick.add(.candidate, shard: i % 8, i < failures ? 500 : .success)
                }
                process.observe(tick, firsts: nil)
            }
            return process.requestsNeeded(logThreshold: ln(20))
        }
        #expect(needed(failures: failures) == nil)
        #expect(needed(failures: 0) != nil)
    }

    @Test("groups beyond those that are judged keep the check from being proven, and it says so")
    func furtherGroups() throws {
        let check = QualityCheck(
            measure: .accuracy, groups: [GroupSelector(attribute: "city")], maxDrop: 0.5, minSamples: 10)
        let policy = Policy(name: "groups", checks: [Check(name: "accuracy", kind: .quality(check))])
        var judge = SequentialJudge([policy], risk: Risk(), isKeyed: false)
        judge.take(.latencies(LatencyTick(second: 1, step: 1, share: Weight(clamping: 5000))))
        func label(_ cities: Range<Int>) {
            judge.take(
                .rows(
                    cities.flatMap { city in
                        Arm.allCases.map {
                            QualityRow(
                                arm: $0, step: 1, label: 1, prediction: 1, score: nil, groups: ["city=\(city)"])
                        }
                    }))
        }
        func result() throws -> CheckResult {
            let empty = WindowSnapshot(observations: ObservationWindow(retention: .seconds(60), startedAt: 0))
            return try #require(judge.evaluate([policy], empty, now: 0).first)
        }
        for _ in 0..<40 { label(0..<GroupsProcess.maximumGroups) }
        let first = try result()
        #expect(first.proven && first.measurements.count == 64)
        label(64..<65)
        let more = try result()
        #expect(!more.proven && more.verdict == .noData)
        #expect(more.missing.contains("more than 64 groups"))
        #expect(more.measurements.first { $0.subject == "further groups" }?.verdict == .noData)
    }
}
