import PolicyModel
import PolicySimulation
import Testing

@Suite(.timeLimit(.minutes(15))) struct PolicyTestRunnerTests {
    private func policy(_ checks: [Check], onNoData: NoDataRule = .hold) -> Policy {
        Policy(name: "standard", onNoData: onNoData, checks: checks)
    }

    private let errors = Check(name: "error-rate", kind: .errors(ErrorsCheck(max: 0.01)))

    private func run(
        _ policy: Policy, rate: Double = 50, minutes: Int = 10, baseline: ArmTraffic = ArmTraffic(),
        candidate: ArmTraffic = ArmTraffic(), series: [SeriesTraffic] = [], scrapesAnswer: Bool = true,
        expected: ExpectedDecision = ExpectedDecision(decision: .promote), seed: UInt64 = 1,
        strategy: Strategy = Strategy(steps: [.weight(Weight(clamping: 2500), hold: .seconds(120))])
    ) -> ScenarioOutcome {
        let phase = TrafficPhase(
            duration: .seconds(minutes * 60), rate: rate, baseline: baseline, candidate: candidate, series: series,
            scrapesAnswer: scrapesAnswer)
        let test = PolicyTest(
            file: "a.test.yaml", policies: [policy], seed: seed, strategy: strategy,
            scenarios: [TestScenario(name: "a", line: 1, phases: [phase], expected: expected)])
        return PolicyTestRunner.run(test)[0]
    }

    @Test("the same seed gives the same outcome, another seed a different one")
    func seeds() {
        let one = run(policy([errors]), candidate: ArmTraffic(errors: 0.2))
        let again = run(policy([errors]), candidate: ArmTraffic(errors: 0.2))
        let other = run(policy([errors]), candidate: ArmTraffic(errors: 0.2), seed: 2)
        #expect(one.line == again.line)
        #expect(one.candidateRequests != other.candidateRequests)
    }

    @Test("a failing candidate is reverted by the check that fails, at a cost in requests that follows the weight")
    func reverts() {
        let outcome = run(policy([errors]), candidate: ArmTraffic(errors: 0.2))
        #expect(outcome.decision == .revert)
        #expect(outcome.check == "error-rate")
        let seconds = outcome.at!.seconds
        #expect(abs(Double(outcome.candidateRequests) - seconds * 12.5) < 5 * (seconds * 12.5).squareRoot())
    }

    @Test("a check with action: pause decides, at the time of the pause, unless a revert follows")
    func pauses() {
        let latency = LatencyCheck(quantile: 0.95, max: .milliseconds(80))
        let pausing = policy([errors, Check(name: "p95", kind: .latency(latency), action: .pause)])
        let slow = ArmTraffic(latency: LatencyShape(p50: .milliseconds(60), p95: .milliseconds(200)))
        let expected = ExpectedDecision(decision: .pause, check: "p95", within: .seconds(180))
        let outcome = run(pausing, candidate: slow, expected: expected)
        #expect(outcome.isMet && outcome.decision == .pause && outcome.check == "p95", "\(outcome.line)")
        #expect(outcome.line.hasPrefix("paused by p95 after "), "\(outcome.line)")
        // The candidate's requests until the pause, of 12.5 a second.
        let seconds = outcome.at!.seconds
        #expect(abs(Double(outcome.candidateRequests) - seconds * 12.5) < 5 * (seconds * 12.5).squareRoot())
        #expect(!run(pausing, candidate: slow, expected: ExpectedDecision(decision: .hold)).isMet)
        let sooner = ExpectedDecision(decision: .pause, check: "p95", within: .seconds(2))
        #expect(!run(pausing, candidate: slow, expected: sooner).isMet)
        var failing = slow
        failing.errors = 0.05
        #expect(run(pausing, candidate: failing).decision == .revert)
        let notifying = policy([errors, Check(name: "p95", kind: .latency(latency), action: .notify)])
        #expect(run(notifying, candidate: slow, strategy: Strategy(steps: [])).decision != .pause)
    }

    @Test("an expectation covers decision, check and time, and a miss names the expected and the actual outcome")
    func expectations() {
        let bad = ArmTraffic(errors: 0.2)
        let revert = { check, within in ExpectedDecision(decision: .revert, check: check, within: within) }
        #expect(run(policy([errors]), candidate: bad, expected: revert("error-rate", .seconds(120))).isMet)
        #expect(!run(policy([errors]), candidate: bad, expected: revert("p95", nil)).isMet)
        #expect(!run(policy([errors]), candidate: bad, expected: revert(nil, .seconds(1))).isMet)
        let missed = run(policy([errors]), candidate: bad)
        #expect(!missed.isMet)
        #expect(missed.line.hasPrefix("expected promote, but reverted by error-rate after "))
    }

    @Test("scores in a declared range decide in their own unit", arguments: JudgeKind.allCases)
    func scores(judge: JudgeKind) throws {
        let check = QualityCheck(measure: .score, range: ScoreRange(0, 100), maxDrop: 5, minSamples: 50)
        let policy = policy([Check(name: "score", kind: .quality(check))])
        func decision(_ candidate: Double) -> ScenarioOutcome {
            let group = GroupTraffic(
                value: "", share: 1, positives: 0.5,
                baseline: ArmQuality(recall: 1, falsePositiveRate: 0, score: 90),
                candidate: ArmQuality(recall: 1, falsePositiveRate: 0, score: candidate))
            let feedback = FeedbackTraffic(delay: .seconds(1), share: 1, attribute: nil, groups: [group])
            let phase = TrafficPhase(
                duration: .seconds(900), rate: 50, baseline: ArmTraffic(), candidate: ArmTraffic(), feedback: feedback)
            let strategy = Strategy(steps: [.weight(Weight(clamping: 5000), hold: .seconds(120))])
            let test = PolicyTest(
                file: "a.test.yaml", policies: [policy], seed: 1, strategy: strategy, judge: judge,
                scenarios: [
                    TestScenario(
                        name: "a", line: 1, phases: [phase], expected: ExpectedDecision(decision: .promote))
                ])
            return PolicyTestRunner.run(test)[0]
        }
        #expect(decision(60).decision == .revert && decision(60).check == "score")
        #expect(decision(91).decision == .promote)
    }

    @Test("latencies follow the declared log-normal distribution")
    func latency() {
        let shape = LatencyShape(p50: .milliseconds(40), p95: .milliseconds(120))
        func ceiling(_ quantile: Double, _ max: Duration) -> Policy {
            policy([
                Check(
                    name: "latency", kind: .latency(LatencyCheck(quantile: quantile, max: max)),
                    limits: ThresholdLimits(window: .seconds(600), minSamples: 1000))
            ])
        }
        let slow = ArmTraffic(latency: shape)
        // Sound and bad on either side of each quantile.
        #expect(run(ceiling(0.5, .milliseconds(44)), candidate: slow).decision == .promote)
        #expect(run(ceiling(0.5, .milliseconds(36)), candidate: slow).decision == .revert)
        #expect(run(ceiling(0.95, .milliseconds(135)), candidate: slow).decision == .promote)
        #expect(run(ceiling(0.95, .milliseconds(105)), candidate: slow).decision == .revert)
    }

    @Test("without traffic, and with servers that cannot be scraped, the rollout is held")
    func holds() {
        let silent = run(policy([errors]), rate: 0)
        #expect(silent.decision == .hold)
        #expect(silent.reason.contains("judged requests"))
        let gauge = policy([
            Check(name: "memory", kind: .metric(MetricCheck(series: "memory_bytes", aggregate: .max, max: 10)))
        ])
        let series = [SeriesTraffic(series: "memory_bytes", baseline: 5, candidate: 5)]
        #expect(run(gauge, series: series, scrapesAnswer: false).decision == .hold)
        #expect(run(gauge, series: series).decision == .promote)
    }

    @Test("declared series appear as gauges, rates and quantiles")
    func series() {
        for (aggregate, name) in [(MetricAggregate.max, "g"), (.rate, "c"), (.quantile(0.9), "h")] {
            let check = Check(
                name: "series", kind: .metric(MetricCheck(series: name, aggregate: aggregate, max: 10)))
            let high = [SeriesTraffic(series: name, baseline: 5, candidate: 12)]
            let low = [SeriesTraffic(series: name, baseline: 5, candidate: 8)]
            #expect(run(policy([check]), series: high).decision == .revert, "\(aggregate)")
            #expect(run(policy([check]), series: low).decision == .promote, "\(aggregate)")
        }
    }

    @Test("a candidate that refuses connections is reverted; a baseline that does so blocks the revert")
    func unreachable() {
        #expect(run(policy([errors]), candidate: ArmTraffic(reachable: false)).decision == .revert)
        #expect(run(policy([errors]), baseline: ArmTraffic(reachable: false)).decision == .hold)
    }

    @Test("a lack of data reverts if the policy says so")
    func silence() {
        let outcome = run(policy([errors], onNoData: .revert(after: .seconds(120))), rate: 0)
        #expect(outcome.decision == .revert)
        #expect(outcome.check == nil)
    }
}
