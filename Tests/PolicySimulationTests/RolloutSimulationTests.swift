import Analysis
import PolicyModel
import Statistics
import Testing

@testable import PolicySimulation

@Suite("Simulated rollouts", .timeLimit(.minutes(15)))
struct RolloutSimulationTests {
    private static func plan(candidateErrors: Double, rate: Double = 10) -> RolloutSimulation {
        let errors = Check(name: "error-rate", kind: .errors(ErrorsCheck(maxIncrease: 0.5, floor: 0.002)))
        let latency = LatencyShape(p50: .milliseconds(40), p95: .milliseconds(90))
        var plan = RolloutSimulation(
            policies: [Policy(name: "p", checks: [errors])],
            steps: [10, 25, 50].map { (Weight(clamping: $0 * 100), .seconds(600)) }, rate: rate,
            baseline: ArmTraffic(errors: 0.001, latency: latency),
            candidate: ArmTraffic(errors: candidateErrors, latency: latency))
        plan.maximumDuration = .seconds(1800)
        return plan
    }

    @Test("a Poisson number has its mean as its variance, small or large", arguments: [0.3, 4.0, 40.0])
    func poisson(mean: Double) {
        var random = SeededGenerator(seed: 5)
        let n = 40_000
        let draws = (0..<n).map { _ in Double(random.poisson(mean)) }
        let average = draws.reduce(0, +) / Double(n)
        let variance = draws.reduce(0) { $0 + ($1 - average) * ($1 - average) } / Double(n)
        // Five standard errors.
        #expect(abs(average - mean) < 5 * (mean / Double(n)).squareRoot())
        #expect(abs(variance - mean) < 5 * mean * (3 / Double(n)).squareRoot() + 0.02)
    }

    @Test("the latencies of the table have the quantiles of their shape, to within a bucket")
    func latencies() {
        let table = LatencyTable(LatencyShape(p50: .milliseconds(40), p95: .milliseconds(90)))
        let count = UInt64(1) << LatencyTable.bits
        let sorted = (0..<count).map { table[$0] }.sorted()
        #expect(abs(sorted[Int(count) / 2] - LatencyBuckets.index(40_000)) <= 1)
        #expect(abs(sorted[Int(count) * 95 / 100] - LatencyBuckets.index(90_000)) <= 1)
        #expect(abs(LatencyTable.normalQuantile(0.95) - LatencySampler.normalP95) < 1e-8)
        #expect(abs(LatencyTable.normalQuantile(0.001) + 3.090232306167813) < 1e-7)
    }

    @Test("a rollout that a check pauses ends as paused, by that check and as late as a revert would be")
    func pauses() {
        var plan = Self.plan(candidateErrors: 0.2)
        let reverted = SimulationSummary((0..<8).map(plan.prepare(rollouts: 8).simulate))
        #expect(reverted.reverted.value == 1 && reverted.paused.value == 0 && reverted.pauseRequests == nil)
        plan.policies[0].checks[0].action = .pause
        let paused = SimulationSummary((0..<8).map(plan.prepare(rollouts: 8).simulate))
        #expect(paused.reverted.value == 0 && paused.paused.value == 1 && paused.undecided.value == 0)
        #expect(paused.checks.map(\.check) == ["p/error-rate"] && paused.checks.map(\.rollouts) == [8])
        #expect(paused.pauseRequests == reverted.revertRequests && paused.pauseSeconds == reverted.revertSeconds)
    }

    @Test("ticks have the intended rate, share and errors in all sub-shards")
    func ticks() {
        var plan = Self.plan(candidateErrors: 0.2, rate: 50)
        plan.policies[0].checks.append(
            Check(name: "latency", kind: .latency(LatencyCheck(quantile: 0.95, maxIncrease: 0.1))))
        let generator = TickGenerator(plan)
        var random = SeededGenerator(seed: 3)
        var sum = Stratum()
        var slowest = 0
        var shards = [Int](repeating: 0, count: ErrorTick.shards)
        for second in 0..<4000 {
            let tick = generator.tick(second: Int64(second), step: 1, share: Weight(clamping: 2500), &random)
            sum += tick.errors.stratum(.errors)
            for shard in shards.indices { shards[shard] += tick.errors.tally(.candidate, shard: shard, .errors).trials }
            slowest += tick.latencies?.entries.count { $0.bucket(.total).bucket == LatencyEntry.slowest } ?? 0
        }
        // 200,000 requests, a quarter of them to the candidate.
        #expect(abs(sum.candidate.trials - 50_000) < 1200)
        #expect(abs(sum.baseline.trials - 150_000) < 2000)
        #expect(abs(sum.candidate.hits - 10_000) < 500)
        #expect(abs(sum.baseline.hits - 150) < 65)
        #expect(slowest == sum.candidate.hits + sum.baseline.hits)
        #expect(shards.allSatisfy { abs($0 - 6250) < 400 })
    }

    @Test("the same seed gives the same rollouts, another seed different ones")
    func determinism() {
        func ends(_ seed: UInt64) -> [SimulatedRollout] {
            var plan = Self.plan(candidateErrors: 0.05)
            plan.baselineHistory = .seconds(1800)
            plan.baselines = 2
            plan.seed = seed
            let prepared = plan.prepare(rollouts: 4)
            return (0..<20).map { prepared.simulate($0) }
        }
        let first = ends(1)
        #expect(first == ends(1))
        #expect(first != ends(2))
    }

    @Test("5 % errors against .1 % at 10 requests/s revert after about 100 requests where the baseline is known")
    func knownCell() {
        var plan = Self.plan(candidateErrors: 0.05)
        plan.baselineHistory = .seconds(6 * 3600)
        plan.baselines = 2
        let prepared = plan.prepare(rollouts: 200)
        #expect(prepared.profiles.allSatisfy { $0.errorOverdispersion != nil })
        let summary = SimulationSummary((0..<200).map { prepared.simulate($0) })
        #expect(summary.reverted.value == 1)
        #expect(summary.checks.map(\.check) == ["p/error-rate"])
        let median = summary.revertRequests?.median ?? 0
        #expect((60...140).contains(median), "\(median)")
    }

    @Test("an equal candidate is not reverted, and is proven after enough requests")
    func sound() {
        var plan = Self.plan(candidateErrors: 0.001, rate: 100)
        plan.maximumDuration = .seconds(7200)
        plan.baselines = 1
        let prepared = plan.prepare(rollouts: 8)
        let summary = SimulationSummary((0..<8).map { prepared.simulate($0) })
        #expect(summary.reverted.value == 0)
        #expect(summary.promoted.value > 0.9)
        #expect(summary.promotionSeconds?.median ?? 0 >= 1800)
    }

    @Test("the interval of a share is that of Clopper and Pearson")
    func interval() {
        let none = EstimatedShare(hits: 0, of: 400)
        #expect(none.low == 0 && abs(none.high - 0.009179966) < 1e-6)
        let some = EstimatedShare(hits: 10, of: 100)
        #expect(abs(some.low - 0.04900469) < 1e-6 && abs(some.high - 0.1762226) < 1e-6)
    }
}
