import Analysis
import PolicyModel
import PolicyYAML
import RolloutEngine
import TestSupport
import Testing

@testable import PolicySimulation

/// The agent's controller and a policy test decide alike on the same traffic.
@Suite(.timeLimit(.minutes(15))) struct PipelineTests {
    /// Sends the same traffic through both and compares every tick.
    /// - Returns: the outcome of the policy test.
    @discardableResult
    private func compare(
        _ test: PolicyTest, scenario index: Int, lead: Duration, onPhase: (Phase) -> Void = { _ in }
    ) throws -> ScenarioOutcome {
        let scenario = test.scenarios[index]
        let seed = PolicyTestRunner.seed(of: test, scenario: index)
        var simulated: [TickRecord] = []
        var run = ScenarioRun(test, scenario, seed: seed, lead: lead)
        let outcome = run.run { run, events in
            if let phase = run.observer.state.rollout?.phase { onPhase(phase) }
            let record = TickRecord(at: run.now.monotonic, evaluation: run.observer.evaluation, events: events)
            // The declaration and the first evaluation are in the same tick.
            if simulated.last?.at == record.at {
                simulated[simulated.count - 1].events += events
                simulated[simulated.count - 1].evaluation = record.evaluation
            } else {
                simulated.append(record)
            }
        }
        var next = 0
        try ControllerRun(test, scenario, seed: seed, lead: lead).run { record in
            // Ticks without an evaluation have no counterpart.
            guard record.at >= simulated[next].at else {
                #expect(record.events.isEmpty)
                return true
            }
            guard record == simulated[next] else {
                let seconds = Double(record.at - ScenarioRun.origin) * 1e-9
                Issue.record(
                    """
                    \(scenario.name), \(seconds) s: the controller and the policy test differ:
                    \(difference(record, simulated[next]))
                    """)
                return false
            }
            next += 1
            return next < simulated.count
        }
        #expect(next == simulated.count, "\(scenario.name)")
        return outcome
    }

    private func difference(_ controller: TickRecord, _ simulation: TickRecord) -> String {
        func lines(_ record: TickRecord) -> [String] {
            let evaluation = record.evaluation
            return record.events.map { "\($0.kind) \($0.generation) \($0.weight) by \($0.by): \($0.message)" }
                + (evaluation?.results ?? []).map { "\($0)" }
                + [
                    "\(record.at) \(String(describing: evaluation?.baseline))",
                    "\(String(describing: evaluation?.candidate))",
                    "\(String(describing: evaluation?.items)) \(String(describing: evaluation?.blindness))",
                ]
        }
        let (a, b) = (lines(controller), lines(simulation))
        return (a.filter { !b.contains($0) } + ["instead of"] + b.filter { !a.contains($0) }).joined(separator: "\n")
    }

    /// A scenario takes a minute where nothing is optimized: then only the first two of each policy are compared, which are
    /// a sound candidate and one that is not, and generated tests only until they have covered every decision and the
    /// phases below. `ShippedPolicyTests` runs all scenarios through the policy test.
    #if DEBUG
        private static let comparedScenarios = 2
        private static let lead = Duration.seconds(120)
        private static let goesThroughAll = false
    #else
        private static let comparedScenarios = Int.max
        private static let lead = ScenarioRun.usualLead
        private static let goesThroughAll = true
    #endif
    private static let generatedTests: ClosedRange<UInt64> = 1...24

    private static let shippedScenarios: [(name: String, scenario: Int)] = ShippedPolicyTests.names.flatMap { name in
        let test = ConfigurationLoader.load(policyTestFile: ShippedPolicyTests.folder + name + ".test.yaml").value
        return (test?.scenarios.indices.prefix(comparedScenarios) ?? 0..<1).map { (name, $0) }
    }

    @Test(
        "on the traffic of the shipped policy tests the controller decides as the tests do", arguments: shippedScenarios
    )
    func shipped(name: String, scenario: Int) throws {
        let loaded = ConfigurationLoader.load(policyTestFile: ShippedPolicyTests.folder + name + ".test.yaml")
        let test = try #require(loaded.value, "\(loaded.diagnostics)")
        try compare(test, scenario: scenario, lead: Self.lead)
    }

    @Test("on generated traffic the controller decides by generated policies as a policy test does") func generated()
        throws
    {
        var decisions: Set<ExpectedDecision.Decision> = []
        var phases: Set<String> = []
        // The tests end in every possible way and pass through every kind of phase.
        var isCovered: Bool {
            decisions == Set(ExpectedDecision.Decision.allCases)
                && phases.isSuperset(of: ["warmup", "step", "proving"])
        }
        for seed in Self.generatedTests where Self.goesThroughAll || !isCovered {
            let test = GeneratedTest(seed: seed).test
            decisions.insert(
                try compare(test, scenario: 0, lead: .seconds(120)) { phases.insert($0.name) }.decision)
        }
        #expect(isCovered, "\(decisions), \(phases)")
    }
}

/// A policy test with random checks, steps and traffic; the same seed gives the same test.
private struct GeneratedTest {
    private var random: SeededGenerator

    init(seed: UInt64) { random = SeededGenerator(seed: TrafficSplit.mix(seed)) }

    var test: PolicyTest {
        var copy = self
        return copy.make()
    }

    private mutating func pick<T>(_ values: T...) -> T { values[Int(random.unit() * Double(values.count))] }

    private mutating func make() -> PolicyTest {
        let strategy = Strategy(
            warmup: random.chance(0.5) ? Warmup(requests: pick(5, 50), within: .seconds(60)) : nil, steps: steps(),
            deadline: random.chance(0.3) ? Deadline(after: .seconds(150), then: pick(.pause, .revert)) : nil)
        let policies = [
            Policy(
                name: "first", onNoData: random.chance(0.3) ? .revert(after: .seconds(90)) : .hold, checks: checks()),
            Policy(
                name: "second",
                checks: [Check(name: "observed", kind: .errors(ErrorsCheck(max: 0.001)), action: .notify)]),
        ]
        let phases = (0..<pick(1, 2, 3)).map { _ in phase() }
        let scenario = TestScenario(
            name: "generated", line: 1, phases: phases, expected: ExpectedDecision(decision: .hold))
        return PolicyTest(
            file: "generated.test.yaml", policies: policies, seed: random.next(), strategy: strategy,
            interval: pick(.milliseconds(100), .milliseconds(500), .seconds(1), .milliseconds(2300), .seconds(10)),
            judge: pick(.sequential, .sequential, .threshold), scenarios: [scenario])
    }

    private mutating func steps() -> [Step] {
        var steps: [Step] = []
        for weight in [500, 2500, 6000].prefix(pick(1, 2, 3)) {
            steps.append(.weight(Weight(clamping: weight), hold: .seconds(pick(10, 30, 60))))
            if random.chance(0.2) { steps.append(.pause(.seconds(15))) }
        }
        return steps
    }

    private mutating func checks() -> [Check] {
        let limits = ThresholdLimits(
            interval: .seconds(pick(1, 10)), window: .seconds(pick(30, 60, 200)), minSamples: pick(10, 50))
        var checks = [
            Check(
                name: "errors", kind: .errors(ErrorsCheck(max: 0.02)), action: pick(.revert, .revert, .pause),
                limits: limits)
        ]
        if random.chance(0.5) {
            checks.append(
                Check(
                    name: "latency",
                    kind: .latency(
                        LatencyCheck(quantile: pick(0.5, 0.95), of: pick(.total, .firstByte), max: .seconds(pick(1, 5)))
                    ),
                    action: pick(.revert, .pause), limits: limits))
        }
        if random.chance(0.3) {
            checks.append(
                Check(name: "client-errors", kind: .clientErrors(ClientErrorsCheck(maxIncrease: 0.5, floor: 0.01))))
        }
        if random.chance(0.5) {
            let groups = random.chance(0.5) ? [GroupSelector(attribute: "sex")] : []
            checks.append(
                Check(
                    name: "recall",
                    kind: .quality(QualityCheck(measure: .recall, groups: groups, maxDrop: 0.1, minSamples: 20))))
        }
        if random.chance(0.5) {
            checks.append(
                Check(
                    name: "queue", kind: .metric(MetricCheck(series: "queue", aggregate: .max, max: 10)), limits: limits
                ))
        }
        return checks
    }

    private mutating func phase() -> TrafficPhase {
        let baseline = ArmTraffic(
            errors: pick(0, 0.002), latency: LatencyShape(p50: .milliseconds(pick(20, 300)), p95: .milliseconds(900)),
            firstByte: random.chance(0.3) ? LatencyShape(p50: .milliseconds(5), p95: .milliseconds(20)) : nil)
        var candidate = baseline
        candidate.errors = pick(0, 0.002, 0.002, 0.1)
        if random.chance(0.3) { candidate.statuses = [StatusShare(status: 404, share: 0.05)] }
        if random.chance(0.2) { candidate.latency.p95 = .seconds(20) }
        candidate.reachable = random.chance(0.9)
        let quality = ArmQuality(recall: 0.8, falsePositiveRate: 0.1)
        let groups = [("Female", 0.4), ("Male", 0.6)].map {
            GroupTraffic(
                value: $0.0, share: $0.1, positives: 0.5, baseline: quality,
                candidate: random.chance(0.3) ? ArmQuality(recall: 0.4, falsePositiveRate: 0.1) : quality)
        }
        return TrafficPhase(
            duration: .seconds(pick(60, 120, 240)), rate: pick(0, 5, 30, 30, 60), baseline: baseline,
            candidate: candidate,
            feedback: random.chance(0.6)
                ? FeedbackTraffic(
                    delay: .milliseconds(pick(0, 700, 20_000)), share: 0.5, attribute: "sex", groups: groups) : nil,
            series: [SeriesTraffic(series: "queue", baseline: 3, candidate: pick(3, 3, 12))],
            scrapesAnswer: random.chance(0.8))
    }
}
