import Analysis
import PolicyModel
import RolloutController
import RolloutEngine
import Testing

@testable import RolloutStore

@Suite("Recordings in pages", .timeLimit(.minutes(15))) struct RecordingPageTests {
    let directory = TemporaryDirectory()

    private func tick(_ second: Int64) -> JudgedItem { .errors(ErrorTick(second: second, step: 1)) }

    /// A store with nine stretches of two items, of a rollout and, between them, of another.
    private func filled() throws -> (store: SQLiteStore, service: String, judge: Judge) {
        let store = try SQLiteStore(directory: directory.path)
        var scene = Scene()
        var change = scene.start()
        let judge = Judge.sequential(SequentialJudge([], risk: Risk(), isKeyed: false))
        change.recording = [RecordingPart(rollout: "r", head: judge)]
        try store.commit(change)
        change.events = []
        for i in 0..<9 {
            change.recording = [
                RecordingPart(rollout: "r", items: [tick(Int64(2 * i)), tick(Int64(2 * i + 1))]),
                RecordingPart(rollout: nil, items: [tick(100)]),
            ]
            try store.commit(change)
        }
        return (store, change.state.service, judge)
    }

    private func pages(_ store: SQLiteStore, _ service: String, _ rollout: String, limit: Int) throws -> [StoredPage] {
        var pages: [StoredPage] = []
        var after: Int64? = 0
        while let from = after {
            let page = try #require(
                try store.recordingPage(service: service, rollout: rollout, after: from, limit: limit))
            pages.append(page)
            after = page.next
        }
        return pages
    }

    @Test("Pages of any size say together what the recording says", arguments: [1, 50, 100, 1 << 20])
    func together(_ limit: Int) throws {
        let (store, service, judge) = try filled()
        let pages = try pages(store, service, "r", limit: limit)
        #expect(pages.count == (limit == 1 ? 9 : limit == 1 << 20 ? 1 : pages.count))
        #expect(try ItemCoding.decode(pages.flatMap(\.items)) == (0..<18).map { tick(Int64($0)) })
        var place = 0
        for page in pages {
            #expect(page.first == place && page.isWhole)
            place += page.count
        }
        #expect(pages.map { $0.head != nil } == [true] + pages.dropFirst().map { _ in false })
        #expect(try StableJSON().value(Judge.self, pages[0].head ?? "") == judge)
        #expect(try self.pages(store, service, "", limit: limit).allSatisfy { $0.head == nil })
    }

    @Test("A gap, and a begin that was pruned, make the page where they are not whole")
    func gaps() throws {
        let (store, service, _) = try filled()
        let page = try #require(try store.recordingPage(service: service, rollout: "r", after: 0, limit: 1))
        try store.queue.write { db in
            try db.execute(sql: "UPDATE recording SET has_gap = 1 WHERE rollout = 'r' AND first = 8")
        }
        #expect(try pages(store, service, "r", limit: 1).map(\.isWhole).firstIndex(of: false) == 4)
        try store.queue.write { db in
            try db.execute(sql: "DELETE FROM recording WHERE id <= \(page.next ?? 0)")
        }
        #expect(try pages(store, service, "r", limit: 1)[0].isWhole == false)
    }

    @Test("Of what was never recorded there is no page")
    func unknown() throws {
        let (store, service, _) = try filled()
        #expect(try store.recordingPage(service: service, rollout: "other", after: 0, limit: 1) == nil)
        #expect(try store.recordingPage(service: "other", rollout: "r", after: 0, limit: 1) == nil)
    }
}
