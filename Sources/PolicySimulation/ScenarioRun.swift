import Analysis
import PolicyModel
import RolloutEngine
import Vocabulary

/// The outcome of a scenario, compared with what was expected.
public struct ScenarioOutcome: Sendable {
    public var scenario: TestScenario
    public var decision: ExpectedDecision.Decision
    /// The name of the check that decided; nil if none did.
    public var check: String?
    /// The time of the decision, from the beginning of the first step; nil if there was none.
    public var at: Duration?
    /// The number of judged requests that the candidate got.
    public var candidateRequests: UInt64
    /// The reason for the decision, or for its absence, as text.
    public var reason: String

    /// True if the outcome is the expected one.
    public var isMet: Bool {
        let expected = scenario.expected
        guard decision == expected.decision else { return false }
        if let check = expected.check, check != self.check { return false }
        if let within = expected.within, let at, at > within { return false }
        return true
    }

    /// The outcome in one line: the decision, the check, the time and the cost, and the expectation if it was not met.
    public var line: String {
        var outcome =
            switch decision {
            case .revert: "reverted"
            case .promote: "promoted"
            case .pause: "paused"
            case .hold: "held to the end"
            }
        if let check { outcome += " by \(check)" }
        if let at { outcome += " after \(at.written)" }
        outcome += ", \(candidateRequests) requests to the candidate"
        if isMet { return outcome }
        let expected = scenario.expected
        var wanted = expected.decision.rawValue
        if let check = expected.check { wanted += " by \(check)" }
        if let within = expected.within { wanted += " within \(within.written)" }
        return "expected \(wanted), but \(outcome): \(reason)"
    }
}

/// Runs one rollout of a scenario, tick by tick, through the observer and the state machine that the agent runs.
struct ScenarioRun {
    static let origin: Int64 = 1_000_000_000_000
    /// The time for which an agent has typically observed the baseline before the rollout.
    static let usualLead: Duration = .seconds(1800)
    /// The names of the arms' versions, by the arm's raw value.
    static let versions = ["baseline", "candidate"]

    let declaration: Declaration
    private(set) var observer: RolloutObserver
    private(set) var now: Moment
    private let scenario: TestScenario
    private var traffic: ScenarioTraffic
    private var trafficBefore: ScenarioTraffic?
    /// The instant at which the first step began.
    private var steppedAt: Int64?
    /// The pause by a check; nil if there was none.
    private var pause: (check: String?, at: Int64, reason: String, evaluation: Evaluation)?

    /// - Parameter lead: the time for which the baseline is observed before the rollout.
    init(_ test: PolicyTest, _ scenario: TestScenario, seed: UInt64, lead: Duration = usualLead) {
        self.scenario = scenario
        now = Moment(monotonic: Self.origin - lead.nanoseconds, wall: 0)
        let identities = Self.versions.map { VersionIdentity(name: $0) }
        declaration = Declaration(
            service: "test", baseline: identities[0], candidate: identities[1], versions: identities,
            plan: Self.plan(test))
        traffic = ScenarioTraffic(scenario, test.policies, seed: seed, origin: Self.origin)
        trafficBefore = Self.trafficBefore(scenario, test.policies, seed: seed, lead: lead)
        observer = RolloutObserver(
            RolloutObserver.Settings(plan: declaration.plan, scrapeInterval: SimulatedScrapes.interval),
            state: ServiceState(service: "test", serving: identities[0], seed: seed), now: now.monotonic)
    }

    static func plan(_ test: PolicyTest) -> RolloutPlan {
        var strategy = test.strategy
        strategy.start = .automatic
        strategy.promotion = .automatic
        var analysis = AnalysisRules()
        analysis.interval = test.interval
        analysis.judge = test.judge
        return RolloutPlan(strategy: strategy, policies: test.policies, analysis: analysis)
    }

    /// The baseline's traffic before the rollout, which is like that of the scenario's first phase.
    static func trafficBefore(
        _ scenario: TestScenario, _ policies: [Policy], seed: UInt64, lead: Duration
    ) -> ScenarioTraffic? {
        guard var first = scenario.phases.first else { return nil }
        first.duration = lead
        first.feedback = nil
        var before = scenario
        before.phases = [first]
        return ScenarioTraffic(
            before, policies, seed: TrafficSplit.mix(seed), origin: origin - lead.nanoseconds)
    }

    /// - Parameter onEvents: called with the events of every tick.
    mutating func run(_ onEvents: (ScenarioRun, [Event]) -> Void = { _, _ in }) -> ScenarioOutcome {
        while now.monotonic < Self.origin {
            advanceClock()
            if let tick = trafficBefore?.advance(to: now.monotonic, split: observer.state.split) { record(tick) }
        }
        onEvents(self, apply(.declared()))
        // The rollout starts before the first request, when no server is known to be unreachable.
        onEvents(self, evaluateIfDue([true, true])?.events ?? [])
        while now.monotonic < Self.origin + scenario.duration.nanoseconds {
            advanceClock()
            let tick = traffic.advance(to: now.monotonic, split: observer.state.split)
            record(tick)
            guard let (evaluation, events) = evaluateIfDue(tick.isReachable) else { continue }
            onEvents(self, events)
            for event in events {
                if event.kind == .reverted {
                    return outcome(
                        .revert, check: evaluation.failing(.revert)?.check, reason: event.message, evaluation)
                }
                if event.kind == .paused, observer.state.rollout?.pause?.cause == .check {
                    pause = (evaluation.failing(.pause)?.check, now.monotonic, event.message, evaluation)
                }
                if event.kind == .bakeStarted || event.kind == .promoted {
                    return outcome(.promote, check: nil, reason: event.message, evaluation)
                }
            }
        }
        // A policy test has no person who resumes the rollout, so a pause is the decision unless a check reverts later.
        if let pause {
            return outcome(.pause, check: pause.check, reason: pause.reason, pause.evaluation, at: pause.at)
        }
        let outlook = Outlook(observer.state, observer.evaluation)
        let waits = outlook.waitsFor.isEmpty ? "the traffic ended before the next step" : "waits for "
        return outcome(
            .hold, check: nil, reason: waits + outlook.waitsFor.joined(separator: "; "), observer.evaluation)
    }

    private mutating func advanceClock() {
        now.monotonic += RolloutObserver.tickInterval.nanoseconds
        now.wall += RolloutObserver.tickInterval.nanoseconds / 1_000_000
    }

    private mutating func record(_ tick: ScenarioTraffic.Tick) {
        for o in tick.ended { observer.record(o) }
        observer.setOpen(tick.open)
        for scrape in tick.scrapes {
            observer.record(
                scrape.outcome, at: scrape.at, of: SimulatedScrapes.endpoint(scrape.arm), arm: scrape.arm)
        }
        _ = observer.mature(now: now.monotonic)
        _ = observer.add(tick.labels, now: now.monotonic)
    }

    /// - Parameter isReachable: by the arm's raw value.
    private mutating func evaluateIfDue(_ isReachable: [Bool]) -> (evaluation: Evaluation, events: [Event])? {
        guard observer.isEvaluationDue(now: now.monotonic) else { return nil }
        let servers = isReachable.map { ServerCounts(all: 1, reachable: $0 ? 1 : 0) }
        let (evaluation, elapsed) = observer.evaluate(
            baseline: servers[0], candidate: servers[1], now: now.monotonic)
        return (evaluation, apply(.evaluated(evaluation, elapsed: elapsed)))
    }

    /// Applies an input to the state machine and follows the transition.
    private mutating func apply(_ input: Input) -> [Event] {
        let transition = RolloutStateMachine.handle(
            input, state: observer.state, declaration: declaration, now: now)
        if !observer.follow(transition.state, now: now.monotonic).isEmpty {
            for arm in Arm.allCases {
                observer.setServers(
                    [SimulatedScrapes.endpoint(arm)], of: arm, version: Self.versions[Int(arm.rawValue)])
            }
        }
        if steppedAt == nil, let phase = transition.state.rollout?.phase, phase != .waiting, phase != .warmup {
            steppedAt = now.monotonic
        }
        return transition.events
    }

    private func outcome(
        _ decision: ExpectedDecision.Decision, check: String?, reason: String, _ evaluation: Evaluation?,
        at instant: Int64? = nil
    ) -> ScenarioOutcome {
        ScenarioOutcome(
            scenario: scenario, decision: decision, check: check,
            at: decision == .hold
                ? nil : .nanoseconds((instant ?? now.monotonic) - (steppedAt ?? Self.origin)),
            candidateRequests: evaluation?.candidate.requests ?? 0, reason: reason)
    }
}

/// Runs policy tests.
public enum PolicyTestRunner {
    /// Runs every scenario of a test, in order. The same test always has the same outcomes.
    public static func run(_ test: PolicyTest) -> [ScenarioOutcome] {
        test.scenarios.enumerated().map { index, scenario in
            var run = ScenarioRun(test, scenario, seed: seed(of: test, scenario: index))
            return run.run()
        }
    }

    /// The seed of one of a test's scenarios.
    static func seed(of test: PolicyTest, scenario index: Int) -> UInt64 {
        TrafficSplit.mix(test.seed &+ UInt64(index + 1) &* 0x9e37_79b9_7f4a_7c15)
    }
}
