import PolicyModel
import RolloutController
import TestSupport
import Testing

/// Many services that move in one turn.
@Suite(.timeLimit(.minutes(15))) struct GroupTests {
    private static let names = (0..<20).map { "service-\($0)" }

    private static func configuration(candidate: String?) -> Configuration {
        .sample(names.map { .sample($0, candidate: candidate) })
    }

    @Test("a start is one transaction, and so is a reload that ends every rollout, with one plan for what it lowers")
    func oneTransaction() throws {
        let agent = try Agent.started(Self.configuration(candidate: "v2"))
        #expect(agent.disk.transactions == 1)
        agent.run(3)
        #expect(Self.names.allSatisfy { agent.plane.service($0)?.split.candidate == Weight(clamping: 1000) })
        let (transactions, plans) = (agent.disk.transactions, agent.plane.publications)
        _ = try agent.controller.apply(Self.configuration(candidate: nil))
        #expect(Self.names.allSatisfy { agent.plane.service($0)?.split.candidate == .zero })
        #expect(agent.disk.transactions == transactions + 1)
        // One for what is lowered, one at the end of a reload.
        #expect(agent.plane.publications == plans + 2)
        let ends = agent.disk.journal.filter { $0.event.kind == .ended }
        #expect(ends.count == Self.names.count)
        // The history takes the number of requests from it.
        #expect(ends.allSatisfy { $0.event.evaluation?.candidate.requests ?? 0 > 0 })
    }

    @Test("a service whose change cannot be written keeps no other from the disk, and is told apart")
    func oneCannot() throws {
        let agent = try Agent.started(Self.configuration(candidate: "v2"))
        agent.run(1)
        agent.disk.refused = ["service-3"]
        _ = try agent.controller.apply(Self.configuration(candidate: nil))
        #expect(Self.names.allSatisfy { agent.plane.service($0)?.split.candidate == .zero })
        let isDurable = Self.names.map { agent.controller.view(of: $0)?.isDurable }
        #expect(isDurable == Self.names.map { $0 != "service-3" })
        #expect(agent.marker.states.keys.sorted() == ["service-3"])
        agent.disk.refused = []
        agent.run(1)
        #expect(agent.controller.view(of: "service-3")?.isDurable == true && agent.marker.states.isEmpty)
    }

    @Test("what changes without an event is written within five seconds, a share of the services each second")
    func turns() throws {
        let agent = try Agent.started(Self.configuration(candidate: "v2"))
        agent.run(10)
        var written: Set<String> = []
        var most = 0
        for _ in 0..<5 {
            agent.log.removeAll()
            agent.run(1)
            let now = agent.log.actions.compactMap { if case .committed(let name, _, _) = $0 { name } else { nil } }
            most = max(most, now.count)
            written.formUnion(now)
        }
        #expect(written.count == Self.names.count && most < Self.names.count)
    }

    @Test("a lock on the database is waited for once in a turn, and not once for each service")
    func locked() throws {
        let agent = try Agent.started(Self.configuration(candidate: "v2"))
        agent.run(10)
        let before = agent.disk.transactions
        agent.disk.isLocked = true
        agent.run(5)
        #expect(agent.disk.transactions == before + 5)
        agent.disk.isLocked = false
        agent.log.removeAll()
        agent.run(5)
        let written = agent.log.actions.compactMap { if case .committed(let name, _, _) = $0 { name } else { nil } }
        #expect(Set(written) == Set(Self.names))
    }

    @Test("a service that cannot be written does not keep the others that are due from the disk")
    func oneIsRefusedInTurn() throws {
        let agent = try Agent.started(Self.configuration(candidate: "v2"))
        agent.run(10)
        agent.disk.refused = ["service-3"]
        agent.log.removeAll()
        agent.run(5)
        let written = agent.log.actions.compactMap { if case .committed(let name, _, _) = $0 { name } else { nil } }
        #expect(Set(written) == Set(Self.names).subtracting(["service-3"]))
    }
}
