import AdminAPI
import AdminClient
import AdminTestSupport
import AdminTypes
import Analysis
import RolloutController
import Testing

@Suite("Recordings over the admin API", .timeLimit(.minutes(15)))
struct RecordingTests {
    private func page(_ items: [JudgedItem], first: Int, next: Int64?) -> StoredPage {
        var page = StoredPage()
        page.head = first == 0 ? #"{"a":1}"# : nil
        page.first = first
        page.count = items.count
        page.items = ItemCoding.encode(items)
        page.next = next
        return page
    }

    private func tick(_ second: Int64) -> JudgedItem { .errors(ErrorTick(second: second, step: 1)) }

    @Test("Pages come one after another, and their bytes together are a valid recording")
    func pages() throws {
        let backend = Example.backend()
        backend.recordings["income"] = [
            "income-1": [page([tick(1), tick(2)], first: 0, next: 1), page([tick(3)], first: 2, next: nil)]
        ]
        let api = try RunningAPI(backend)
        var pages: [RecordingPage] = []
        try AdminClient(path: api.adminSocket).recording("income", rollout: "income-1") {
            pages.append($0)
            return true
        }
        #expect(pages.map(\.first) == [0, 2])
        #expect(pages.map(\.head) == [#"{"a":1}"#, nil])
        #expect(try ItemCoding.decode(pages.flatMap(\.items)) == [tick(1), tick(2), tick(3)])
    }

    @Test("A reader that has enough asks for no further page")
    func enough() throws {
        let backend = Example.backend()
        backend.recordings["income"] = ["": [page([tick(1)], first: 0, next: 1), page([tick(2)], first: 1, next: nil)]]
        let api = try RunningAPI(backend)
        var count = 0
        try AdminClient(path: api.adminSocket).recording("income", rollout: "") { _ in
            count += 1
            return false
        }
        #expect(count == 1)
    }

    @Test("Where nothing is kept the answer is a 404 that says what to do")
    func unknown() throws {
        let api = try RunningAPI(Example.backend())
        let error = #expect(throws: AdminClientError.self) {
            try AdminClient(path: api.adminSocket).recording("income", rollout: "income-7") { _ in true }
        }
        guard case .refused(404, let problem) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(problem.code == "unknown_recording")
        #expect(
            problem.message
                == "there is no recording of income-7: it is pruned, or that is no rollout of income; canaryctl history "
                + "income lists them")
    }

    @Test("A rollout's name of more than 256 bytes is refused")
    func name() throws {
        let api = try RunningAPI(Example.backend())
        let name = String(repeating: "a", count: AdminLimits.rolloutName + 1)
        let (status, _) = try AdminClient(path: api.adminSocket).exchange(
            "GET", "/v1/services/income/recording?rollout=\(name)")
        #expect(status == 400)
    }
}
