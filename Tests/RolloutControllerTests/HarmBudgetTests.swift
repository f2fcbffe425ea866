import Analysis
import PolicyModel
import RolloutController
import RolloutEngine
import TestSupport
import Testing
import Vocabulary

/// Whole rollouts with a harm budget, and with proofs that are waived, on simulated surroundings.
@Suite("Harm budgets and waived proofs", .timeLimit(.minutes(15)))
struct HarmBudgetTests {
    private func agent(_ risk: Risk, _ policy: Policy = .errors(max: 0.02), _ strategy: Strategy = .brief) throws
        -> Agent
    {
        var service = Service.sample(strategy: strategy)
        service.analysis.risk = risk
        return try Agent.started(.sample([service], policies: [policy]))
    }

    @Test("a rollout pauses at its budget, and after a resume at the next")
    func pauses() throws {
        let agent = try agent(Risk(harm: HarmBudget(excessFailures: 20)), .errors(max: 0.5))
        for _ in 0..<60 where agent.state().rollout?.pause == nil { agent.run(1, candidateErrors: 0.1) }
        #expect(agent.state().rollout?.pause?.cause == .check)
        #expect(
            agent.listener.messages(of: .alarm).contains {
                $0.hasPrefix("check fails (action: pause): canaryd/excess-failures: excess failures: 21 (at most 20")
            })
        #expect(agent.say(.resume).isDone)
        agent.run(10, candidateErrors: 0.1)
        #expect(agent.state().rollout?.pause == nil)
        for _ in 0..<60 where agent.state().rollout?.pause == nil { agent.run(1, candidateErrors: 0.1) }
        #expect(agent.state().rollout?.pause?.cause == .check)
        let most = try #require(agent.controller.view(of: "income")?.evaluation?.mostExcessFailures)
        #expect((41...44).contains(most), "\(most)")
    }

    /// A rollout that can prove nothing: one request a second, and a ceiling of .001 %.
    private func unproven(_ promotion: UnprovenPromotion, _ strategy: Strategy = .brief) throws -> Agent {
        try agent(Risk(promotion: promotion), .errors(max: 0.00001), strategy)
    }

    @Test("proofs are waived after the time and with few enough failures, and the journal says so")
    func waives() throws {
        let agent = try unproven(UnprovenPromotion(after: .seconds(600), whenExcessFailuresAtMost: 5))
        agent.run(590)
        #expect(agent.state().rollout?.phase == .proving)
        #expect(
            agent.controller.view(of: "income")?.waitsFor.contains {
                $0.hasPrefix("or, for proofs of errors, client errors and latency: ")
                    && $0.hasSuffix("s more with at most 5 excess failures (now 0 excess failures), which waives them")
            } == true)
        agent.run(30)
        #expect(agent.state().serving.name == "v2")
        let message = try #require(agent.listener.messages(of: .promoted).first)
        #expect(
            message.hasPrefix("proofs waived after 10m with at most 0 excess failures: standard/error-rate ("),
            "\(message)")
    }

    @Test("too many failures, or none that could be counted, waive nothing")
    func refuses() throws {
        let agent = try agent(
            Risk(promotion: UnprovenPromotion(after: .seconds(300), whenExcessFailuresAtMost: 5)),
            Policy(
                name: "standard",
                checks: [Check(name: "error-rate", kind: .errors(ErrorsCheck(max: 0.0205)))]))
        agent.run(600, candidateErrors: 0.02)
        #expect(agent.state().rollout?.phase == .proving)
        #expect(agent.listener.messages(of: .promoted).isEmpty)
    }

    @Test("the waiver is named in the promotion after a bake, and in one by hand")
    func laterPromotions() throws {
        let rule = UnprovenPromotion(after: .seconds(300), whenExcessFailuresAtMost: 5)
        let baking = try unproven(
            rule,
            Strategy(steps: Strategy.brief.steps, bake: Bake(duration: .seconds(60), control: Weight(clamping: 1_000))))
        baking.run(500)
        let baked = try #require(baking.listener.messages(of: .promoted).first)
        #expect(baked.hasPrefix("baked; proofs waived after 6m with at most 0 excess failures: "), "\(baked)")
        let manual = try unproven(rule, Strategy(steps: Strategy.brief.steps, promotion: .manual))
        manual.run(400)
        #expect(manual.state().rollout?.phase == .ready)
        #expect(manual.say(.promote(force: false)).isDone)
        let byHand = try #require(manual.listener.messages(of: .promoted).first)
        #expect(byHand.hasPrefix("promoted by hand (test); proofs waived after 6m"), "\(byHand)")
    }

    @Test("a waiver ends when more requests fail than the rule allows, in a bake and when it waits for a person")
    func takenBack() throws {
        let rule = UnprovenPromotion(after: .seconds(300), whenExcessFailuresAtMost: 5)
        let bake = Bake(duration: .seconds(600), control: Weight(clamping: 3_000))
        for (strategy, phase, seconds) in [
            (Strategy(steps: Strategy.brief.steps, bake: bake), Phase.baking, 1),
            (Strategy(steps: Strategy.brief.steps, promotion: .manual), .ready, 2),
        ] {
            let agent = try agent(Risk(promotion: rule), .errors(max: 0.002), strategy)
            agent.run(320, rate: 10)
            #expect(agent.state().rollout?.phase == phase && agent.state().rollout?.waived != nil)
            // Seven or ten requests fail.
            agent.run(seconds, rate: 10, candidateErrors: 1)
            agent.run(40, rate: 10)
            #expect(agent.state().rollout?.phase == .proving && agent.state().rollout?.waived == nil)
            #expect(
                agent.listener.messages(of: .proving).contains {
                    $0.hasPrefix("proofs are not waived any more: up to ")
                })
        }
    }

    @Test("a waiver ends also while the rollout is paused or frozen")
    func takenBackWhileStopped() throws {
        let rule = UnprovenPromotion(after: .seconds(300), whenExcessFailuresAtMost: 5)
        let bake = Bake(duration: .seconds(600), control: Weight(clamping: 3_000))
        for stop in [Command.Verb.pause, .freeze] {
            let agent = try agent(
                Risk(promotion: rule), .errors(max: 0.002), Strategy(steps: Strategy.brief.steps, bake: bake))
            agent.run(320, rate: 10)
            #expect(agent.state().rollout?.phase == .baking && agent.say(stop).isDone)
            agent.run(1, rate: 10, candidateErrors: 1)
            agent.run(40, rate: 10)
            #expect(agent.state().rollout?.phase == .proving && agent.state().rollout?.waived == nil)
        }
    }

    @Test("a promotion by hand of waived proofs is the person's: later failures do not take it back")
    func byHand() throws {
        let rule = UnprovenPromotion(after: .seconds(300), whenExcessFailuresAtMost: 5)
        let bake = Bake(duration: .seconds(100), control: Weight(clamping: 3_000))
        let agent = try agent(
            Risk(promotion: rule), .errors(max: 0.002),
            Strategy(steps: Strategy.brief.steps, promotion: .manual, bake: bake))
        agent.run(320, rate: 10)
        #expect(agent.state().rollout?.phase == .ready && agent.say(.promote(force: false)).isDone)
        let start = try #require(agent.listener.messages(of: .bakeStarted).first)
        #expect(start.contains("promoted by hand (test); proofs waived after 5m"), "\(start)")
        agent.run(1, rate: 10, candidateErrors: 1)
        agent.run(20, rate: 10)
        #expect(agent.state().rollout?.phase == .baking && agent.state().rollout?.waived == nil)
    }

    @Test("missing proofs of quality are not waived, and status does not say that they may be")
    func quality() throws {
        var policy = Policy.errors(max: 0.00001)
        policy.checks.append(
            Check(name: "accuracy", kind: .quality(QualityCheck(measure: .accuracy, maxDrop: 0.02))))
        let agent = try agent(
            Risk(promotion: UnprovenPromotion(after: .seconds(300), whenExcessFailuresAtMost: 5)), policy)
        agent.run(900)
        #expect(agent.state().rollout?.phase == .proving)
        let waitsFor = try #require(agent.controller.view(of: "income")?.waitsFor)
        #expect(waitsFor.contains { $0.hasPrefix("proof of standard/accuracy") })
        #expect(!waitsFor.contains { $0.contains("waives") }, "\(waitsFor)")
    }

    @Test("a service without a required check is not promoted for its harm budget")
    func noRequiredCheck() throws {
        var policy = Policy.errors(max: 0.5)
        policy.checks[0].action = .notify
        let agent = try agent(
            Risk(
                harm: HarmBudget(excessFailures: 20),
                promotion: UnprovenPromotion(after: .seconds(60), whenExcessFailuresAtMost: 5)), policy)
        agent.run(300)
        #expect(agent.state().rollout?.phase == .ready)
    }
}
