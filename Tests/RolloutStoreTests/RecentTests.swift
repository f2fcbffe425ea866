import Analysis
import FoundationEssentials
import GRDB
import PolicyModel
import RolloutController
import RolloutEngine
import Testing

@testable import RolloutStore

@Suite("What a second brings", .timeLimit(.minutes(15))) struct RecentTests {
    let directory = TemporaryDirectory()

    private func tick(_ second: Int64) -> JudgedItem { .errors(ErrorTick(second: second, step: 1)) }

    /// The first change has the judge, the later ones only what it took in.
    private func begin(_ store: SQLiteStore, _ scene: inout Scene) throws -> StateChange {
        var change = scene.start()
        let judge = SequentialJudge([], risk: Risk(), isKeyed: false)
        change.evidence = scene.evidence(requests: 1)
        change.evidence?.judge = .sequential(judge)
        change.recording = [RecordingPart(rollout: change.evidence?.rollout, head: .sequential(judge))]
        try store.commit(change)
        (change.evidence, change.events) = (nil, [])
        return change
    }

    /// Moves two rows of the second service, since its judge is written. A row of the first service waits, which keeps
    /// the moved rows in the common table.
    /// - Returns: the last change of the second service, its rollout, and that of the first.
    private func moveBesideWaiting(
        _ store: SQLiteStore, _ first: inout Scene, _ second: inout Scene
    ) throws -> (StateChange, rollout: String, other: String) {
        var (waiting, change) = (try begin(store, &first), try begin(store, &second))
        let rollout = try #require(change.recording[0].rollout)
        let other = try #require(waiting.recording[0].rollout)
        waiting.recording = [RecordingPart(rollout: other, items: [tick(0)], first: 0)]
        try store.commit(waiting)
        change.recording = [RecordingPart(rollout: rollout, items: [tick(0), tick(1)], first: 0)]
        change.evidence = second.evidence(requests: 2)
        try store.commit(change)
        return (change, rollout, other)
    }

    private func items(_ store: SQLiteStore, _ service: String, _ rollout: String) throws -> [JudgedItem] {
        let page = try store.recordingPage(service: service, rollout: rollout, after: 0, limit: 1 << 20)
        return try ItemCoding.decode(page?.items ?? [])
    }

    private func count(_ table: String, _ store: SQLiteStore) throws -> Int {
        try store.queue.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM \(table)") ?? -1 }
    }

    @Test("It lies in the common table until the judge is written, and a store that is opened after a crash goes on")
    func crash() throws {
        var scene = Scene()
        var change: StateChange
        var store: SQLiteStore? = try SQLiteStore(directory: directory.path)
        change = try begin(store!, &scene)
        let rollout = try #require(change.recording[0].rollout)
        for second in 0..<3 as Range<Int64> {
            change.recording = [RecordingPart(rollout: rollout, items: [tick(second)], first: Int(second))]
            try store!.commit(change)
        }
        #expect(try count("recent", store!) == 3)
        #expect(try count("recording", store!) == 0)
        store = nil
        let next = try SQLiteStore(directory: directory.path)
        #expect(try next.load().services.first?.tail == (0..<3).map { tick($0) })
        change.recording = [RecordingPart(rollout: rollout, items: [tick(3)], first: 3)]
        change.evidence = scene.evidence(requests: 2)
        try next.commit(change)
        #expect(try count("recent", next) == 0)
        #expect(try count("recording", next) == 1)
        #expect(try items(next, change.state.service, rollout) == (0..<4).map { tick($0) })
    }

    @Test(
        "rows of one service that were moved are not read again while rows of another wait", arguments: [false, true])
    func moved(isRestarted: Bool) throws {
        var (first, second) = (Scene("income"), Scene("fraud"))
        var opened: SQLiteStore? = try SQLiteStore(directory: directory.path)
        var store: SQLiteStore { opened! }
        var (change, rollout, other) = try moveBesideWaiting(store, &first, &second)
        #expect(try count("recording", store) == 1)
        #expect(try count("recent", store) == 2)
        if isRestarted {
            opened = nil
            opened = try SQLiteStore(directory: directory.path)
        }
        _ = try store.load()
        change.evidence = nil
        change.recording = [RecordingPart(rollout: rollout, items: [tick(2)], first: 2)]
        try store.commit(change)
        #expect(try items(store, "fraud", rollout) == (0..<3).map { tick($0) })
        #expect(try items(store, "income", other) == [tick(0)])
        let page = try store.recordingPage(service: "fraud", rollout: rollout, after: 0, limit: 1 << 20)
        #expect(page?.isWhole == true && page?.count == 3)
    }

    @Test("parts of an earlier recording under a rollout's name do not come back after a restart")
    func secondHead() throws {
        var (first, second) = (Scene("income"), Scene("fraud"))
        var opened: SQLiteStore? = try SQLiteStore(directory: directory.path)
        var store: SQLiteStore { opened! }
        var (change, rollout, _) = try moveBesideWaiting(store, &first, &second)
        let head = Judge.sequential(SequentialJudge([], risk: Risk(), isKeyed: false))
        change.recording = [RecordingPart(rollout: rollout, head: head, items: [tick(5)], first: 0)]
        change.evidence = nil
        try store.commit(change)
        opened = nil
        opened = try SQLiteStore(directory: directory.path)
        _ = try store.load()
        #expect(try items(store, "fraud", rollout) == [tick(5)])
    }

    @Test("a recording that holds a part twice is not whole")
    func repeated() throws {
        var scene = Scene()
        let store = try SQLiteStore(directory: directory.path)
        var change = try begin(store, &scene)
        let rollout = try #require(change.recording[0].rollout)
        for second in 0..<2 as Range<Int64> {
            change.recording = [RecordingPart(rollout: rollout, items: [tick(second)], first: Int(second))]
            change.evidence = scene.evidence(requests: UInt64(second) + 2)
            try store.commit(change)
        }
        func isWhole() throws -> Bool? {
            try store.recordingPage(service: change.state.service, rollout: rollout, after: 0, limit: 1 << 20)?.isWhole
        }
        #expect(try isWhole() == true)
        try store.queue.write { db in
            try db.execute(
                sql: """
                    INSERT INTO recording (service, rollout, at, first, count, has_gap, body, checksum)
                    SELECT service, rollout, at, first, count, has_gap, body, checksum FROM recording WHERE first = 1
                    """)
        }
        #expect(try isWhole() == false)
    }

    /// Changes the last byte of a body into another number, which can still be decoded.
    private func damage(_ table: String, first: Int, _ store: SQLiteStore) throws {
        try store.queue.write { db in
            let body = try #require(
                try Data.fetchOne(db, sql: "SELECT body FROM \(table) WHERE first = ?", arguments: [first]))
            var bytes = [UInt8](body)
            let place = try #require(
                bytes.indices.last { place in
                    var damaged = bytes
                    damaged[place] ^= 1
                    return (try? ItemCoding.decode(damaged)).map { $0 != [tick(Int64(first))] } ?? false
                })
            bytes[place] ^= 1
            try db.execute(
                sql: "UPDATE \(table) SET body = ? WHERE first = ?", arguments: [Data(bytes), first])
        }
    }

    @Test("A damaged part of a recording is found before and after it is settled, and is not taken for another")
    func damagedBody() throws {
        var scene = Scene()
        var change: StateChange
        var store: SQLiteStore? = try SQLiteStore(directory: directory.path)
        change = try begin(store!, &scene)
        let rollout = try #require(change.recording[0].rollout)
        for second in 0..<3 as Range<Int64> {
            change.recording = [RecordingPart(rollout: rollout, items: [tick(second)], first: Int(second))]
            try store!.commit(change)
        }
        try damage("recent", first: 1, store!)
        store = nil
        let next = try SQLiteStore(directory: directory.path)
        let loaded = try next.load()
        #expect(loaded.services.first?.tail == [])
        #expect(loaded.unreadable[change.state.service]?.contains("its checksum differs") == true)
        change.recording = []
        change.evidence = scene.evidence(requests: 2)
        try next.commit(change)
        #expect(try count("recording", next) == 3)
        let page = try next.recordingPage(service: change.state.service, rollout: rollout, after: 0, limit: 1 << 20)
        #expect(page?.isWhole == false)
        #expect(try ItemCoding.decode(page?.items ?? []) == [tick(0), tick(2)])
        #expect(page?.count == 2)
        #expect(page?.head != nil)
    }

    @Test("A damaged head of a recording is left out, and the page is not whole")
    func damagedHead() throws {
        var scene = Scene()
        let store = try SQLiteStore(directory: directory.path)
        let change = try begin(store, &scene)
        let rollout = try #require(change.recording[0].rollout)
        try store.queue.write {
            try $0.execute(sql: "UPDATE recording_head SET judge = replace(judge, '0', '1')")
            #expect($0.changesCount == 1)
        }
        let page = try store.recordingPage(service: change.state.service, rollout: rollout, after: 0, limit: 1)
        #expect(page?.head == nil && page?.isWhole == false)
    }

    @Test("A commit that fails leaves what was gathered as it was")
    func rollback() throws {
        let store = try SQLiteStore(directory: directory.path)
        var scene = Scene()
        var change = try begin(store, &scene)
        let rollout = try #require(change.recording[0].rollout)
        change.recording = [RecordingPart(rollout: rollout, items: [tick(0)])]
        try store.commit(change)
        try store.queue.write {
            try $0.execute(sql: "CREATE TRIGGER refuse BEFORE DELETE ON recent BEGIN SELECT RAISE(ABORT, 'no'); END")
        }
        var second = change
        second.evidence = scene.evidence(requests: 2)
        second.recording = [RecordingPart(rollout: rollout, items: [tick(1)])]
        #expect(throws: StoreError.self) { try store.commit(second) }
        try store.queue.write { try $0.execute(sql: "DROP TRIGGER refuse") }
        try store.commit(second)
        #expect(try items(store, change.state.service, rollout) == [tick(0), tick(1)])
    }

    @Test("What a service that fell silent left is settled by the commits of others")
    func silent() throws {
        let store = try SQLiteStore(directory: directory.path)
        var (scene, other) = (Scene("a"), Scene("b"))
        var change = try begin(store, &scene)
        change.recording[0] = RecordingPart(rollout: change.recording[0].rollout, items: [tick(0)])
        try store.commit(change)
        #expect(try count("recent", store) == 1)
        var late = try begin(store, &other)
        late.at = change.at + SQLiteStore.recentAge + 1
        late.recording = []
        try store.commit(late)
        #expect(try count("recent", store) == 0)
        #expect(try count("recording", store) == 1)
    }

    @Test("A service's recordings never grow beyond their bound by more than what lies between two prunings")
    func bounded() throws {
        let store = try SQLiteStore(directory: directory.path)
        var (scene, other) = (Scene("a"), Scene("b"))
        var (change, second) = (try begin(store, &scene), try begin(store, &other))
        let (rollout, small) = (change.recording[0].rollout, second.recording[0].rollout)
        func rows(_ bytes: Int) -> [JudgedItem] {
            let name = String(repeating: "x", count: bytes)
            return [.rows([QualityRow(arm: .baseline, step: 1, label: 1, prediction: 1, score: nil, groups: [name])])]
        }
        var largest = 0
        for _ in 0..<70 {
            change.recording = [RecordingPart(rollout: rollout, items: rows(300_000))]
            second.recording = [RecordingPart(rollout: small, items: rows(100_000))]
            try store.commit([change, second])
            let size = try store.queue.read {
                try Int.fetchOne($0, sql: "SELECT sum(length(body)) FROM recording WHERE service = 'a'")
            }
            largest = max(largest, size ?? 0)
        }
        let bound = SQLiteStore.recordingLimit + SQLiteStore.pruneInterval
        #expect(largest > SQLiteStore.recordingLimit && largest < bound + (1 << 20))
        let page = try store.recordingPage(service: "a", rollout: rollout ?? "", after: 0, limit: 1)
        #expect(page?.isWhole == false)
        // Another service has a bound of its own.
        let whole = try store.recordingPage(service: "b", rollout: small ?? "", after: 0, limit: 1 << 24)
        #expect(whole?.isWhole == true && whole?.count == 70)
    }

    @Test("A rollout's clocks come back, though only they were written")
    func clocks() throws {
        let store = try SQLiteStore(directory: directory.path)
        var scene = Scene()
        var change = try begin(store, &scene)
        let text = { try store.queue.read { try String.fetchOne($0, sql: "SELECT state FROM service_state") } }
        let before = try text()
        change.state.rollout?.held = .milliseconds(1_500)
        change.state.rollout?.active = .seconds(7_000)
        change.state.rollout?.withoutData = .seconds(2)
        try store.commit(change)
        #expect(try text() == before)
        #expect(try store.load().services.map(\.state) == [change.state])
        let later = scene.feed(.command(Command(.pause, by: "bob", reason: "")))
        try store.commit(later)
        #expect(try text() != before)
        #expect(try store.load().services.map(\.state) == [scene.state])
    }
}

@Suite("JSON as it is written", .timeLimit(.minutes(15))) struct JSONTextTests {
    private enum Kind: Codable, Equatable {
        case plain
        case odd(rate: Double, note: String?)
    }
    private struct Sample: Codable, Equatable {
        var text = "a \"quoted\" \\ line\n\u{1}\u{1f} ü"
        var reals = [0, -0.0, 1.5, 1e300, -.infinity, .infinity, 0.1, 9_007_199_254_740_992, -0x1p63, 0x1p63]
        var whole: [Int] = [.min, -1, 0, .max]
        var small: [UInt32] = []
        var seed = UInt64.max
        var byte: Int8 = -128
        var flag = true
        var missing: Int?
        var nested: [Kind] = [.plain, .odd(rate: 2, note: nil), .odd(rate: .infinity, note: "")]
        var table = ["b": [[1, 2], []]]
        var time = Duration.milliseconds(1_500)
    }

    @Test("What is written is read back as it was, to the last bit")
    func comesBack() throws {
        let json = StableJSON()
        let back = try json.value(Sample.self, try json.text(Sample()))
        #expect(back == Sample())
        #expect(back.reals.map(\.bitPattern) == Sample().reals.map(\.bitPattern))
    }

    @Test("Objects, lists and enumerations stand as JSON has them")
    func words() throws {
        struct Small: Encodable {
            var name = "a\t"
            var list: [Kind] = [.odd(rate: -0.5, note: nil)]
            var none: [Double] = []
            var last = Double.infinity
        }
        #expect(
            try StableJSON().text(Small())
                == #"{"name":"a\u0009","list":[{"odd":{"rate":-0.5}}],"none":[],"last":"inf"}"#)
    }
}
