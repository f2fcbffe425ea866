import PolicyModel
import PolicySimulation
import PolicyYAML
import Testing

/// The policies that are shipped, on the traffic that is shipped with them.
@Suite(.timeLimit(.minutes(15))) struct ShippedPolicyTests {
    static let folder = #filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined() + "/policies/"
    static let names = ["standard", "latency-slo", "llm-serving", "sensitive-groups"]

    @Test("every shipped policy decides as its tests expect", arguments: names)
    func expectations(name: String) throws {
        let loaded = ConfigurationLoader.load(policyTestFile: Self.folder + name + ".test.yaml")
        let test = try #require(loaded.value, "\(loaded.diagnostics)")
        let outcomes = PolicyTestRunner.run(test)
        #expect(outcomes.count == test.scenarios.count)
        for outcome in outcomes { #expect(outcome.isMet, "\(outcome.scenario.name): \(outcome.line)") }
    }

    /// What policies/standard.yaml promises of its threshold parameters.
    @Test(
        "under judge: threshold five seconds of errors do not revert, errors that last do",
        arguments: 1...6 as ClosedRange<UInt64>)
    func oneBadMoment(seed: UInt64) throws {
        let loaded = ConfigurationLoader.load(policyTestFile: Self.folder + "standard.test.yaml")
        var test = try #require(loaded.value, "\(loaded.diagnostics)")
        let sound = ArmTraffic(errors: 0.001, latency: LatencyShape(p50: .milliseconds(40), p95: .milliseconds(90)))
        var failing = sound
        func outcome(_ seconds: Int, errors: Double) -> ScenarioOutcome {
            failing.errors = errors
            let phases = [(180, sound), (seconds, failing), (600, sound)].map { seconds, candidate in
                TrafficPhase(duration: .seconds(seconds), rate: 100, baseline: sound, candidate: candidate)
            }
            test.judge = .threshold
            test.seed = seed
            test.scenarios = [
                TestScenario(name: "a", line: 1, phases: phases, expected: ExpectedDecision(decision: .revert))
            ]
            return PolicyTestRunner.run(test)[0]
        }
        let burst = outcome(5, errors: 1)
        #expect(burst.decision != .revert, "\(burst.line)")
        let lasting = outcome(120, errors: 0.2)
        #expect(lasting.decision == .revert && lasting.at ?? .zero < .seconds(180 + 60), "\(lasting.line)")
    }
}
