import PolicyModel
import Statistics
import TestSupport
import Testing

@testable import Analysis

/// The intervals that the judge shows beside its verdicts.
@Suite(.timeLimit(.minutes(15))) struct DifferenceTests {
    private static let policy = Policy(
        name: "p",
        checks: [
            Check(name: "errors", kind: .errors(ErrorsCheck(max: 0.2, maxIncrease: 0.5))),
            Check(
                name: "latency", kind: .latency(LatencyCheck(quantile: 0.9, isDistribution: true, maxIncrease: 0.15))),
            Check(name: "drop", kind: .quality(QualityCheck(measure: .recall, maxDrop: 0.05, minSamples: 50))),
            Check(
                name: "rise",
                kind: .quality(QualityCheck(measure: .score, range: ScoreRange(0, 100), maxRise: 10, minSamples: 50))),
        ])

    /// Ten minutes of 40 requests/s, half of them the candidate's, which fails 3 % instead of 1 %, takes 1.3 times as
    /// long, finds 70 instead of 80 of 100 positives, and scores 5 of 100 higher.
    private static func judge(isKeyed: Bool) -> [String: [Measurement]] {
        var random = SplitMix64(seed: 5)
        var profile = BaselineProfile([policy])
        func ticks(_ second: Int64, step: UInt16) -> (ErrorTick, LatencyTick) {
            var errors = ErrorTick(second: second, step: step)
            var tick = LatencyTick(second: second, step: step, share: Weight(clamping: 5_000))
            for i in 0..<40 {
                let arm: Arm = i % 2 == 1 && step > 0 ? .candidate : .baseline
                errors.add(arm, shard: i % 8, random.chance(arm == .candidate ? 0.03 : 0.01) ? 500 : .success)
                let latency = Double.random(in: 20_000..<60_000, using: &random) * (arm == .candidate ? 1.3 : 1)
                tick.entries.append(LatencyEntry(arm, shard: i % 8, total: LatencyBuckets.index(UInt32(latency))))
                if isKeyed { tick.keys.append(UInt32(40 * second) + UInt32(i)) }
            }
            return (errors, tick)
        }
        for second in 0..<60 as Range<Int64> {
            let (errors, tick) = ticks(second, step: 0)
            profile.observe(errors)
            profile.observe(tick)
        }
        var judge = SequentialJudge([policy], risk: Risk(), isKeyed: isKeyed, profile: profile)
        for second in 60..<660 as Range<Int64> {
            let (errors, tick) = ticks(second, step: 1)
            judge.take(.errors(errors))
            judge.take(.latencies(tick))
            judge.take(
                .rows(
                    [Arm.baseline, .candidate].map { arm in
                        QualityRow(
                            arm: arm, step: 1, label: 1,
                            prediction: random.chance(arm == .candidate ? 0.7 : 0.8) ? 1 : 0,
                            score: Double.random(in: 40..<60, using: &random) + (arm == .candidate ? 5 : 0), groups: [])
                    }))
        }
        let nothing = WindowSnapshot(observations: ObservationWindow(retention: .seconds(60), startedAt: 0))
        let results = judge.evaluate([policy], nothing, now: 0)
        return Dictionary(uniqueKeysWithValues: results.map { ($0.check, $0.measurements) })
    }

    @Test("differences have intervals in the unit of the measurement that hold the truth and exclude zero")
    func intervals() throws {
        let measured = Self.judge(isKeyed: false)
        func expect(_ check: String, holds truth: Double, widerThan least: Double, at most: Double) throws {
            for m in try #require(measured[check]) {
                let difference = try #require(m.difference, "\(check) \(m.subject)")
                let width = difference.high - difference.low
                #expect(difference.low <= truth && truth <= difference.high, "\(check): \(difference)")
                #expect(width > least && width < most, "\(check): \(difference)")
                #expect(difference.low > 0 || difference.high < 0, "\(check): \(difference)")
            }
        }
        try expect("errors", holds: 0.02, widerThan: 0.002, at: 0.03)
        // 1.3 times 56 ms, the ninetieth percentile.
        try expect("latency", holds: 0.3 * 0.056, widerThan: 0.001, at: 0.02)
        try expect("drop", holds: -0.1, widerThan: 0.05, at: 0.3)
        try expect("rise", holds: 5, widerThan: 0.5, at: 15)
    }

    @Test("requests of sticky users are no independent observations, and have no intervals")
    func keyed() {
        let differences = Self.judge(isKeyed: true).values.flatMap { $0 }.compactMap(\.difference)
        #expect(differences.isEmpty)
    }
}
