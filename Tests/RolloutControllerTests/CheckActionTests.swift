import Analysis
import FoundationEssentials
import PolicyModel
import PrometheusText
import RolloutController
import RolloutEngine
import TestSupport
import Testing
import Vocabulary

/// Whole rollouts with checks that do not revert, on simulated surroundings.
@Suite("Checks that pause or notify", .timeLimit(.minutes(15)))
struct CheckActionTests {
    private static let tenth = Weight(clamping: 1000)

    /// An agent whose candidate has just failed a check with `action: pause`.
    private func paused() throws -> Agent {
        var policy = Policy.errors()
        policy.checks[0].action = .pause
        let agent = try Agent.started(.sample(policies: [policy]))
        for _ in 0..<60 where agent.state().rollout?.pause == nil { agent.run(1, candidateErrors: 0.3) }
        #expect(agent.state().rollout?.pause?.cause == .check)
        return agent
    }

    private func alarms(_ agent: Agent) -> [String] {
        agent.listener.messages(of: .alarm).filter { $0.hasPrefix("check fails") }
    }

    @Test("a check that pauses stops the rollout at its weight, with an alarm, a decision and the view of it")
    func pauses() throws {
        let agent = try paused()
        agent.run(180, candidateErrors: 0.3)
        #expect(agent.published == Self.tenth && agent.state().rollout?.phase == .step(0))
        #expect(alarms(agent).count == 1)
        #expect(alarms(agent)[0].hasPrefix("check fails (action: pause): standard/error-rate: ceiling: "))
        let entry = try #require(agent.disk.journal.first { $0.event.kind == .paused })
        #expect(entry.event.isDecision && entry.event.by == "policy" && entry.event.weight == Self.tenth)
        #expect(entry.event.evaluation?.failing(.pause)?.path == "standard/error-rate")
        let view = try #require(agent.controller.view(of: "income"))
        #expect(view.state.needsPerson?.action == .resume)
        #expect(
            view.waitsFor.contains {
                $0.hasPrefix("resume, promote or revert (paused by policy: check fails: standard")
            })
        var writer = ExpositionWriter()
        agent.controller.writeMetrics(into: &writer)
        let metrics = String(decoding: writer.bytes, as: UTF8.self)
        #expect(metrics.contains("canaryd_paused{service=\"income\",cause=\"check\"} 1"))
        #expect(metrics.contains("canaryd_paused{service=\"income\",cause=\"manual\"} 0"))
    }

    @Test("the decision to pause is the same when it is made again from the recording") func replay() throws {
        let agent = try paused()
        agent.run(60, candidateErrors: 0.3)
        agent.controller.stop()
        let evaluation = try #require(agent.disk.journal.first { $0.event.kind == .paused }?.event.evaluation)
        let head = try #require(agent.disk.recordings["income"]?["income-1"]?.head)
        guard case .sequential(var judge) = try JSONDecoder().decode(Judge.self, from: Data(head.utf8)) else {
            Issue.record("the judge is not sequential")
            return
        }
        for item in try agent.recorded.prefix(try #require(evaluation.items) - judge.items) { judge.take(item) }
        #expect(judge.evidence.map(\.evidence) == evaluation.results.compactMap(\.evidence))
    }

    @Test("after a resume, known evidence does not pause again; new evidence does once it fails the check by itself")
    func again() throws {
        let agent = try paused()
        let known = try #require(agent.state().rollout?.failures.first?.extent.evidence)
        #expect(agent.say(.resume).isDone)
        agent.run(10)
        #expect(agent.state().rollout?.pause == nil && alarms(agent).count == 1)
        let note = agent.controller.view(of: "income")?.notes.first { $0.contains("standard/error-rate") }
        #expect(note?.hasPrefix("a check failed, and ada let the rollout go on: ") == true)
        for _ in 0..<60 where agent.state().rollout?.pause == nil { agent.run(1, candidateErrors: 0.3) }
        #expect(agent.state().rollout?.pause?.cause == .check && alarms(agent).count == 2)
        let check = try #require(agent.controller.view(of: "income")?.evaluation?.results.first?.evidence)
        #expect(check.value >= known + check.revertAt)
    }

    @Test("after a resume the steps go on, and a candidate that is proven later is promoted") func resumed() throws {
        let agent = try paused()
        #expect(agent.say(.resume).isDone)
        agent.run(300)
        #expect(agent.listener.messages(of: .promoted).contains { $0.hasPrefix("every required check is proven") })
        #expect(agent.state().serving.name == "v2" && alarms(agent).count == 1)
    }

    @Test("a promotion by hand during the pause is recorded with what it overrides") func promoted() throws {
        let agent = try paused()
        #expect(agent.say(.promote(force: false)).isDone)
        let message = try #require(agent.listener.messages(of: .promoted).first)
        #expect(message.contains("; overrides a failing check: standard/error-rate: "), "\(message)")
        #expect(agent.state().serving.name == "v2")
    }

    @Test(
        "the pause outlives a restart of the agent, clean or not, and is not reported again", arguments: [true, false])
    func restarts(isClean: Bool) throws {
        let agent = try paused()
        agent.run(10, candidateErrors: 0.3)
        if isClean { agent.controller.stop() }
        let next = try agent.successor()
        #expect(next.published == (isClean ? Self.tenth : .zero))
        next.run(20, candidateErrors: 0.3)
        #expect(next.published == Self.tenth)
        #expect(
            next.state().rollout?.pause?.cause == .check && next.state().rollout?.pause == agent.state().rollout?.pause)
        #expect(alarms(next).isEmpty && next.listener.messages(of: .paused).isEmpty)
        #expect(next.say(.resume).isDone)
        next.run(2)
        #expect(next.state().rollout?.pause == nil)
    }

    @Test("a check that notifies raises one alarm and a note, and the rollout goes on") func notifies() throws {
        var policy = Policy.errors(max: 0.5)
        policy.checks.append(Check(name: "few-errors", kind: .errors(ErrorsCheck(max: 0.01)), action: .notify))
        let agent = try Agent.started(.sample(policies: [policy]))
        agent.run(90, candidateErrors: 0.2)
        #expect(agent.published == Weight(clamping: 5000))
        #expect(alarms(agent).count == 1)
        #expect(alarms(agent)[0].hasPrefix("check fails (action: notify): standard/few-errors: "))
        let note = "a check failed, which stops nothing (action: notify): standard/few-errors"
        #expect(agent.controller.view(of: "income")?.notes.contains { $0.hasPrefix(note) } == true)
        agent.run(120, candidateErrors: 0.2)
        #expect(agent.state().serving.name == "v2" && alarms(agent).count == 1)
    }
}
