import Analysis
import FoundationEssentials
import PolicyModel
import RolloutController
import RolloutEngine
import TestSupport
import Testing

extension LatencyTick {
    /// Its requests were dealt by the split that the judge was told of, or it was told of none.
    var isAsIntended: Bool {
        share == .zero || Int(assigned[1]) * 10_000 == share.basisPoints * Int(assigned[0] + assigned[1])
    }
}

/// What the next agent's judge is, whenever the last one died.
@Suite(.timeLimit(.minutes(15))) struct JudgeContinuityTests {
    private static let half = Weight(clamping: 5000)

    private func atHalf() throws -> Agent {
        let agent = try Agent.started()
        for _ in 0..<90 where agent.published < Self.half { agent.run(1) }
        #expect(agent.published == Self.half)
        return agent
    }

    /// The judge that a restart goes on with is the one that a replay of the recording gives.
    private func isReplayable(_ agent: Agent) throws -> Bool {
        let stored = try #require(agent.disk.services["income"])
        var resumed = try #require(stored.evidence).judge
        resumed.take(stored.tail)
        let head = try #require(agent.disk.recordings["income"]?["income-1"]?.head)
        var replayed = try JSONDecoder().decode(Judge.self, from: Data(head.utf8))
        let items = try agent.recorded
        replayed.take(items)
        return !items.isEmpty && resumed == replayed
    }

    @Test("a step that began just before a crash is the one that runs after it") func stepNumber() throws {
        let agent = try atHalf()
        let next = try agent.successor()
        let before = try next.latencyTicks
        #expect(before.last?.step == 1)
        next.run(10)
        next.controller.stop()
        let after = try next.latencyTicks.dropFirst(before.count)
        #expect(!after.isEmpty && after.allSatisfy { $0.step == 2 })
    }

    @Test("a candidate that a crash takes out and that comes back is no mismatch of the split, and is watched for one")
    func takenOut() throws {
        let agent = try atHalf()
        agent.run(5)
        let next = try agent.successor()
        let before = try next.latencyTicks.count
        for _ in 0..<20 {
            next.run(1)
            #expect(next.hasMismatch == false)
        }
        next.controller.stop()
        let after = try next.latencyTicks.dropFirst(before)
        #expect(after.allSatisfy { $0.isAsIntended })
        #expect(after.first?.share == .zero && after.last?.share == Self.half)
    }

    @Test("a rollout whose evidence cannot be read goes on where it was, is judged from nothing, and someone is told")
    func unreadable() throws {
        let agent = try Agent.started()
        agent.run(31)
        agent.disk.services["income"]?.evidence = nil
        agent.disk.services["income"]?.tail = []
        agent.disk.unreadable["income"] = "what the judge of income had gathered cannot be read"
        let next = try agent.successor()
        #expect(next.listener.messages(of: .alarm) == ["what the judge of income had gathered cannot be read"])
        #expect(next.state().rollout?.held ?? .zero >= .seconds(20))
        next.run(45)
        #expect(next.published == Self.half && next.state().rollout?.id == "income-1")
        #expect(try isReplayable(next))
        next.run(60, candidateErrors: 0.5)
        #expect(next.state().refused?.identity.name == "v2")
    }

    @Test("a judge that waited for someone to start the rollout begins with what was seen meanwhile, crash or not")
    func started() throws {
        var strategy = Strategy.brief
        strategy.start = .manual
        for crashes in [false, true] {
            var agent = try Agent.started(.sample([.sample(strategy: strategy)]))
            agent.run(300)
            agent.say(.start)
            if crashes { agent = try agent.successor() }
            agent.run(1)
            #expect(agent.disk.services["income"]?.evidence?.rollout == "income-1")
            agent.run(10)
            #expect(try isReplayable(agent))
            guard case .sequential(let judge)? = agent.disk.services["income"]?.evidence?.judge else {
                Issue.record("no judge")
                return
            }
            #expect(judge.profile.total.total > 10_000)
        }
    }
}
