import Analysis
import GRDB
import PolicyModel
import RolloutController
import RolloutEngine
import Testing
import Vocabulary

@testable import RolloutStore

@Suite("A database from before keys were renamed", .timeLimit(.minutes(15)))
struct RenamedKeysTests {
    let directory = TemporaryDirectory()

    @Test(
        "Keys are renamed, and nothing else that looks like them",
        arguments: [
            (#"{"standstill":"noData"}"#, #"{"holdReason":"noData"}"#),
            (#"{"lane":{"counts":{"temper":0.2}}}"#, #"{"mode":{"counts":{"discount":0.2}}}"#),
            (#"{"lane":{"ticks":{}}}"#, #"{"mode":{"ticks":{}}}"#),
            (#"{"lane":{"factor":1.5},"ratioLane":{}}"#, #"{"byTick":{"factor":1.5},"ratioByTick":{}}"#),
            (#"{"clumping":{"now":[]}}"#, #"{"clustering":{"now":[]}}"#),
            (#"{"note":"","x":1}"#, #"{"notes":[],"x":1}"#),
            (#"{"note":"a \"note\": b","x":1}"#, #"{"notes":[{"other":{"_0":"a \"note\": b"}}],"x":1}"#),
            // The same words as a value, and inside a text.
            (#"{"a":"lane","b":["temper"]}"#, #"{"a":"lane","b":["temper"]}"#),
            (#"{"a":"x\",\"lane\":1"}"#, #"{"a":"x\",\"lane\":1"}"#),
            // An attribute of labels that is named like a key.
            (#"{"groups":{"lane":{"left":[1]}}}"#, #"{"groups":{"lane":{"left":[1]}}}"#),
            // A text that is cut off.
            (#"{"note":"abc"#, #"{"note":"abc"#), (#"{"lane":"#, #"{"lane":"#), (#""\"#, #""\"#), ("", ""),
        ])
    func renamed(old: String, new: String) {
        #expect(RenamedKeys.renamed(old) == new)
        #expect(RenamedKeys.renamed(new) == new)
    }

    /// Writes a state that is held, an evaluation and a sequential judge, and gives the database its earlier names.
    private func earlierDatabase() throws -> (ServiceState, Evidence) {
        var scene = Scene()
        var change = scene.start()
        change.state.rollout?.holdReason = .noData
        let policies = scene.declaration.plan.policies
        var judge = SequentialJudge(policies, risk: Risk(), isKeyed: false)
        for second in Int64(0)..<40 {
            var tick = ErrorTick(second: second, step: 1)
            tick.trials = [UInt32](repeating: 3, count: 2 * ErrorTick.shards)
            judge.take(.errors(tick))
        }
        var evidence = scene.evidence(requests: 7)
        evidence.judge = .sequential(judge)
        change.evidence = evidence
        change.events = [
            Event(.held, message: "held", evaluation: Scene.evaluation()), Event(.holdCleared, message: "cleared"),
        ]
        do {
            let store = try SQLiteStore(directory: directory.path)
            try store.commit([change])
        }
        let queue = try DatabaseQueue(path: directory.file())
        try queue.write { db in
            try db.execute(
                sql: """
                    DELETE FROM grdb_migrations WHERE identifier IN ('5-renamed-keys', '6-recording-checksums');
                    ALTER TABLE recording_head DROP COLUMN checksum;
                    ALTER TABLE recording DROP COLUMN checksum;
                    ALTER TABLE recent DROP COLUMN checksum;
                    DROP TRIGGER journal_is_append_only;
                    ALTER TABLE journal DROP COLUMN reason;
                    UPDATE journal SET kind = 'standstill' WHERE kind = 'held';
                    UPDATE journal SET kind = 'moving' WHERE kind = 'hold_cleared';
                    """)
            for (table, column, checksum) in [
                ("journal", "evaluation", nil), ("service_state", "state", "state_checksum"),
                ("evidence", "evidence", "evidence_checksum"),
            ] as [(String, String, String?)] {
                for row in try Row.fetchAll(db, sql: "SELECT rowid, \(column) FROM \(table) WHERE \(column) NOT NULL") {
                    let text = earlier(row[1])
                    let id: Int64 = row[0]
                    try db.execute(sql: "UPDATE \(table) SET \(column) = ? WHERE rowid = ?", arguments: [text, id])
                    if let checksum {
                        try db.execute(
                            sql: "UPDATE \(table) SET \(checksum) = ? WHERE rowid = ?",
                            arguments: [Checksum.of(text), id])
                    }
                }
            }
            try db.execute(
                sql: """
                    CREATE TRIGGER journal_is_append_only BEFORE UPDATE ON journal
                        BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
                    """)
        }
        try queue.close()
        return (change.state, evidence)
    }

    private func earlier(_ text: String) -> String {
        var text = text
        for (new, old) in [
            (#""holdReason":"#, #""standstill":"#), (#""byTick":"#, #""lane":"#), (#""mode":{"#, #""lane":{"#),
            (#""action":"revert""#, #""mode":"enforce""#), (#""failures":[],"#, ""), (#","failures":[]"#, ""),
            (#""discount":"#, #""temper":"#), (#""clustering":"#, #""clumping":"#),
            (#""ratioByTick":"#, #""ratioLane":"#),
            (#""notes":[{"other":{"_0":"ü \"quoted\"\n"}}]"#, #""note":"ü \"quoted\"\n""#),
        ] {
            text = text.replacing(new, with: old)
        }
        return text
    }

    @Test("It opens with the state, the judge and the journal that it had")
    func migrates() throws {
        let (state, evidence) = try earlierDatabase()
        let store = try SQLiteStore(directory: directory.path)
        #expect(store.recovery == .opened)
        let agent = try store.load()
        #expect(agent.unreadable.isEmpty)
        #expect(agent.services.first?.state == state)
        #expect(agent.services.first?.evidence == evidence)
        let entries = try store.latestEvents(service: nil, limit: 10)
        #expect(entries.map(\.event.kind) == [.held, .holdCleared])
        #expect(entries.first?.event.evaluation == Scene.evaluation())
        #expect(throws: (any Error).self) {
            try store.queue.write { try $0.execute(sql: "UPDATE journal SET message = 'x'") }
        }
    }

    /// Removes a key and its value, wherever they stand, if the value is an object or a list as given.
    private func removing(_ key: String, _ opening: Character, from text: String) -> String {
        var bytes = Array(text.utf8)
        let wanted = Array("\"\(key)\":\(opening)".utf8)
        var place = 0
        while place + wanted.count <= bytes.count {
            guard bytes[place..<place + wanted.count].elementsEqual(wanted) else {
                place += 1
                continue
            }
            var end = place + wanted.count
            var depth = 1
            while depth > 0 || !",}]".utf8.contains(bytes[end]) {
                if "{[".utf8.contains(bytes[end]) { depth += 1 }
                if "}]".utf8.contains(bytes[end]) { depth -= 1 }
                end += 1
            }
            if bytes[end] == UInt8(ascii: ",") { end += 1 } else if bytes[place - 1] == UInt8(ascii: ",") { place -= 1 }
            bytes.removeSubrange(place..<end)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test("The judge of a build without intervals and late labels goes on")
    func beforeIntervals() throws {
        var scene = Scene()
        var change = scene.start()
        let policy = Policy(
            name: "p",
            checks: [
                Check(name: "errors", kind: .errors(ErrorsCheck(max: 0.1))),
                Check(name: "latency", kind: .latency(LatencyCheck(quantile: 0.5, maxIncrease: 0.2))),
                Check(name: "recall", kind: .quality(QualityCheck(measure: .recall, maxDrop: 0.05))),
            ])
        var judge = SequentialJudge([policy], risk: Risk(), isKeyed: false)
        for second in Int64(0)..<40 {
            var tick = ErrorTick(second: second, step: 1)
            tick.trials = [UInt32](repeating: 3, count: 2 * ErrorTick.shards)
            judge.take(.errors(tick))
            judge.take(
                .rows(
                    [Arm.baseline, .candidate].map {
                        QualityRow(arm: $0, step: 1, label: 1, prediction: 1, score: nil, groups: [])
                    }))
        }
        var evidence = scene.evidence(requests: 7)
        evidence.judge = .sequential(judge)
        change.evidence = evidence
        do { try SQLiteStore(directory: directory.path).commit([change]) }
        let queue = try DatabaseQueue(path: directory.file())
        try queue.write { db in
            let stored = try #require(try String.fetchOne(db, sql: "SELECT evidence FROM evidence"))
            let added: [(String, Character)] = [
                ("odds", "{"), ("interval", "{"), ("intervalLimits", "["), ("order", "{"), ("late", "["),
                ("lateness", "{"),
            ]
            let text = added.reduce(stored) { removing($1.0, $1.1, from: $0) }
            #expect(text.utf8.count < stored.utf8.count && !text.contains("\"lateness\":"))
            try db.execute(
                sql: "UPDATE evidence SET evidence = ?, evidence_checksum = ?", arguments: [text, Checksum.of(text)])
        }
        try queue.close()
        let agent = try SQLiteStore(directory: directory.path).load()
        #expect(agent.unreadable.isEmpty)
        guard case .sequential(let read) = try #require(agent.services.first?.evidence).judge else {
            Issue.record("the judge is not sequential")
            return
        }
        #expect(read.items == judge.items)
        #expect(read.evidence.map(\.evidence.value) == judge.evidence.map(\.evidence.value))
    }

    @Test("A state that was damaged before is still found to be damaged")
    func damaged() throws {
        _ = try earlierDatabase()
        let queue = try DatabaseQueue(path: directory.file())
        try queue.write { try $0.execute(sql: "UPDATE service_state SET state_checksum = state_checksum + 1") }
        try queue.close()
        let agent = try SQLiteStore(directory: directory.path).load()
        #expect(agent.unreadable["income"]?.contains("checksum") == true)
    }
}
