import Analysis
import GRDB
import Glibc
import PolicyModel
import RolloutController
import RolloutEngine
import Testing

@testable import RolloutStore

@Suite(.timeLimit(.minutes(15))) struct DamageTests {
    let directory = TemporaryDirectory()

    /// A database of some size, closed; its bytes.
    private func filled() throws -> [UInt8] {
        var scene = Scene()
        do {
            let store = try SQLiteStore(directory: directory.path)
            try store.commit(scene.start())
            for i in 0..<200 {
                var change = scene.feed()
                change.events = [Event(.alarm, message: "entry \(i)", evaluation: Scene.evaluation())]
                try store.commit(change)
            }
        }
        return bytes(of: directory.file())
    }

    private func expectKeptAside(_ damaged: [UInt8], _ what: Comment) throws {
        let store = try SQLiteStore(directory: directory.path)
        guard case .keptAside(let path, let reason) = store.recovery else {
            Issue.record("\(what): \(store.recovery)")
            return
        }
        #expect(path.hasPrefix(directory.file("canaryd.sqlite.corrupt-")), what)
        let isUntouched = bytes(of: path) == damaged
        #expect(isUntouched, what)
        #expect(!reason.isEmpty, what)
        #expect(try store.load().services.isEmpty, what)
        // The new one works.
        var scene = Scene()
        try store.commit(scene.start())
        #expect(try store.load().services.count == 1, what)
    }

    @Test("Garbage in header, schema or pages: kept aside, byte by byte, and a fresh one works")
    func overwritten() throws {
        let whole = try filled()
        let pageSize = 4096
        // The middle of a page may be text, which only its reader can find damaged.
        let middle = whole.count / 2 / pageSize * pageSize
        let places = [0, 16, 100, pageSize + 3, 3 * pageSize, middle, whole.count - pageSize]
        for place in places {
            var damaged = whole
            for i in place..<min(place + 200, whole.count) { damaged[i] = 0xA5 }
            write(damaged, to: directory.file())
            try expectKeptAside(damaged, "from byte \(place)")
            unlink(directory.file())
        }
    }

    @Test("A truncated database is kept aside, down to nothing")
    func truncated() throws {
        let whole = try filled()
        for length in [0, 1, 50, 100, 4096, whole.count / 2, whole.count - 4096, whole.count - 1] {
            let damaged = Array(whole[..<length])
            write(damaged, to: directory.file())
            try expectKeptAside(damaged, "\(length) bytes left of \(whole.count)")
            unlink(directory.file())
        }
    }

    @Test("Another program's database is kept aside as well")
    func foreign() throws {
        let other = try DatabaseQueue(path: directory.file())
        try other.write { try $0.execute(sql: "CREATE TABLE t (x)") }
        try other.close()
        try expectKeptAside(bytes(of: directory.file()), "foreign")
    }

    @Test("Log and index go aside with the database; a log whose database is gone is damage too")
    func withLog() throws {
        write([1, 2, 3], to: directory.file())
        write([4], to: directory.file("canaryd.sqlite-wal"))
        write([5], to: directory.file("canaryd.sqlite-shm"))
        var aside: [String] = []
        do {
            let store = try SQLiteStore(directory: directory.path)
            guard case .keptAside(let path, _) = store.recovery else { throw store.recovery.unexpected }
            aside.append(path)
            #expect(bytes(of: path) == [1, 2, 3])
            #expect(bytes(of: path + "-wal") == [4])
            #expect(bytes(of: path + "-shm") == [5])
        }
        unlink(directory.file())
        write([6], to: directory.file("canaryd.sqlite-wal"))
        let store = try SQLiteStore(directory: directory.path)
        guard case .keptAside(let path, _) = store.recovery else { throw store.recovery.unexpected }
        #expect(path != aside[0])
        #expect(bytes(of: path + "-wal") == [6])
        #expect(bytes(of: aside[0]) == [1, 2, 3])
    }

    @Test("A database that is gone after a clean stop is a loss, however often the agent starts before it can commit")
    func missing() throws {
        _ = try filled()
        for suffix in ["", "-wal", "-shm"] { unlink(directory.file("canaryd.sqlite" + suffix)) }
        for _ in 0..<3 {
            // An agent that finds its port in use dies here: nothing is committed.
            let store = try SQLiteStore(directory: directory.path)
            let lost = try #require(store.recovery.lostState)
            #expect(lost.hasPrefix("\(directory.file()) is missing"))
            #expect(try store.load().services.isEmpty)
        }
        do {
            var scene = Scene()
            try SQLiteStore(directory: directory.path).commit(scene.start())
        }
        #expect(try SQLiteStore(directory: directory.path).recovery == .opened)
    }

    @Test("A damaged database stays a loss until something is committed")
    func damagedTwice() throws {
        _ = try filled()
        // Written by a version that did not make the file.
        unlink(directory.file("canaryd.initialized"))
        write([1, 2, 3], to: directory.file())
        let lost = try #require(SQLiteStore(directory: directory.path).recovery.lostState)
        #expect(lost.contains("is kept as \(directory.file("canaryd.sqlite.corrupt-"))"))
        #expect(try SQLiteStore(directory: directory.path).recovery.lostState == lost)
        unlink(directory.file())
        #expect(try SQLiteStore(directory: directory.path).recovery.lostState == lost)
    }

    @Test("A start that committed nothing is followed by another first start; a directory that is gone too")
    func firstStarts() throws {
        do { try SQLiteStore(directory: directory.path).commit([]) }
        #expect(try SQLiteStore(directory: directory.path).recovery == .opened)
        unlink(directory.file())
        #expect(try SQLiteStore(directory: directory.path).recovery == .createdNew)
        _ = try filled()
        for name in directory.names() { unlink(directory.file(name)) }
        #expect(try SQLiteStore(directory: directory.path).recovery == .createdNew)
    }

    @Test("Where the file cannot be written the commit stands, and the next one tries again")
    func initializationRefused() throws {
        var scene = Scene()
        let store = try SQLiteStore(directory: directory.path)
        // A directory under this name is in the way of the rename.
        mkdir(directory.file("canaryd.initialized.new"), 0o700)
        try store.commit(scene.start())
        #expect(!directory.names().contains("canaryd.initialized"))
        rmdir(directory.file("canaryd.initialized.new"))
        try store.commit(scene.feed(.command(Command(.pause, by: "ann"))))
        #expect(directory.names().contains("canaryd.initialized"))
    }

    @Test("A loss whose end could not be written ends with a commit after the next start")
    func lossEndsLate() throws {
        _ = try filled()
        let missing = "\(directory.file()) is missing"
        write([1, 2, 3], to: directory.file())
        var scene = Scene()
        do {
            let store = try SQLiteStore(directory: directory.path)
            mkdir(directory.file("canaryd.initialized.new"), 0o700)
            try store.commit(scene.start())
            rmdir(directory.file("canaryd.initialized.new"))
        }
        do {
            let store = try SQLiteStore(directory: directory.path)
            #expect(store.recovery == .opened)
            try store.commit(scene.feed(.command(Command(.pause, by: "ann"))))
        }
        for suffix in ["", "-wal", "-shm"] { unlink(directory.file("canaryd.sqlite" + suffix)) }
        // The new loss is reported, not the earlier one.
        let lost = try #require(SQLiteStore(directory: directory.path).recovery.lostState)
        #expect(lost.hasPrefix(missing), "\(lost)")
    }

    @Test("A damaged log loses the last commits at most, never a part of one")
    func damagedLog() throws {
        var scene = Scene()
        let copy = TemporaryDirectory()
        do {
            let store = try SQLiteStore(directory: directory.path)
            try store.commit(scene.start())
            for _ in 0..<20 {
                scene.state.rolloutCount += 1
                var change = scene.feed()
                change.events = [Event(.alarm, message: "\(scene.state.rolloutCount)")]
                try store.commit(change)
            }
            write(bytes(of: directory.file()), to: copy.file())
            var log = bytes(of: directory.file("canaryd.sqlite-wal"))
            for i in 0..<64 { log[log.count / 2 + i] ^= 0xFF }
            write(log, to: copy.file("canaryd.sqlite-wal"))
        }
        let store = try SQLiteStore(directory: copy.path)
        let state = try #require(try store.load().services.first?.state)
        let last = try #require(try store.latestEvents(service: nil, limit: 1).first)
        #expect(last.event.message == "\(state.rolloutCount)")
        #expect((2..<21).contains(state.rolloutCount))
    }

    @Test("A bit that flipped in a migration's name is damage, not a newer canaryd", arguments: 1...6)
    func flippedMigration(number: Int) throws {
        let whole = try filled()
        let names = [
            "1-states-journal-history", "2-recording", "3-progress-recent", "4-age-limits-checksums", "5-renamed-keys",
            "6-recording-checksums",
        ]
        let name = Array(names[number - 1].utf8)
        // In the table and in its index.
        for bit in 0..<8 {
            var damaged = whole
            for place in damaged.indices.dropLast(name.count) where damaged[place...].starts(with: name) {
                damaged[place + 3] ^= 1 << bit
            }
            #expect(damaged != whole)
            write(damaged, to: directory.file())
            try expectKeptAside(damaged, "bit \(bit) of \(names[number - 1])")
            unlink(directory.file())
        }
    }

    @Test("A database without one of its tables is damage, and one that asks for a later format too")
    func strangeSchema() throws {
        let whole = try filled()
        let statements = [
            "DROP TABLE agent", "DROP TABLE recent", "DROP TRIGGER journal_is_append_only",
            "ALTER TABLE recent RENAME COLUMN body TO bodx",
            "DELETE FROM grdb_migrations WHERE identifier LIKE '2%'",
        ]
        for sql in statements {
            write(whole, to: directory.file())
            let queue = try DatabaseQueue(path: directory.file())
            try queue.writeWithoutTransaction { try $0.execute(sql: sql) }
            try queue.close()
            try expectKeptAside(bytes(of: directory.file()), "\(sql)")
            unlink(directory.file())
        }
        for place in [18, 19] {
            var damaged = whole
            damaged[place] = 3
            write(damaged, to: directory.file())
            try expectKeptAside(damaged, "byte \(place)")
            unlink(directory.file())
        }
    }

    @Test("Whatever bit flips, the state that comes back is what was committed, or its loss is told", arguments: 0..<8)
    func flippedBits(bit: Int) throws {
        var scene = Scene()
        do {
            let store = try SQLiteStore(directory: directory.path)
            try store.commit(scene.start())
            var change = scene.feed(evidence: scene.evidence(requests: 7))
            change.events = [Event(.alarm, message: "entry", evaluation: Scene.evaluation())]
            try store.commit(change)
        }
        let whole = bytes(of: directory.file())
        // A sample, denser where there is something and in the header.
        let places = whole.indices.filter { place in
            place < 100 ? place % 2 == bit % 2 : place % (whole[place] != 0 ? 61 : 1021) == bit
        }
        var intact = 0
        for place in places {
            var damaged = whole
            damaged[place] ^= 1 << bit
            for name in directory.names() where name.hasPrefix("canaryd.sqlite") { unlink(directory.file(name)) }
            write(damaged, to: directory.file())
            let what: Comment = "bit \(bit) of byte \(place)"
            let store: SQLiteStore
            do { store = try SQLiteStore(directory: directory.path) } catch {
                Issue.record("\(what): the agent cannot start: \(error)")
                continue
            }
            guard store.recovery.lostState == nil else { continue }
            // A store that cannot be read is a loss as well: the controller freezes on the error.
            guard let loaded = try? store.load() else { continue }
            if let state = loaded.services.first(where: { $0.state.service == "income" })?.state {
                var expected = scene.state
                // The clocks of a rollout lie in a row of their own, without a checksum.
                expected.rollout?.held = state.rollout?.held ?? .zero
                expected.rollout?.active = state.rollout?.active ?? .zero
                expected.rollout?.withoutData = state.rollout?.withoutData ?? .zero
                #expect(state == expected, what)
                intact += 1
            } else {
                #expect(loaded.unreadable["income"]?.isEmpty == false, what)
            }
            _ = try? store.history(service: "income", limit: 10)
            _ = try? store.latestEvents(service: nil, limit: 10)
            _ = try? store.commit(scene.feed())
        }
        // Most bits are of no consequence for the state: calling everything a loss would not do.
        #expect(intact > places.count / 4)
    }

    @Test("Numbers of a damaged file end nothing: the largest, the least and nonsense are read, shown and written over")
    func hugeNumbers() throws {
        var scene = Scene()
        var change = scene.start()
        let judge = SequentialJudge([], risk: Risk(), isKeyed: false)
        change.evidence = scene.evidence(requests: 1)
        change.evidence?.judge = .sequential(judge)
        let rollout = try #require(change.evidence?.rollout)
        let part = RecordingPart(rollout: rollout, items: [.errors(ErrorTick(second: 7, step: 1))])
        change.recording = [part, part]
        do { try SQLiteStore(directory: directory.path).commit(change) }
        let whole = bytes(of: directory.file())
        for column in [
            "recent.first", "recent.count", "recent.at", "recording.first", "recording.count", "recording.at",
            "progress.held", "progress.active", "progress.without_data", "agent.stopped_cleanly",
            "agent.entries_aged_until", "agent.decisions_aged_until", "service_state.at", "service_state.weight",
            "service_state.generation", "rollouts.started_at", "rollouts.ended_at", "rollouts.candidate_requests",
        ] {
            for number in [Int64.min, Int64.min + 1, -1, .max - 1, .max] {
                write(whole, to: directory.file())
                let names = column.split(separator: ".")
                let sql = "UPDATE \(names[0]) SET \(names[1]) = ?"
                let queue = try DatabaseQueue(path: directory.file())
                try queue.write { try $0.execute(sql: sql, arguments: [number]) }
                try queue.close()
                let store = try SQLiteStore(directory: directory.path)
                let loaded = try store.load()
                #expect(loaded.services.map(\.state.serving) == [Scene.old], "\(column) = \(number)")
                _ = try store.history(service: "income", limit: 10)
                _ = try store.latestEvents(service: nil, limit: 10)
                _ = try store.recordingPage(service: "income", rollout: rollout, after: 0, limit: 1 << 20)
                var next = scene.feed(.command(Command(.pause, by: "ann")))
                next.recording = [RecordingPart(rollout: rollout, items: part.items, first: nil)]
                next.events = [Event(.alarm, message: "x")]
                try store.commit(next)
            }
        }
    }

    @Test("A database of a newer canaryd is refused and not touched")
    func newerSchema() throws {
        _ = try filled()
        let queue = try DatabaseQueue(path: directory.file())
        try queue.write { try $0.execute(sql: "INSERT INTO grdb_migrations VALUES ('9-from-the-future')") }
        try queue.close()
        let before = bytes(of: directory.file())
        let error = #expect(throws: StoreError.self) { try SQLiteStore(directory: directory.path) }
        #expect(error?.code == .newerSchema)
        #expect(error?.description.contains("written by a newer canaryd (9-from-the-future)") == true)
        let isUntouched = bytes(of: directory.file()) == before
        #expect(isUntouched)
        #expect(!directory.names().contains { $0.contains("corrupt") })
    }
}

@Suite(.timeLimit(.minutes(15))) struct OpeningTests {
    let directory = TemporaryDirectory()

    @Test("A missing directory is made, for the agent alone")
    func creates() throws {
        let path = directory.file("a/b")
        _ = try SQLiteStore(directory: path)
        var info = stat()
        stat(path, &info)
        #expect(info.st_mode & 0o7777 == 0o700)
        stat(path + "/canaryd.sqlite", &info)
        #expect(info.st_mode & 0o7777 == 0o600)
    }

    @Test(
        "A place that cannot be a state directory is named with the fix",
        arguments: ["file/state", "file", "dangling/state"])
    func unusable(name: String) throws {
        write([1], to: directory.file("file"))
        symlink("/nowhere/at/all", directory.file("dangling"))
        let path = directory.file(name)
        let error = #expect(throws: StoreError.self) { try SQLiteStore(directory: path) }
        #expect(error?.code == .unusable)
        #expect(error?.description.hasPrefix("\(path): ") == true)
        #expect(error?.description.contains("set another one as `state`") == true)
        #expect(bytes(of: directory.file("file")) == [1])
    }

    @Test("A lock file that cannot be opened is named itself")
    func lockFile() throws {
        symlink("/nowhere/at/all", directory.file("canaryd.lock"))
        let error = #expect(throws: StoreError.self) { try SQLiteStore(directory: directory.path) }
        #expect(error?.code == .unusable)
        #expect(error?.description.hasPrefix("\(directory.file("canaryd.lock")): cannot be opened") == true)
        #expect(error?.description.contains("make it a directory") == false, "\(error?.description ?? "")")
    }

    @Test("A directory in the database's place is refused, not moved")
    func directoryInPlace() throws {
        mkdir(directory.file(), 0o700)
        let error = #expect(throws: StoreError.self) { try SQLiteStore(directory: directory.path) }
        #expect(error?.code == .unusable)
        #expect(directory.names() == ["canaryd.lock", "canaryd.sqlite"])
    }

    @Test("A second agent on the directory is refused with the pid of the first, and may come when that is gone")
    func secondAgent() throws {
        do {
            let first = try SQLiteStore(directory: directory.path)
            let error = #expect(throws: StoreError.self) { try SQLiteStore(directory: directory.path) }
            #expect(error?.code == .inUse)
            #expect(error?.description.contains("another agent (pid \(getpid()))") == true)
            #expect(try first.load().services.isEmpty)
        }
        #expect(try SQLiteStore(directory: directory.path).recovery == .opened)
    }

    @Test("What was half created by a killed agent is begun again")
    func halfCreated() throws {
        write([1, 2, 3], to: directory.file("canaryd.sqlite.new"))
        write([1, 2, 3], to: directory.file("canaryd.sqlite.new-wal"))
        #expect(try SQLiteStore(directory: directory.path).recovery == .createdNew)
        #expect(!directory.names().contains { $0.contains(".new") })
    }
}

extension StoreRecovery {
    /// For `throw`, where a test cannot go on.
    var unexpected: StoreError { StoreError(.io, "unexpected: \(self)") }
}
