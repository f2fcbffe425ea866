import Analysis
import GRDB
import PolicyModel
import RolloutController
import RolloutEngine
import Testing

@testable import RolloutStore

@Suite(.timeLimit(.minutes(15))) struct RoundTripTests {
    let directory = TemporaryDirectory()

    @Test("State, evidence and journal come back as they were, after closing and opening again")
    func comesBack() throws {
        var scene = Scene()
        let first = scene.start()
        let second = scene.feed(
            .command(Command(.pause, by: "bob", reason: "lunch")), evidence: scene.evidence(requests: 7))
        var alarm = second
        alarm.events.append(Event(.alarm, message: "numbers", weight: .full, evaluation: Scene.evaluation()))
        do {
            let store = try SQLiteStore(directory: directory.path)
            #expect(store.recovery == .createdNew)
            try store.commit(first)
            try store.commit(alarm)
        }
        let store = try SQLiteStore(directory: directory.path)
        #expect(store.recovery == .opened)
        let agent = try store.load()
        #expect(agent.unreadable.isEmpty)
        #expect(agent.services.map(\.state) == [scene.state])
        #expect(agent.services.first?.evidence == scene.evidence(requests: 7))
        #expect(agent.services.first?.state.seed == UInt64.max - 7)
        let entries = try store.events(service: nil, after: 0, limit: 100)
        #expect(entries.map(\.event) == first.events + alarm.events)
        #expect(entries.map(\.at) == first.events.map { _ in first.at } + alarm.events.map { _ in alarm.at })
        #expect(entries.last?.event.evaluation == Scene.evaluation())
    }

    @Test("Evidence stays when a change comes without it, and what was recorded since comes beside it")
    func evidenceStays() throws {
        let store = try SQLiteStore(directory: directory.path)
        var scene = Scene()
        var change = scene.start()
        let judge = SequentialJudge([], risk: Risk(), isKeyed: false)
        change.evidence = scene.evidence(requests: 1)
        change.evidence?.judge = .sequential(judge)
        let rollout = try #require(change.evidence?.rollout)
        var tick = ErrorTick(second: 7, step: 1)
        tick.trials[3] = 40
        tick.responses[3].add(503, 2)
        change.recording = [RecordingPart(rollout: rollout, head: .sequential(judge))]
        try store.commit(change)
        var next = change
        (next.evidence, next.events) = (nil, [])
        next.recording = [RecordingPart(rollout: rollout, items: [.errors(tick)])]
        try store.commit([next, next])
        let stored = try #require(try store.load().services.first)
        #expect(stored.evidence == change.evidence)
        #expect(stored.tail == [.errors(tick), .errors(tick)])
        let page = try #require(
            try store.recordingPage(service: change.state.service, rollout: rollout, after: 0, limit: 1 << 20))
        #expect(page.isWhole && page.next == nil && page.count == 2)
        #expect(try ItemCoding.decode([UInt8](page.items)) == stored.tail)
        #expect(page.head == (try store.json.text(Judge.sequential(judge))))
    }

    @Test("A stop is clean only between markStopped and the next markRunning")
    func cleanStop() throws {
        let store = try SQLiteStore(directory: directory.path)
        #expect(try store.load().stoppedCleanly)
        try store.markRunning()
        #expect(try store.load().stoppedCleanly == false)
        try store.markStopped()
        #expect(try store.load().stoppedCleanly)
    }

    @Test("The journal is paged forward and backward, of one service or of all")
    func pages() throws {
        let store = try SQLiteStore(directory: directory.path)
        var scenes = [Scene("a"), Scene("b")]
        for i in 0..<20 {
            let message = "\(i)"
            var change = scenes[i % 2].feed()
            change.events = [Event(.alarm, message: message)]
            try store.commit(change)
        }
        func messages(_ entries: [JournalEntry]) -> [String] { entries.map(\.event.message) }
        let all = try store.events(service: nil, after: 0, limit: 100)
        #expect(messages(all) == (0..<20).map(String.init))
        #expect(messages(try store.events(service: nil, after: all[4].id, limit: 3)) == ["5", "6", "7"])
        #expect(messages(try store.events(service: "b", after: all[4].id, limit: 3)) == ["5", "7", "9"])
        #expect(messages(try store.latestEvents(service: "a", limit: 2)) == ["16", "18"])
        #expect(try store.entry(id: all[3].id) == all[3])
        #expect(try store.entry(id: 9_999) == nil)
        #expect(try store.events(service: nil, after: 0, limit: 0).isEmpty)
        #expect(try store.events(service: nil, after: 0, limit: -1).isEmpty)
    }

    @Test("A page has a limit whatever is asked for")
    func pageLimit() throws {
        let store = try SQLiteStore(directory: directory.path)
        var scene = Scene()
        var change = scene.feed()
        change.events = (0...SQLiteStore.maximumPage).map { Event(.alarm, message: "\($0)") }
        try store.commit(change)
        #expect(try store.events(service: nil, after: 0, limit: .max).count == SQLiteStore.maximumPage)
    }

    @Test("A change that says nothing new writes nothing, one that does writes a few pages")
    func writesNothing() throws {
        let store = try SQLiteStore(directory: directory.path)
        var scene = Scene()
        var change = scene.start()
        change.evidence = scene.evidence(requests: 3)
        try store.commit(change)
        change.events = []
        let log = bytes(of: directory.file() + "-wal")
        for _ in 0..<5 {
            change.at += 1_000
            try store.commit(change)
        }
        let isUntouched = bytes(of: directory.file() + "-wal") == log
        #expect(isUntouched)
        change.evidence = scene.evidence(requests: 4)
        try store.commit(change)
        let grown = bytes(of: directory.file() + "-wal").count - log.count
        #expect((1...(16 << 10)).contains(grown))
    }

    @Test("A state that lacks a field which came later still loads")
    func olderState() throws {
        let store = try SQLiteStore(directory: directory.path)
        var scene = Scene()
        try store.commit(scene.start())
        try store.queue.write {
            try $0.execute(
                sql: """
                    UPDATE service_state SET state_checksum = NULL,
                        state = json_remove(json_set(state, '$.later', 1), '$.rollout.pause')
                    """)
        }
        #expect(try store.load().services.map(\.state) == [scene.state])
    }

    @Test("A state that cannot be read is named with the fix, does not hide the others, and is kept when overwritten")
    func unreadableState() throws {
        let store = try SQLiteStore(directory: directory.path)
        var a = Scene("a")
        var b = Scene("b")
        try store.commit(a.start())
        try store.commit(b.start())
        try store.queue.write {
            try $0.execute(
                sql: """
                    UPDATE service_state SET state_checksum = NULL, state = json_remove(state, '$.serving.name')
                    WHERE service = 'a'
                    """)
        }
        let agent = try store.load()
        #expect(agent.services.map(\.state) == [b.state])
        let words = try #require(agent.unreadable["a"])
        #expect(words.contains("stored state of a cannot be read: serving.name is missing"))
        #expect(words.contains("canaryctl unfreeze a"))
        try store.commit(a.feed())
        #expect(try store.load().unreadable.isEmpty)
        let kept = try store.queue.read { try Row.fetchAll($0, sql: "SELECT * FROM unreadable_state") }
        #expect(kept.count == 1)
        #expect((kept.first?["state"] as String?)?.contains("\"rolloutCount\":1") == true)
    }

    @Test("The profile of a rollout's judge is stored once, and another version's beside the judge")
    func profile() throws {
        let json = StableJSON()
        var scene = Scene()
        _ = scene.start()
        var profile = BaselineProfile()
        profile.observe(.errors(ErrorTick(second: 1, step: 1)))
        var evidence = scene.evidence(requests: 3)
        evidence.judge = .sequential(SequentialJudge([], risk: Risk(), isKeyed: false, profile: profile))
        evidence.profile = try #require(evidence.judge.profile)
        let once = try json.text(evidence)
        #expect(try json.value(Evidence.self, once) == evidence)
        evidence.profile.observe(.errors(ErrorTick(second: 2, step: 1)))
        for _ in 0..<20 { evidence.profile.observe(.errors(ErrorTick(second: 70, step: 1))) }
        let twice = try json.text(evidence)
        #expect(try json.value(Evidence.self, twice) == evidence)
        #expect(evidence.profile != evidence.judge.profile && twice.utf8.count > once.utf8.count + 500)
    }

    @Test("Evidence that cannot be read is named, and the state is there without it")
    func unreadableEvidence() throws {
        let store = try SQLiteStore(directory: directory.path)
        var scene = Scene()
        var change = scene.start()
        change.evidence = scene.evidence(requests: 3)
        try store.commit(change)
        try store.queue.write { try $0.execute(sql: "UPDATE evidence SET evidence = '{}'") }
        let agent = try store.load()
        #expect(agent.services.map(\.state) == [scene.state])
        #expect(agent.services.first?.evidence == nil)
        #expect(agent.unreadable["income"]?.contains("what the judge of income had gathered") == true)
    }

    @Test("Numbers of an entry that cannot be read do not hide the entry; an unknown kind is left out")
    func unreadableEntries() throws {
        let store = try SQLiteStore(directory: directory.path)
        var scene = Scene()
        try store.commit(scene.feed())
        try store.queue.write {
            try $0.execute(
                sql: """
                    INSERT INTO journal (at, service, kind, decision, generation, weight, by, message, evaluation)
                    VALUES (1, 'income', 'alarm', 0, 1, 0, 'x', 'known', '{}'),
                        (2, 'income', 'teleported', 0, 1, 0, 'x', 'unknown', NULL)
                    """)
        }
        let entries = try store.events(service: "income", after: 0, limit: 10)
        #expect(entries.count == 1)
        #expect(entries.first?.event.message.hasPrefix("known (its numbers were written by another version") == true)
        #expect(try store.latestEvents(service: nil, limit: 1).count == 1)
    }

    @Test("The journal cannot be rewritten")
    func appendOnly() throws {
        let store = try SQLiteStore(directory: directory.path)
        var scene = Scene()
        try store.commit(scene.start())
        #expect(throws: DatabaseError.self) {
            try store.queue.write { try $0.execute(sql: "UPDATE journal SET message = 'all was well'") }
        }
    }

    @Test("The log is synced at each commit, keys are enforced, and the file says whose it is")
    func pragmas() throws {
        let store = try SQLiteStore(directory: directory.path)
        let values = try store.queue.read { db in
            try ["journal_mode", "synchronous", "foreign_keys", "application_id", "user_version"].map {
                try String.fetchOne(db, sql: "PRAGMA \($0)")
            }
        }
        #expect(values == ["wal", "2", "1", "\(0x6361_6E61)", "\(Schema.migrator.migrations.count)"])
    }
}
