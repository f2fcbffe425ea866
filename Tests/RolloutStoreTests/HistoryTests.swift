import Analysis
import PolicyModel
import RolloutController
import RolloutEngine
import Testing
import Vocabulary

@testable import RolloutStore

@Suite(.timeLimit(.minutes(15))) struct HistoryTests {
    let directory = TemporaryDirectory()

    @Test("A rollout is in the history from its start, with the requests of its evidence")
    func running() throws {
        let store = try SQLiteStore(directory: directory.path)
        var scene = Scene()
        let start = scene.start()
        try store.commit(start)
        try store.commit(scene.feed(evidence: scene.evidence(requests: 42)))
        #expect(
            try store.history(service: "income", limit: 5) == [
                RolloutRecord(
                    id: "income-1", service: "income", baseline: Scene.old, candidate: Scene.new, startedAt: start.at,
                    candidateRequests: 42)
            ])
        #expect(try store.history(service: "other", limit: 5).isEmpty)
    }

    @Test("A revert closes it with reason, requests, and the journal id of the decision")
    func reverted() throws {
        let store = try SQLiteStore(directory: directory.path)
        var scene = Scene()
        try store.commit(scene.start())
        try store.commit(scene.feed(evidence: scene.evidence(requests: 42)))
        let end = scene.feed(
            .command(
                Command(
                    .revert(to: nil, force: false), by: "ann", reason: "recall", evaluation: Scene.evaluation())))
        try store.commit(end)
        let record = try #require(try store.history(service: "income", limit: 5).first)
        #expect(record.result == .reverted)
        #expect(record.endedAt == end.at)
        #expect(record.reason == "recall")
        #expect(record.candidateRequests == 412)
        let id = try #require(record.decision)
        let decision = try #require(try store.entry(id: id))
        #expect(decision.event.kind == .reverted)
        #expect(decision.event.evaluation == Scene.evaluation())
    }

    @Test("A promotion closes it against the baseline that it replaced, counting from the evidence")
    func promoted() throws {
        let store = try SQLiteStore(directory: directory.path)
        var scene = Scene()
        try store.commit(scene.start())
        try store.commit(scene.feed(evidence: scene.evidence(requests: 42)))
        try store.commit(scene.feed(.command(Command(.promote(force: false), by: "ann"))))
        let record = try #require(try store.history(service: "income", limit: 5).first)
        #expect(record.result == .promoted)
        #expect(record.baseline == Scene.old)
        #expect(record.candidate == Scene.new)
        #expect(record.candidateRequests == 42)
        #expect(record.reason.contains("promoted by hand"))
    }

    @Test("Start and end that reach the store in one change make one closed rollout")
    func oneChange() throws {
        let store = try SQLiteStore(directory: directory.path)
        var scene = Scene()
        let change = scene.feed(
            .declared(), .command(Command(.start, by: "ann")),
            .command(Command(.revert(to: nil, force: false), by: "ann", reason: "no")))
        try store.commit(change)
        let records = try store.history(service: "income", limit: 5)
        #expect(records.map(\.result) == [.reverted])
        #expect(records.first?.candidate == Scene.new)
        #expect(records.first?.reason == "no")
    }

    @Test("Tries of the same candidate are separate, newest first")
    func again() throws {
        let store = try SQLiteStore(directory: directory.path)
        var scene = Scene()
        for _ in 0..<3 {
            try store.commit(scene.feed(.declared(), .command(Command(.start, by: "ann"))))
            try store.commit(scene.feed(.command(Command(.revert(to: nil, force: false), by: "ann"))))
            try store.commit(scene.feed(.command(Command(.retry, by: "ann"))))
        }
        let records = try store.history(service: "income", limit: 2)
        #expect(records.count == 2)
        let all = try store.history(service: "income", limit: 10).filter { $0.result != .running }
        #expect(all.map(\.id) == ["income-3", "income-2", "income-1"])
    }

    @Test("A rollout that is restarted has ended, and was not reverted")
    func restarted() throws {
        let store = try SQLiteStore(directory: directory.path)
        var scene = Scene()
        try store.commit(scene.start())
        try store.commit(scene.feed(.command(Command(.restart, by: "ann"))))
        let record = try #require(try store.history(service: "income", limit: 5).first { $0.id == "income-1" })
        #expect(record.result == .ended && record.reason == "restarted with the files as they were last loaded")
    }

    @Test("A rollout whose state was dropped is closed in the history")
    func droppedState() throws {
        let store = try SQLiteStore(directory: directory.path)
        var scene = Scene()
        try store.commit(scene.start())
        let fresh = ServiceState(service: "income", serving: Scene.old, seed: 1)
        let alarm = Event(.alarm, message: "fp32 is gone from the file", by: "agent")
        try store.commit(StateChange(state: fresh, evidence: nil, events: [alarm], at: scene.wall + 5))
        let record = try #require(try store.history(service: "income", limit: 5).first)
        #expect(record.result == .ended)
        #expect(record.reason == "fp32 is gone from the file")
        #expect(record.endedAt == scene.wall + 5)
    }
}

@Suite(.timeLimit(.minutes(15))) struct RetentionTests {
    let directory = TemporaryDirectory()

    private func decide(_ kind: EventKind, _ n: Int, _ store: SQLiteStore, at: Int64) throws {
        var scene = Scene()
        for i in 0..<n {
            var change = scene.feed()
            change.at = at
            change.events = [Event(kind, message: "\(i)")]
            try store.commit(change)
        }
    }

    @Test("Entries beyond the newest are deleted, decisions stay")
    func byCount() throws {
        var retention = Retention()
        retention.entries = 50
        let store = try SQLiteStore(directory: directory.path, retention: retention)
        try decide(.stepStarted, 5, store, at: 1_000)
        try decide(.alarm, 200, store, at: 1_000)
        let left = try store.events(service: nil, after: 0, limit: 1_000).map(\.event)
        #expect(left.filter { $0.kind == .stepStarted }.count == 5)
        #expect(left.filter { $0.kind == .alarm }.map(\.message) == (150..<200).map(String.init))
    }

    @Test("Decisions are bounded in number as well")
    func decisionsByCount() throws {
        var retention = Retention()
        retention.decisions = 10
        let store = try SQLiteStore(directory: directory.path, retention: retention)
        try decide(.stepStarted, 60, store, at: 1_000)
        let left = try store.events(service: nil, after: 0, limit: 1_000)
        #expect(left.map(\.event.message) == (50..<60).map(String.init))
    }

    @Test("Old entries go in bites, old decisions much later")
    func byAge() throws {
        var uptime: Int64 = 0
        let store = try SQLiteStore(directory: directory.path, uptime: { uptime })
        let old: Int64 = 1_000
        try decide(.alarm, 100, store, at: old)
        try decide(.stepStarted, 3, store, at: old)
        let later = old + store.retention.entryAge + 1
        uptime = store.retention.entryAge + 1
        try decide(.alarm, 1, store, at: later)
        let afterOne = try store.events(service: nil, after: 0, limit: 1_000)
        #expect(afterOne.count == 104 - Retention.batchSize)
        try decide(.alarm, 1, store, at: later)
        #expect(try store.events(service: nil, after: 0, limit: 1_000).count == 5)
        uptime = store.retention.decisionAge + 1
        try decide(.stepStarted, 1, store, at: old + store.retention.decisionAge + 1)
        let left = try store.events(service: nil, after: 0, limit: 1_000)
        #expect(left.filter { $0.event.kind == .stepStarted }.count == 1)
    }

    @Test("A clock that is ten years ahead deletes no more than what became that old in the time that passed")
    func clockAhead() throws {
        let (day, year): (Int64, Int64) = (86_400_000, 365 * 86_400_000)
        var uptime: Int64 = 0
        let begin: Int64 = 1_790_000_000_000
        func messages(_ store: SQLiteStore) throws -> [Int64] {
            try store.events(service: nil, after: 0, limit: 1_000).map(\.at)
        }
        do {
            let store = try SQLiteStore(directory: directory.path, uptime: { uptime })
            for n in 0..<60 { try decide(.alarm, 1, store, at: begin + Int64(n) * day) }
            uptime += 60 * day
            try decide(.stepStarted, 1, store, at: begin + 60 * day)
            for _ in 0..<5 { try decide(.alarm, 1, store, at: begin + 10 * year) }
            #expect(try messages(store).count == 66)
            // Two days with the wrong clock cost the two oldest days.
            uptime += 2 * day
            try decide(.alarm, 1, store, at: begin + 10 * year)
            #expect(try messages(store).first == begin + 2 * day)
        }
        // Nor do restarts, however many, since an agent starts without knowing how long it was away.
        for _ in 0..<5 {
            let store = try SQLiteStore(directory: directory.path, uptime: { uptime })
            try decide(.stepStarted, 2, store, at: begin + 10 * year)
        }
        let store = try SQLiteStore(directory: directory.path, uptime: { uptime })
        #expect(try messages(store).first == begin + 2 * day)
        // Back to the right time: nothing is due.
        uptime += day
        try decide(.alarm, 2, store, at: begin + 63 * day)
        #expect(try messages(store).first == begin + 2 * day)
        // The clock's least and largest values end nothing.
        for at in [Int64.min, .max] { try decide(.stepStarted, 1, store, at: at) }
    }

    @Test("The history keeps so many rollouts and lets go of their decisions")
    func rollouts() throws {
        var retention = Retention()
        retention.rollouts = 3
        retention.decisions = 2
        let store = try SQLiteStore(directory: directory.path, retention: retention)
        var scene = Scene()
        for _ in 0..<6 {
            try store.commit(scene.feed(.declared(), .command(Command(.start, by: "ann"))))
            try store.commit(
                scene.feed(
                    .command(Command(.revert(to: nil, force: false), by: "ann")), .command(Command(.retry, by: "ann")))
            )
        }
        let records = try store.history(service: "income", limit: 100)
        #expect(records.count <= 4)
        #expect(records.contains { $0.result == .reverted && $0.decision == nil })
    }
}
