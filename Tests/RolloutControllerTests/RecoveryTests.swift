import Analysis
import PolicyModel
import RolloutController
import RolloutEngine
import TestSupport
import Testing

/// What a new agent makes of what the last one left.
@Suite(.timeLimit(.minutes(15))) struct RecoveryTests {
    private static let tenPercent = Weight(clamping: 1000)

    @Test("after a goodbye the committed split is in force before anything is dealt, and the step goes on")
    func clean() throws {
        let agent = try Agent.started()
        agent.run(31)
        agent.controller.stop()
        let next = try agent.successor()
        #expect(next.published == Self.tenPercent)
        #expect(next.state().rollout?.held == .seconds(30))
        next.run(31)
        #expect(next.published == Weight(clamping: 5000))
    }

    @Test("after a crash the candidate gets nothing until a first healthy evaluation, then what was committed")
    func unclean() throws {
        let agent = try Agent.started()
        agent.run(41)
        let next = try agent.successor()
        #expect(next.published == .zero)
        #expect(next.plane.service("income")?.candidate == nil)
        next.run(1)
        #expect(next.published == Self.tenPercent)
        let held = try #require(next.state().rollout).held
        #expect(held >= .seconds(35) && held <= .seconds(40))
    }

    @Test("the third crash under one rollout reverts it")
    func crashLoop() throws {
        var agent = try Agent.started()
        for _ in 0..<3 {
            agent.run(3)
            agent = try agent.successor()
        }
        #expect(agent.state().rollout == nil)
        #expect(agent.state().refused?.reason.contains("3 times") == true)
    }

    @Test("an agent that cannot open its port writes nothing: its restarts are no crashes under a rollout")
    func portInUse() throws {
        let agent = try Agent.started()
        agent.run(5)
        let stored = agent.stored
        for _ in 0..<5 {
            let next = Agent(agent.controller.configuration, disk: agent.disk)
            next.plane.prepareFails = true
            #expect(throws: PortInUse.self) { try next.controller.start() }
        }
        #expect(agent.stored == stored)
        #expect(try agent.successor().state().rollout?.uncleanStops == 1)
    }

    @Test("a lower split in the runtime directory wins over the store; an outdated one does not")
    func marker() throws {
        let agent = try Agent.started()
        agent.run(5)
        let outdated = agent.state()
        agent.disk.isFull = true
        agent.say(.revert(to: nil, force: false))
        agent.disk.isFull = false
        let next = try agent.successor()
        #expect(next.state().rollout == nil)
        #expect(next.stored?.rollout == nil)
        #expect(next.marker.states.isEmpty)
        next.marker.states["income"] = outdated
        let third = try next.successor()
        #expect(third.state().rollout == nil)
        #expect(third.marker.states.isEmpty)
    }

    @Test("a lowered split that cannot be read ends the rollout and freezes: it may have been reverted, or frozen")
    func unreadableMark() throws {
        let agent = try Agent.started()
        agent.run(5)
        agent.disk.isFull = true
        agent.say(.revert(to: nil, force: false))
        agent.disk.isFull = false
        agent.marker.unreadable["income"] = "/run/income.lowered.json: it is damaged"
        let next = try agent.successor()
        #expect(next.listener.messages(of: .alarm).contains { $0.contains("it is damaged") })
        next.run(20)
        #expect(next.published == .zero && next.state().rollout == nil)
        #expect(next.state().freeze?.reason.contains("it is damaged") == true)
        #expect(next.state().refused?.reason.contains("it is damaged") == true)
        // It is read once: the freeze is on disk now.
        #expect(next.marker.unreadable.isEmpty)
        next.say(.unfreeze)
        next.run(20)
        #expect(try next.successor().state().freeze == nil)
    }

    @Test("a lowered split that cannot be read freezes a service without a rollout, and a service without a state")
    func unreadableMarkWithoutRollout() throws {
        let agent = Agent()
        agent.marker.unreadable["income"] = "it is damaged"
        try agent.controller.start()
        agent.run(20)
        #expect(agent.published == .zero)
        #expect(agent.state().freeze?.reason.contains("it is damaged") == true)
    }

    @Test("with lost state the file's baseline serves, nothing starts until someone unfreezes, and the alarm is raised")
    func lostState() throws {
        let agent = Agent()
        agent.disk.isUnreadable = true
        try agent.controller.start()
        agent.run(20)
        #expect(agent.plane.service("income")?.baseline.name == "v1")
        #expect(agent.published == .zero)
        #expect(agent.state().freeze?.reason.contains("lost") == true)
        #expect(agent.listener.messages(of: .alarm).contains { $0.contains("the stored state was lost") })
        agent.say(.unfreeze)
        agent.run(2)
        #expect(agent.published == Self.tenPercent)
    }

    @Test("a serving version that the file does not declare any more freezes the service on the file's baseline")
    func goneVersion() throws {
        let agent = try Agent.started()
        agent.run(2)
        agent.say(.promote(force: true))
        agent.controller.stop()
        let next = try agent.successor(
            .sample([.sample(candidate: "v3", versions: [.sample("v1"), .sample("v3")])]))
        #expect(next.plane.service("income")?.baseline.name == "v1")
        #expect(next.state().freeze != nil)
        #expect(next.state().generation > agent.state().generation)
        #expect(next.listener.messages(of: .alarm).contains { $0.contains("v2 served") })
    }

    @Test("after a promotion the same files start nothing")
    func promoted() throws {
        let agent = try Agent.started()
        agent.run(2)
        agent.say(.promote(force: true))
        agent.controller.stop()
        let next = try agent.successor()
        next.run(5)
        #expect(next.state().rollout == nil)
        #expect(next.state().serving.name == "v2")
        #expect(next.controller.view(of: "income")?.notes.contains { $0.contains("change that line") } == true)
    }

    @Test("evidence goes on where it was: failures count over a restart, requests since the start too")
    func evidence() throws {
        let limits = ThresholdLimits(failureLimit: 3)
        var service = Service.sample()
        service.analysis.judge = .threshold
        let agent = try Agent.started(.sample([service], policies: [.errors(limits: limits)]))
        agent.run(21, candidateErrors: 0.5)
        let failures = agent.controller.view(of: "income")?.evaluation?.results.first?.failures
        #expect(try #require(failures) >= 1)
        let requests = agent.controller.view(of: "income")!.candidate!.requests
        let next = try agent.successor()
        next.run(1)
        let view = try #require(next.controller.view(of: "income"))
        #expect(try #require(view.evaluation?.results.first).failures >= failures! - 1)
        #expect(view.candidate!.requests + 60 >= requests)
    }

    @Test("a killed agent's judge goes on bit for bit: what it took in after it was written is replayed")
    func replayedTail() throws {
        let agent = try Agent.started()
        agent.run(47, candidateErrors: 0.01)
        func judge(_ stored: StoredService?) throws -> SequentialJudge {
            guard case .sequential(let judge)? = stored?.evidence?.judge else {
                throw DiskFull()
            }
            return judge
        }
        let stored = try #require(agent.disk.services["income"])
        var replayed = try judge(stored)
        #expect(!stored.tail.isEmpty)
        for item in stored.tail { replayed.take(item) }
        #expect(replayed.items >= 80)
        let next = try agent.successor()
        next.controller.stop()
        let restored = try judge(next.disk.services["income"])
        #expect(restored.items == replayed.items)
        let isSame = restored == replayed
        #expect(isSame)
    }

    /// What the disk last held is what counts, at whatever write the agent died.
    @Test("a crash after any write of a random script leaves what was acknowledged", arguments: 1...12)
    func crashes(seed: Int) throws {
        var random = SplitMix64(seed: UInt64(seed))
        let configuration = Configuration.sample([
            .sample(
                strategy: Strategy(
                    steps: [
                        .weight(Weight(clamping: 500), hold: .seconds(10)),
                        .weight(Weight(clamping: 2500), hold: .seconds(20)),
                        .weight(Weight(clamping: 5000), hold: .seconds(20)),
                    ], bake: Bake(duration: .seconds(30))))
        ])
        var agent = try Agent.started(configuration)
        for _ in 0..<4 {
            agent.disk.writesLeft = Int.random(in: 0...25, using: &random)
            var acknowledged = agent.stored
            for _ in 0..<40 {
                var isDurable = true
                if random.chance(0.2) {
                    let verbs: [Command.Verb] = [
                        .pause, .resume, .advance, .freeze, .unfreeze, .revert(to: nil, force: false), .retry,
                        .promote(force: false),
                    ]
                    let outcome = agent.say(random.pick(verbs))
                    isDurable = outcome.isDurable || !outcome.isDone
                }
                agent.run(1, rate: 20, candidateErrors: random.chance(0.1) ? 0.5 : 0)
                if agent.disk.writesLeft == 0 { break }
                if isDurable { acknowledged = agent.state() }
            }
            let last = try #require(agent.stored)
            // Never more in force than the disk knows of.
            #expect(agent.published <= last.split.candidate || agent.state().generation <= last.generation)
            let marked = agent.marker.states["income"]
            agent.disk.writesLeft = nil
            let next = try agent.successor()
            let recovered = marked.map { $0.generation >= last.generation ? $0 : last } ?? last
            #expect(next.published == .zero || next.state().rollout?.isRecovering == false)
            if recovered.rollout != nil, recovered.rollout?.phase != .waiting {
                #expect(next.published == .zero)
                #expect(next.state().rollout?.phase == recovered.rollout?.phase || next.state().rollout == nil)
            }
            #expect(next.state().serving == recovered.serving)
            #expect(next.state().freeze == recovered.freeze)
            if let acknowledged {
                #expect(next.state().generation >= acknowledged.generation)
                if let phase = acknowledged.rollout?.phase, next.state().rollout?.phase == phase,
                    next.state().rollout?.id == acknowledged.rollout?.id
                {
                    let lost = acknowledged.rollout!.held - next.state().rollout!.held
                    #expect(lost <= .seconds(6))
                }
            }
            next.run(1)
            // A step whose time was over may have followed, once it was on disk.
            #expect(
                next.published <= recovered.split.candidate || recovered.rollout?.phase == .waiting
                    || next.stored?.split.candidate == next.published)
            agent = next
        }
    }
}
