import PolicyModel
import RolloutController
import RolloutEngine
import TestSupport
import Testing

/// In which order things are written and put in force, also on a disk that is full.
@Suite(.timeLimit(.minutes(15))) struct WriteOrderTests {
    @Test("a weight that rises is committed before it is published")
    func raising() throws {
        let agent = try Agent.started()
        agent.log.removeAll()
        agent.run(1)
        #expect(agent.weight == Weight(clamping: 1000))
        let committed = agent.log.actions.firstIndex {
            if case .committed(_, let weight, _) = $0 { weight == Weight(clamping: 1000) } else { false }
        }
        let published = agent.log.actions.firstIndex {
            if case .published(_, let weight, _) = $0 { weight == Weight(clamping: 1000) } else { false }
        }
        #expect(try #require(committed) < #require(published))
    }

    @Test("a weight that falls is published before it is committed")
    func lowering() throws {
        let agent = try Agent.started()
        agent.run(5)
        agent.log.removeAll()
        #expect(agent.say(.revert(to: nil, force: false)).isDurable)
        #expect(
            agent.log.actions.prefix(2) == [
                .published(service: "income", weight: .zero, generation: 4),
                .committed(service: "income", weight: .zero, generation: 4),
            ])
    }

    @Test("on a full disk a revert is in force, marked, told as not durable, and written when the disk is well")
    func revertOnFullDisk() throws {
        let agent = try Agent.started()
        agent.run(5)
        agent.disk.isFull = true
        let outcome = agent.say(.revert(to: nil, force: false))
        #expect(outcome.isDone && !outcome.isDurable)
        #expect(agent.published == .zero)
        #expect(agent.marker.states["income"] == agent.state())
        #expect(agent.stored?.rollout != nil)
        #expect(agent.controller.view(of: "income")?.isDurable == false)
        agent.run(30)
        let alarms = agent.listener.messages(of: .alarm)
        #expect(alarms == ["the state cannot be written: no space left on device"])
        #expect(agent.listener.deferredWrites == 0)
        agent.disk.isFull = false
        agent.run(5)
        #expect(agent.listener.deferredWrites == 1, "with the first write, and with no later one")
        #expect(agent.stored == agent.state())
        #expect(agent.marker.states.isEmpty)
        #expect(agent.controller.view(of: "income")?.isDurable == true)
        #expect(agent.disk.journal.filter { $0.event.kind == .reverted }.count == 1)
    }

    @Test("a failing check reverts on a full disk as well")
    func automaticRevertOnFullDisk() throws {
        let agent = try Agent.started()
        agent.run(5)
        agent.disk.isFull = true
        agent.run(40, candidateErrors: 0.5)
        #expect(agent.state().rollout == nil)
        #expect(agent.published == .zero)
        #expect(agent.marker.states["income"]?.refused?.identity.name == "v2")
    }

    @Test("on a full disk nothing rises: promote changes nothing and says so, and so does a step")
    func raisingOnFullDisk() throws {
        let agent = try Agent.started()
        agent.run(5)
        let before = agent.state()
        agent.disk.isFull = true
        agent.log.removeAll()
        #expect(agent.say(.promote(force: true)).notWritten == "no space left on device")
        #expect(agent.say(.advance).notWritten != nil)
        #expect(agent.state() == before)
        agent.run(120)
        #expect(agent.published == Weight(clamping: 1000))
        #expect(agent.log.actions.allSatisfy { if case .published = $0 { false } else { true } })
        agent.disk.isFull = false
        agent.run(2)
        #expect(agent.published == Weight(clamping: 5000))
    }

    @Test("resuming and unfreezing a rollout wait for the disk; pausing and freezing do not")
    func stopping() throws {
        let agent = try Agent.started()
        agent.run(5)
        agent.disk.isFull = true
        let paused = agent.say(.pause)
        #expect(paused.isDone && !paused.isDurable)
        #expect(agent.say(.resume).notWritten != nil)
        #expect(agent.state().rollout?.pause != nil)
        #expect(agent.say(.freeze).isDone)
        #expect(agent.say(.unfreeze).isDone == false || agent.state().rollout?.pause != nil)
    }

    @Test("a freeze that could not be written survives a crash in the runtime directory")
    func freezeOnFullDisk() throws {
        let agent = try Agent.started()
        agent.run(5)
        agent.disk.isFull = true
        agent.say(.freeze)
        let next = try agent.successor()
        #expect(next.state().freeze?.by == "ada")
    }

    @Test("a return to an earlier version does not wait for the disk")
    func returnOnFullDisk() throws {
        let agent = try Agent.started()
        agent.run(2)
        agent.say(.promote(force: true))
        #expect(agent.state().serving.name == "v2")
        agent.disk.isFull = true
        let outcome = agent.say(.revert(to: "v1", force: false))
        #expect(outcome.isDone && !outcome.isDurable)
        #expect(agent.plane.service("income")?.baseline.name == "v1")
        let next = try agent.successor()
        #expect(next.state().serving.name == "v1")
    }

    @Test("a file that names another candidate ends the old one on a full disk, and starts the new one after it")
    func changedCandidateOnFullDisk() throws {
        let agent = try Agent.started()
        agent.run(5)
        agent.disk.isFull = true
        _ = try agent.controller.apply(.sample([.sample(candidate: "v3")]))
        #expect(agent.state().rollout == nil)
        #expect(agent.published == .zero)
        agent.run(3)
        #expect(agent.state().rollout == nil)
        agent.disk.isFull = false
        agent.run(2)
        #expect(agent.state().rollout?.candidate.name == "v3")
    }

    @Test("requests that are dealt as before while a slow disk takes a step are no mismatch of the split")
    func slowDisk() throws {
        let agent = try Agent.started()
        let half = Weight(clamping: 5000)
        agent.disk.onCommit = { [unowned agent] change in
            guard change.state.split.candidate == half, agent.published < half else { return }
            for _ in 0..<2 { agent.pass() }
        }
        for _ in 0..<90 where agent.published < half { agent.run(1) }
        #expect(agent.published == half)
        for _ in 0..<10 {
            agent.run(1)
            #expect(agent.hasMismatch == false)
        }
        let ticks = try agent.latencyTicks
        #expect(ticks.contains { $0.share == half })
        #expect(ticks.allSatisfy { $0.isAsIntended })
    }

    @Test("an agent that cannot be marked as running is as careful as after a crash")
    func unmarked() throws {
        let agent = try Agent.started()
        agent.run(5)
        agent.controller.stop()
        #expect(agent.disk.stoppedCleanly)
        agent.disk.isFull = true
        let next = try agent.successor()
        next.run(10)
        #expect(next.published == .zero)
        next.disk.isFull = false
        next.run(2)
        #expect(next.published == Weight(clamping: 1000))
        #expect(!next.disk.stoppedCleanly)
    }

    @Test("a lowered split that can be neither written nor marked is told, also where the disk was full before")
    func notEvenMarked() throws {
        let agent = try Agent.started()
        agent.run(5)
        agent.disk.isFull = true
        agent.run(20)
        agent.marker.isBroken = true
        agent.say(.revert(to: nil, force: false))
        let undone = "a crash now would undo what is in force"
        #expect(agent.listener.messages(of: .alarm).count { $0.contains(undone) } == 1)
        #expect(agent.controller.view(of: "income")?.notes.contains { $0.contains(undone) } == true)
        agent.run(20)
        #expect(agent.listener.messages(of: .alarm).count { $0.contains(undone) } == 1)
        // Where there is room for a mark before there is room for the state, it is made.
        agent.marker.isBroken = false
        agent.run(20)
        #expect(agent.controller.view(of: "income")?.notes.contains { $0.contains(undone) } == false)
        #expect(try agent.successor().state().rollout == nil)
    }

    @Test("events that cannot be written are bounded")
    func bounded() throws {
        let agent = try Agent.started()
        agent.run(5)
        agent.disk.isFull = true
        for _ in 0..<500 {
            agent.say(.freeze)
            agent.say(.unfreeze)
            agent.say(.pause)
        }
        agent.disk.isFull = false
        let before = agent.disk.journal.count
        agent.run(1)
        #expect(agent.disk.journal.count - before <= 1010)
    }
}
