import Analysis
import PolicyModel
import Statistics
import Testing
import Vocabulary

@testable import PolicySimulation

@Suite("A baseline against itself", .timeLimit(.minutes(15)))
struct BaselineHistoryTests {
    private static let policy = Policy(
        name: "p",
        checks: [
            Check(name: "error-rate", kind: .errors(ErrorsCheck(maxIncrease: 0.5, floor: 0.002))),
            Check(name: "latency", kind: .latency(LatencyCheck(quantile: 0.95, maxIncrease: 0.3))),
        ])

    /// At 20 requests/s; in each `storm`th minute one sub-shard's requests of ten seconds fail.
    private static func items(seconds: Int64, storm: Int64? = nil, from begin: Int64 = 5_000) -> [JudgedItem] {
        let latency = LatencyShape(p50: .milliseconds(40), p95: .milliseconds(90))
        let plan = RolloutSimulation(
            policies: [policy], steps: [(.zero, .seconds(1))], rate: 20,
            baseline: ArmTraffic(errors: 0.005, latency: latency), candidate: ArmTraffic(latency: latency))
        let generator = TickGenerator(plan)
        var random = SeededGenerator(seed: 11)
        var items: [JudgedItem] = []
        for second in begin..<begin + seconds {
            var tick = generator.tick(second: second, step: 0, share: .zero, &random)
            let minute = (second - begin) / 60
            if let storm, minute % storm == 0, (second - begin) % 60 < 10 {
                let shard = Int(TrafficSplit.mix(UInt64(minute)) & 7)
                tick.errors.responses[shard] = ResponseCounts()
                tick.errors.responses[shard].add(500, UInt64(tick.errors.trials[shard]))
            }
            items.append(.errors(tick.errors))
            if let latencies = tick.latencies { items.append(.latencies(latencies)) }
        }
        return items
    }

    private static func simulate(_ history: BaselineHistory, _ count: Int) throws -> SimulationSummary {
        let prepared = try #require(history.prepare([policy], risk: Risk()))
        return SimulationSummary((0..<count).map { prepared.simulate($0, seed: 1) })
    }

    @Test("independent failures cause no revert, and each request counts")
    func independent() throws {
        let history = BaselineHistory(Self.items(seconds: 6000))
        #expect(history.profile.errorOverdispersion ?? 9 < CountingMode.independent)
        #expect(history.disjointRollouts == 3)
        let summary = try Self.simulate(history, 40)
        #expect(summary.reverted.value == 0)
    }

    @Test("storms in one sub-shard show as overdispersion, and the judge keeps its risk")
    func clustering() throws {
        let history = BaselineHistory(Self.items(seconds: 6000, storm: 2))
        #expect(history.profile.errorOverdispersion ?? 0 > CountingMode.clustered)
        let summary = try Self.simulate(history, 40)
        // A judge that took each failure for independent would revert most of these.
        #expect(summary.reverted.value <= 0.05, "\(summary.checks)")
    }

    @Test("a sub-shard that always fails reverts when it becomes the candidate: real differences are not hidden")
    func different() throws {
        var items = Self.items(seconds: 6000)
        for i in items.indices {
            if case .errors(var tick) = items[i], tick.second > 5_700 {
                tick.responses[3] = ResponseCounts()
                tick.responses[3].add(500, UInt64(tick.trials[3]))
                items[i] = .errors(tick)
            }
        }
        let history = BaselineHistory(items)
        let prepared = try #require(history.prepare([Self.policy], risk: Risk()))
        // The first pseudo-rollouts know the baseline from before.
        let ends = (0..<64).map { prepared.simulate($0 * prepared.startCount, seed: 2) }
        #expect(ends.contains { if case .reverted = $0.end { true } else { false } })
    }

    @Test("too little history is refused, and a gap divides the history")
    func tooLittle() {
        let least = BaselineHistory.minimumSeconds
        #expect(BaselineHistory([]).prepare([Self.policy], risk: Risk()) == nil)
        let short = BaselineHistory(Self.items(seconds: least - 1))
        #expect(short.prepare([Self.policy], risk: Risk()) == nil && short.seconds == least - 1)
        let two = Self.items(seconds: least / 2) + Self.items(seconds: least / 2, from: 50_000)
        let divided = BaselineHistory(two)
        #expect(divided.seconds == least && divided.usableSeconds == 0)
        // The clock begins anew with the machine.
        let again = BaselineHistory(Self.items(seconds: least, from: 90_000) + Self.items(seconds: least, from: 10))
        #expect(again.usableSeconds == 2 * least && again.disjointRollouts == 2)
    }

    @Test("the recording of a rollout is judged by other policies, and a stricter one reverts")
    func replay() {
        let latency = LatencyShape(p50: .milliseconds(40), p95: .milliseconds(90))
        let plan = RolloutSimulation(
            policies: [Self.policy], steps: [(.zero, .seconds(1))], rate: 40,
            baseline: ArmTraffic(errors: 0.01, latency: latency),
            candidate: ArmTraffic(errors: 0.05, latency: latency))
        let generator = TickGenerator(plan)
        var random = SeededGenerator(seed: 4)
        var items: [JudgedItem] = []
        for second in 0..<Int64(900) {
            let tick = generator.tick(second: second, step: 1, share: Weight(clamping: 5000), &random)
            items.append(.errors(tick.errors))
            if let latencies = tick.latencies { items.append(.latencies(latencies)) }
        }
        func judge(_ check: ErrorsCheck, action: CheckAction = .revert) -> RecordedRollout.Decision {
            RecordedRollout.judge(
                items, by: [Policy(name: "q", checks: [Check(name: "errors", kind: .errors(check), action: action)])],
                risk: Risk(),
                profile: BaselineProfile(), isKeyed: false)
        }
        let strict = judge(ErrorsCheck(maxIncrease: 0.5))
        #expect(strict.fails?.path == "q/errors" && strict.requests < 5_000 && strict.missing.isEmpty)
        let pausing = judge(ErrorsCheck(maxIncrease: 0.5), action: .pause)
        #expect(pausing.fails?.action == .pause && pausing.requests == strict.requests && !pausing.isProven)
        let lenient = judge(ErrorsCheck(max: 0.2))
        #expect(lenient.fails == nil && lenient.isProven)
        let between = judge(ErrorsCheck(max: 0.052))
        #expect(between.fails == nil && !between.isProven && !between.missing.isEmpty)
        #expect(between.seconds == 900)
        // The machine was started again after 600 seconds, and with it the clock.
        items = items.map { item in
            switch item {
            case .errors(var tick):
                tick.second += tick.second < 600 ? 100_000 : -590
                return .errors(tick)
            case .latencies(var tick):
                tick.second += tick.second < 600 ? 100_000 : -590
                return .latencies(tick)
            case .rows: return item
            }
        }
        #expect(judge(ErrorsCheck(max: 0.052)).seconds == 899)
    }
}
