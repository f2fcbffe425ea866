import Analysis
import PolicyModel
import RolloutEngine

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

/// Runs one rollout of a scenario, tick by tick, through the judge and the state machine that the agent runs.
struct ScenarioRun {
    /// The time without a judged request after which the agent holds.
    private static let dataGap: Duration = .seconds(60)
    private static let origin: Int64 = 1_000_000_000_000
    /// The time for which the baseline was observed before the rollout.
    private static let watched: Duration = .seconds(1800)

    private let test: PolicyTest
    private let scenario: TestScenario
    private let declaration: Declaration
    private var state: ServiceState
    private var traffic: SimulatedTraffic
    private var scrapes: SimulatedScrapes
    private var window: ObservationWindow
    private var quality = QualityTable()
    private var series: SeriesWindow
    private var judge: Judge
    private var feed: TickFeed
    private let attributes: Set<String>
    private var now = Moment(monotonic: origin, wall: 0)
    /// The instant at which the first step began.
    private var steppedAt: Int64?
    private var scrapedAt = origin
    private var lastEvaluation: Evaluation?

    init(_ test: PolicyTest, _ scenario: TestScenario, seed: UInt64) {
        self.test = test
        self.scenario = scenario
        var strategy = test.strategy
        strategy.start = .automatic
        strategy.promotion = .automatic
        let names = ["baseline", "candidate"].map { VersionIdentity(name: $0) }
        var analysis = AnalysisRules()
        analysis.interval = test.interval
        analysis.judge = test.judge
        declaration = Declaration(
            service: "test", baseline: names[0], candidate: names[1], versions: names,
            plan: RolloutPlan(strategy: strategy, policies: test.policies, analysis: analysis))
        state = ServiceState(service: "test", serving: names[0], seed: seed)
        traffic = SimulatedTraffic(
            scenario, seed: seed, origin: Self.origin, scores: test.policies.scoreRange ?? .unit)
        scrapes = SimulatedScrapes(test.policies)
        let windows = test.policies.flatMap(\.checks).map(\.limits.window)
        let retention = max(windows.max() ?? .zero, .seconds(130))
        window = ObservationWindow(retention: retention, startedAt: Self.origin)
        series = SeriesWindow(span: retention + .seconds(60))
        for arm in Arm.allCases { series.setServers([SimulatedScrapes.endpoint(arm)], of: arm) }
        judge = Judge(
            analysis, test.policies, profile: Self.baselineProfile(of: scenario, policies: test.policies, seed: seed))
        feed = TickFeed(now: Self.origin, isKeyed: false)
        attributes = Set(
            test.policies.flatMap(\.checks).flatMap { check -> [String] in
                if case .quality(let quality) = check.kind { quality.groups.map(\.attribute) } else { [] }
            })
    }

    /// The profile of the baseline that an agent would have before the rollout, from half an hour of traffic as in the
    /// scenario's first phase.
    private static func baselineProfile(
        of scenario: TestScenario, policies: [Policy], seed: UInt64
    ) -> BaselineProfile {
        var profile = BaselineProfile(policies)
        guard var first = scenario.phases.first else { return profile }
        first.duration = watched
        first.feedback = nil
        var before = scenario
        before.phases = [first]
        let begin = origin - watched.nanoseconds
        var traffic = SimulatedTraffic(before, seed: TrafficSplit.mix(seed), origin: begin)
        var feed = TickFeed(now: begin, isKeyed: false)
        for second in 1...Int(watched.seconds) {
            let batch = traffic.advance(
                to: Double(second), split: TrafficSplit(candidate: .zero, generation: 0, salt: seed))
            for o in batch.ended { feed.record(o) }
            feed.setOpen(batch.open)
            for item in feed.mature(now: begin + Int64(second) * 1_000_000_000, latencyMaturity: 2) {
                profile.observe(item)
            }
        }
        return profile
    }

    mutating func run() -> ScenarioOutcome {
        _ = apply(.declared)
        _ = apply(.evaluated(Evaluation(), elapsed: .zero))
        let interval = max(test.interval, .milliseconds(100))
        var elapsed: Duration = .zero
        while elapsed < scenario.duration {
            elapsed += interval
            now = Moment(monotonic: Self.origin + elapsed.nanoseconds, wall: elapsed.nanoseconds / 1_000_000)
            recordTraffic(until: elapsed.seconds)
            let evaluation = evaluate(elapsed.seconds)
            lastEvaluation = evaluation
            for event in apply(.evaluated(evaluation, elapsed: interval)) {
                if event.kind == .reverted {
                    return outcome(.revert, check: evaluation.enforced(.fail).first?.check, reason: event.message)
                }
                if event.kind == .bakeStarted || event.kind == .promoted {
                    return outcome(.promote, check: nil, reason: event.message)
                }
            }
        }
        let outlook = Outlook(state, lastEvaluation)
        let waits = outlook.waitsFor.isEmpty ? "the traffic ended before the next step" : "waits for "
        return outcome(.hold, check: nil, reason: waits + outlook.waitsFor.joined(separator: "; "))
    }

    private func outcome(_ decision: ExpectedDecision.Decision, check: String?, reason: String) -> ScenarioOutcome {
        ScenarioOutcome(
            scenario: scenario, decision: decision, check: check,
            at: decision == .hold ? nil : .nanoseconds(now.monotonic - (steppedAt ?? Self.origin)),
            candidateRequests: window.sinceStart[Int(Arm.candidate.rawValue)].judged, reason: reason)
    }

    /// Records the traffic up to this second, and a scrape if one is due.
    private mutating func recordTraffic(until seconds: Double) {
        let batch = traffic.advance(to: seconds, split: state.split)
        for o in batch.ended {
            window.record(o)
            feed.record(o)
        }
        window.setOpen(batch.open)
        feed.setOpen(batch.open)
        window.expire(now: now.monotonic)
        scrapes.record(batch.ended)
        for label in batch.labels {
            quality.add(label.row, arm: label.arm, attributes: attributes, scores: test.policies.scoreRange)
        }
        judge.take(feed.mature(now: now.monotonic, latencyMaturity: judge.latencyMaturity))
        if !batch.labels.isEmpty {
            let rows = batch.labels.map {
                QualityRow($0, attributes: attributes, step: feed.step(at: $0.startedAt))
            }
            judge.take([.rows(rows)])
        }
        let elapsed = Duration.nanoseconds(now.monotonic - scrapedAt)
        if elapsed >= SimulatedScrapes.interval, let phase = traffic.phase(at: seconds)?.phase {
            scrapedAt = now.monotonic
            scrapes.scrape(phase, into: &series, now: now.monotonic, elapsed: elapsed)
        }
    }

    private mutating func evaluate(_ seconds: Double) -> Evaluation {
        let snapshot = WindowSnapshot(observations: window, quality: quality, series: series)
        let lastSeen = max(window.newestStart ?? .min, window.beganAt)
        return Evaluation(
            results: judge.evaluate(test.policies, snapshot, now: now.monotonic),
            baseline: condition(.baseline, seconds),
            candidate: condition(.candidate, seconds),
            isDataFlowing: now.monotonic - lastSeen <= Self.dataGap.nanoseconds)
    }

    private func condition(_ arm: Arm, _ seconds: Double) -> ArmCondition {
        let all = window.sinceStart[Int(arm.rawValue)]
        let recent = window.counts(arm, since: now.monotonic - ArmCondition.recentSpan.nanoseconds)
        let isReachable = traffic.phase(at: seconds).map { $0.phase[arm].reachable } ?? true
        return ArmCondition(
            servers: 1, reachable: isReachable ? 1 : 0, requests: all.judged, errors: all.errors,
            recentRequests: recent.judged, recentErrors: recent.errors)
    }

    private mutating func judgeLatency(from instant: Int64) {
        window.judgeLatency(from: instant)
        feed.judgeLatency(from: instant)
    }

    /// Applies an input to the state machine and follows the transition as the controller does.
    private mutating func apply(_ input: Input) -> [Event] {
        let old = state.rollout
        let transition = RolloutStateMachine.handle(input, state: state, declaration: declaration, now: now)
        state = transition.state
        let new = state.rollout
        if let new, new.committedWeight != old?.committedWeight || (new.phase != .warmup && old?.phase == .warmup) {
            window.beginStep(at: now.monotonic)
            judge.stepBegan()
            feed.beginStep(share: new.effectiveWeight, now: now.monotonic)
        }
        if new?.phase == .warmup, old?.phase != .warmup { judgeLatency(from: .max) }
        if new?.phase != .warmup, old?.phase == .warmup { judgeLatency(from: now.monotonic) }
        if steppedAt == nil, let phase = new?.phase, phase != .waiting, phase != .warmup { steppedAt = now.monotonic }
        return transition.events
    }
}

/// Runs policy tests.
public enum PolicyTestRunner {
    /// Runs every scenario of a test, in order. The same test always has the same outcomes.
    public static func run(_ test: PolicyTest) -> [ScenarioOutcome] {
        test.scenarios.enumerated().map { index, scenario in
            let seed = TrafficSplit.mix(test.seed &+ UInt64(index + 1) &* 0x9e37_79b9_7f4a_7c15)
            var run = ScenarioRun(test, scenario, seed: seed)
            return run.run()
        }
    }
}
