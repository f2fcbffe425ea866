import PolicyModel
import Statistics
import TestSupport
import Testing

@testable import Analysis

/// What each bound of a latency check, and of an error check, asks of a candidate.
@Suite(.timeLimit(.minutes(15))) struct BoundTests {
    /// A judge, and the simulated traffic that it observes. A test chooses the latencies.
    private struct Traffic {
        var judge: SequentialJudge
        var random = SplitMix64(seed: 5)
        var second: Int64 = 1_000
        var step: UInt16 = 0
        /// Microseconds of one request.
        var latency: (Arm, inout SplitMix64) -> Double

        init(_ check: CheckKind, latency: @escaping (Arm, inout SplitMix64) -> Double) {
            self.latency = latency
            let policy = Policy(name: "p", checks: [Check(name: "c", kind: check)])
            judge = SequentialJudge([policy], risk: Risk(), isKeyed: false)
            run(600)
            judge = SequentialJudge([policy], risk: Risk(), isKeyed: false, profile: judge.profile)
            step = 1
        }

        /// What the check says is missing for a promotion.
        var missing: String { judge.states.map { judge.result(of: $0, policy: "p").missing }.joined() }

        /// - Returns: false once the check reverts.
        @discardableResult mutating func run(_ seconds: Int, rate: Int = 20) -> Bool {
            for _ in 0..<seconds {
                var errors = ErrorTick(second: second, step: step)
                var tick = LatencyTick(second: second, step: step, share: Weight(clamping: 5_000))
                for i in 0..<rate {
                    let arm: Arm = step > 0 && i % 2 == 0 ? .candidate : .baseline
                    let shard = Int.random(in: 0..<8, using: &random)
                    errors.add(arm, shard: shard, .success)
                    tick.assigned[Int(arm.rawValue)] += 1
                    let bucket = LatencyBuckets.index(UInt32(latency(arm, &random)))
                    tick.entries.append(LatencyEntry(arm, shard: shard, total: bucket))
                }
                judge.take(.errors(errors))
                judge.take(.latencies(tick))
                second += 1
                if judge.requiredChecks.reverts != nil { return false }
            }
            return true
        }
    }

    /// 40 to 200 ms, all alike, so that P95 is 192 ms.
    private static func uniform(_ random: inout SplitMix64) -> Double {
        Double.random(in: 40_000..<200_000, using: &random)
    }

    @Test(
        "a candidate above the ceiling is not promoted on `maxIncrease` alone, except with `unlessBaselineExceeds`",
        arguments: [false, true])
    func ceiling(isWaived: Bool) {
        // Both arms have a P95 of 192 ms, just above the ceiling.
        let check = LatencyCheck(
            quantile: 0.95, max: .milliseconds(190), maxIncrease: 0.15, unlessBaselineExceeds: isWaived)
        var traffic = Traffic(.latency(check)) { _, random in Self.uniform(&random) }
        let isFine = traffic.run(1_800)
        #expect(isFine)
        #expect(
            traffic.missing.contains("the baseline itself is too close to 'max'") == !isWaived, "\(traffic.missing)")
        #expect(traffic.judge.requiredChecks.isProven == isWaived)
    }

    @Test("a candidate above a ceiling that the baseline keeps is not promoted, even if it is within `maxIncrease`")
    func ceilingOfOne() {
        // P95 192 ms of the baseline, 204 ms of the candidate.
        let check = LatencyCheck(quantile: 0.95, max: .milliseconds(200), maxIncrease: 0.15)
        var traffic = Traffic(.latency(check)) { arm, random in Self.uniform(&random) * (arm == .candidate ? 1.0625 : 1)
        }
        var isProven = false
        for _ in 0..<120 where traffic.run(10) { isProven = isProven || traffic.judge.requiredChecks.isProven }
        #expect(!isProven)
    }

    @Test("a candidate below the ceiling is promoted once both bounds are proven")
    func bothProofs() {
        let check = LatencyCheck(quantile: 0.95, max: .milliseconds(250), maxIncrease: 0.15)
        var traffic = Traffic(.latency(check)) { _, random in Self.uniform(&random) }
        let isFine = traffic.run(1_200)
        #expect(isFine)
        #expect(traffic.judge.requiredChecks.isProven)
    }

    /// Half of the requests are hits of a cache, about 5 ms; the others take 40 to 200 ms.
    private static func bimodal(_ random: inout SplitMix64, hit: Double) -> Double {
        random.chance(0.5) ? hit * Double.random(in: 0.95..<1.05, using: &random) : uniform(&random)
    }

    @Test(
        "a check of P95 ignores a slower median; a check of the distribution reverts, unless its floor covers that",
        arguments: [
            (LatencyCheck(quantile: 0.95, maxIncrease: 0.15), true),
            (LatencyCheck(quantile: 0.9, isDistribution: true, maxIncrease: 0.15), false),
            (LatencyCheck(quantile: 0.9, isDistribution: true, maxIncrease: 0.15, floor: .milliseconds(5)), true),
        ])
    func median(check: LatencyCheck, isFine: Bool) {
        var traffic = Traffic(.latency(check)) { arm, random in
            Self.bimodal(&random, hit: arm == .candidate ? 6_500 : 5_000)
        }
        let kept = traffic.run(900)
        #expect(kept == isFine)
    }

    @Test("the ceiling of errors has to be proven too", arguments: [false, true])
    func errors(isWaived: Bool) {
        let check = ErrorsCheck(max: 0.01, maxIncrease: 0.5, unlessBaselineExceeds: isWaived)
        var process = ErrorsProcess(check, counted: .errors, mode: .counts(discount: 1), isKeyed: false)
        // Both arms fail 1 %: no worse than the baseline, and at the ceiling.
        for second in 0..<3_000 {
            var tick = ErrorTick(second: Int64(second), step: 1)
            for i in 0..<40 {
                let fails = i < 2 && second % 5 == i
                tick.add(i % 2 == 0 ? .candidate : .baseline, shard: i % 8, fails ? 500 : .success)
            }
            process.observe(tick, firsts: nil)
        }
        #expect((process.proofEvidence > ln(20)) == isWaived, "\(process.proofEvidence)")
        #expect(process.requestsNeeded(logThreshold: ln(20)) == (isWaived ? 0 : nil))
    }

    /// ln E of the proof after five quiet minutes, an incident of a minute in which both arms fail a tenth.
    private static func proofOverIncident(_ check: ErrorsCheck) -> Double {
        var process = ErrorsProcess(check, counted: .errors, mode: .counts(discount: 1), isKeyed: false)
        for second in 0..<360 {
            var tick = ErrorTick(second: Int64(second), step: 1)
            for i in 0..<40 {
                let fails = (300..<360).contains(second) && i / 2 % 10 == second % 10
                tick.add(i % 2 == 0 ? .candidate : .baseline, shard: i % 8, fails ? 500 : .success)
            }
            process.observe(tick, firsts: nil)
        }
        return process.proofEvidence
    }

    @Test("an incident of both arms does not prove equal odds, and does not undo the proof of the rate")
    func incidentOfErrors() {
        let odds = Self.proofOverIncident(ErrorsCheck(maxIncrease: 0.5, floor: 0))
        #expect(odds < ln(20), "\(odds)")
        let rate = Self.proofOverIncident(ErrorsCheck(max: 0.02))
        #expect(rate > ln(20), "\(rate)")
    }

    @Test("a slow minute of both arms does not undo the proof of the ceiling")
    func incidentOfLatency() {
        var second = 0
        let check = LatencyCheck(quantile: 0.95, max: .milliseconds(300))
        var process = LatencyProcess(check, mode: .counts(discount: 1))
        func observe(_ seconds: Int, milliseconds: UInt32) {
            for _ in 0..<seconds {
                var tick = LatencyTick(second: Int64(second), step: 1, share: Weight(clamping: 5000))
                for i in 0..<40 {
                    tick.entries.append(
                        LatencyEntry(
                            i % 2 == 0 ? .candidate : .baseline, shard: i % 8,
                            total: LatencyBuckets.index(1000 * (i < 2 && second % 20 == 0 ? 400 : milliseconds))))
                }
                let counts = LatencyCounts(tick, .total)
                process.observe(tick, counts, proof: counts, BaselineProfile())
                second += 1
            }
        }
        observe(300, milliseconds: 50)
        #expect(process.proofEvidence > ln(20))
        observe(60, milliseconds: 400)
        #expect(process.proofEvidence > ln(20), "\(process.proofEvidence)")
    }

    @Test("points of comparison stay while a stratum of the bets or of the proof is open", arguments: [true, false])
    func pointsBetweenStrata(isProofOpen: Bool) {
        var process = LatencyProcess(LatencyCheck(quantile: 0.9, maxIncrease: 0.5), mode: .counts(discount: 1))
        var profile = BaselineProfile()
        func tick(_ second: Int64, milliseconds: UInt32, _ arms: [Arm]) -> LatencyTick {
            var tick = LatencyTick(second: second, step: 1, share: Weight(clamping: 5000))
            for arm in arms {
                for i in 0..<40 {
                    let bucket = LatencyBuckets.index(1000 * milliseconds)
                    tick.entries.append(LatencyEntry(arm, shard: i % 8, total: bucket))
                }
            }
            return tick
        }
        for second in 0..<20 as Range<Int64> { profile.observe(tick(second, milliseconds: 100, [.baseline])) }
        var thresholds: Set<Double> = []
        for second in 20..<80 as Range<Int64> {
            let whole = LatencyCounts(tick(second, milliseconds: 200, Arm.allCases), .total)
            let half = LatencyCounts(tick(second, milliseconds: 200, [.baseline]), .total)
            process.observe(
                tick(second, milliseconds: 200, Arm.allCases), isProofOpen ? whole : half,
                proof: isProofOpen ? half : whole, profile)
            thresholds.insert(process.longestThreshold)
            for _ in 0..<5 { profile.observe(tick(second, milliseconds: 200, [.baseline])) }
        }
        #expect(thresholds.count == 1, "\(thresholds)")
    }

    @Test("a distribution is proven only if both P50 and P90 are", arguments: [1.0, 1.3])
    func bothQuantiles(slowness: Double) {
        var random = SplitMix64(seed: 4)
        var process = LatencyProcess(
            LatencyCheck(quantile: 0.9, isDistribution: true, maxIncrease: 0.15), mode: .counts(discount: 1))
        var profile = BaselineProfile()
        for second in 0..<600 as Range<Int64> {
            var tick = LatencyTick(second: second, step: 1, share: Weight(clamping: 5000))
            for i in 0..<40 {
                // Six in ten requests are cache hits, which are equally fast on both arms.
                let arm: Arm = i % 2 == 0 ? .candidate : .baseline
                let isHit = random.chance(0.6)
                let miss = Self.uniform(&random) * (arm == .candidate ? slowness : 1)
                let latency = isHit ? Double.random(in: 4_000..<6_000, using: &random) : miss
                tick.entries.append(LatencyEntry(arm, shard: i % 8, total: LatencyBuckets.index(UInt32(latency))))
            }
            let counts = LatencyCounts(tick, .total)
            process.observe(tick, counts, proof: counts, profile)
            profile.observe(tick)
        }
        #expect((process.proofEvidence > ln(20)) == (slowness == 1), "\(process.proofEvidence)")
    }
}
