import GRDB
import Glibc
import PolicyModel
import RolloutController
import RolloutEngine
import Synchronization
import Testing

@testable import RolloutStore

@Suite(.timeLimit(.minutes(15))) struct FaultTests {
    let directory = TemporaryDirectory()

    @Test("A full disk is said in one line, changes nothing, and is over when there is space")
    func fullDisk() throws {
        let store = try SQLiteStore(directory: directory.path)
        var scene = Scene()
        try store.commit(scene.start())
        let before = try store.load().services.map(\.state)
        let pages = try store.queue.read { try Int.fetchOne($0, sql: "PRAGMA page_count") ?? 0 }
        _ = try store.queue.writeWithoutTransaction {
            try Int.fetchOne($0, sql: "PRAGMA max_page_count = \(pages)")
        }
        var big = scene.feed(.command(Command(.pause, by: "ann")))
        big.events += (0..<200).map { Event(.alarm, message: "\($0)", evaluation: Scene.evaluation()) }
        let error = #expect(throws: StoreError.self) { try store.commit(big) }
        #expect(error?.code == .full)
        #expect(
            error?.description
                == "\(directory.file()): no space left to write; free some, and the agent goes on by itself")
        #expect(try store.load().services.map(\.state) == before)
        #expect(try store.events(service: nil, after: 0, limit: 1_000).allSatisfy { $0.event.kind != .alarm })
        _ = try store.queue.writeWithoutTransaction { try Int.fetchOne($0, sql: "PRAGMA max_page_count = 1000000") }
        try store.commit(big)
        #expect(try store.load().services.map(\.state) == [scene.state])
    }

    @Test(
        "A change is whole or absent wherever in it the writing fails", arguments: ["journal", "rollouts", "evidence"])
    func atomic(table: String) throws {
        let store = try SQLiteStore(directory: directory.path)
        var scene = Scene()
        try store.commit(scene.feed())
        let before = try store.load().services.map(\.state)
        try store.queue.write {
            try $0.execute(
                sql: "CREATE TRIGGER broken BEFORE INSERT ON \(table) BEGIN SELECT RAISE(ABORT, 'broken'); END")
        }
        var change = scene.start()
        change.evidence = scene.evidence(requests: 1)
        #expect(throws: StoreError.self) { try store.commit(change) }
        let agent = try store.load()
        #expect(agent.services.map(\.state) == before)
        #expect(agent.services.first?.evidence == nil)
        #expect(try store.events(service: nil, after: 0, limit: 10).isEmpty)
        #expect(try store.history(service: "income", limit: 10).isEmpty)
        try store.queue.write { try $0.execute(sql: "DROP TRIGGER broken") }
        try store.commit(change)
        #expect(try store.load().services.map(\.state) == [scene.state])
        #expect(try store.history(service: "income", limit: 10).count == 1)
    }

    @Test("A start that could not be marked is marked by the next commit")
    func owedMark() throws {
        let store = try SQLiteStore(directory: directory.path)
        try store.queue.write {
            try $0.execute(
                sql: "CREATE TRIGGER broken BEFORE UPDATE ON agent BEGIN SELECT RAISE(ABORT, 'broken'); END")
        }
        #expect(throws: StoreError.self) { try store.markRunning() }
        try store.queue.write { try $0.execute(sql: "DROP TRIGGER broken") }
        var scene = Scene()
        try store.commit(scene.feed())
        #expect(try store.load().stoppedCleanly == false)
    }

    @Test("A database that is taken away under the agent is noticed, not written on into nowhere")
    func takenAway() throws {
        let store = try SQLiteStore(directory: directory.path)
        var scene = Scene()
        try store.commit(scene.start())
        rename(directory.file(), directory.file("elsewhere"))
        let pause = scene.feed(.command(Command(.pause, by: "ann")))
        let error = #expect(throws: StoreError.self) { try store.commit(pause) }
        #expect(error?.code == .damaged)
        rename(directory.file("elsewhere"), directory.file())
        try store.commit(pause)
    }

    @Test("A copy of the files in the midst of a transaction opens at the commit before it")
    func midTransaction() throws {
        let copy = TemporaryDirectory()
        let store = try SQLiteStore(directory: directory.path)
        var scene = Scene()
        try store.commit(scene.start())
        let committed = scene.state
        // Small cache: pages of the open transaction spill into the log.
        try store.queue.inDatabase { db in
            try db.execute(sql: "PRAGMA cache_size = 2")
            try db.inTransaction(.immediate) {
                try db.execute(sql: "UPDATE service_state SET state = '{}'")
                for i in 0..<500 {
                    try db.execute(
                        sql: "INSERT INTO unreadable_state (service, at, state) VALUES (?, 0, ?)",
                        arguments: ["s", String(repeating: "\(i)", count: 500)])
                }
                for suffix in ["", "-wal"] {
                    write(bytes(of: directory.file() + suffix), to: copy.file() + suffix)
                }
                return .rollback
            }
        }
        #expect(bytes(of: copy.file() + "-wal").count > 100_000)
        let after = try SQLiteStore(directory: copy.path)
        #expect(after.recovery == .opened)
        #expect(try after.load().services.map(\.state) == [committed])
    }

    @Test("After kill -9 at any time, what was acknowledged is there, whole, and the stop is unclean")
    func kill() async throws {
        for commits in [1, 2, 7, 31, 64] {
            let run = TemporaryDirectory()
            let path = run.path
            await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String, commits = commits as Int] in
                try Writer(path).run(killedAfter: commits)
            }
            let acknowledged = bytes(of: run.file("acknowledged")).count
            #expect(acknowledged >= commits)
            let store = try SQLiteStore(directory: path)
            #expect(store.recovery == .opened)
            let agent = try store.load()
            let state = try #require(agent.services.first?.state)
            #expect((acknowledged...(acknowledged + 1)).contains(state.rolloutCount))
            let entries = try store.events(service: nil, after: 0, limit: 1_000)
            #expect(entries.map(\.event.message) == (1...state.rolloutCount).map(String.init))
            #expect(agent.stoppedCleanly == false)
        }
    }
}

/// Commits as fast as it can and notes each acknowledgement, until another thread kills the process.
struct Writer {
    let path: String

    init(_ path: String) { self.path = path }

    func run(killedAfter commits: Int) throws {
        let acknowledged = Counter()
        var thread = pthread_t()
        let box = Unmanaged.passRetained(Plan(acknowledged: acknowledged, commits: commits))
        pthread_create(
            &thread, nil,
            { argument in
                let plan = Unmanaged<Plan>.fromOpaque(argument!).takeRetainedValue()
                while plan.acknowledged.value.load(ordering: .acquiring) < plan.commits { sched_yield() }
                Glibc.kill(getpid(), SIGKILL)
                return nil
            }, box.toOpaque())
        let store = try SQLiteStore(directory: path)
        try store.markRunning()
        let fd = open(path + "/acknowledged", O_WRONLY | O_CREAT | O_APPEND, 0o600)
        var scene = Scene()
        while true {
            scene.state.rolloutCount += 1
            var change = scene.feed()
            change.events = [Event(.alarm, message: "\(scene.state.rolloutCount)", evaluation: Scene.evaluation())]
            try store.commit(change)
            _ = Glibc.write(fd, "x", 1)
            acknowledged.value.add(1, ordering: .releasing)
        }
    }

    private final class Counter: Sendable {
        let value = Atomic<Int>(0)
    }

    private final class Plan: Sendable {
        let acknowledged: Counter
        let commits: Int
        init(acknowledged: Counter, commits: Int) {
            self.acknowledged = acknowledged
            self.commits = commits
        }
    }
}
