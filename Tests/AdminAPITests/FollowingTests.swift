import AdminAPI
import AdminClient
import AdminTestSupport
import AdminTypes
import RolloutEngine
import TestSupport
import Testing

@Suite("Following events", .timeLimit(.minutes(15)))
struct FollowingTests {
    let api: RunningAPI
    let client: AdminClient

    init() throws {
        api = try RunningAPI(Example.backend("income", "fraud"))
        client = AdminClient(path: api.adminSocket)
    }

    private func stream(_ query: String = "follow=1", headers: String = "") -> RawClient {
        let raw = RawClient(path: api.adminSocket)
        raw.send("GET /v1/services/income/events?\(query) HTTP/1.1\r\nHost: x\r\n\(headers)\r\n")
        _ = raw.receive(until: "retry: 2000\n\n")
        return raw
    }

    private func tell(_ message: String, service: String = "income") {
        api.sync { $0.record(Event(.held, message: message), service: service) }
    }

    @Test("A follower gets what happens from now on, each event with its id, and nothing of other services")
    func fromNow() throws {
        let raw = stream()
        tell("elsewhere", service: "fraud")
        tell("here")
        let text = raw.receive(until: "\n\n\r\n")
        let id = api.sync { $0.journal.last!.id }
        #expect(text.contains("id: \(id)\ndata: {"))
        #expect(text.contains(#""message":"here""#))
        #expect(!text.contains("elsewhere"))
    }

    @Test("From an id on, nothing in between is lost and nothing comes twice, whatever the number of pages")
    func catchUp() throws {
        for i in 0..<(AdminLimits.eventsPerTurn * 2 + 50) { tell("number \(i)") }
        var ids: [Int64] = []
        let expected = api.sync { $0.journal.filter { $0.service == "income" }.map(\.id) }
        try client.follow("income", after: 0) { event in
            ids.append(event.id ?? -1)
            return ids.count < expected.count
        }
        #expect(ids == expected)
    }

    @Test("Last-Event-ID is where a client that lost its connection goes on")
    func lastEventID() throws {
        tell("old")
        let last = api.sync { $0.journal.last!.id }
        tell("new")
        let raw = stream(headers: "Last-Event-ID: \(last)\r\n")
        let text = raw.receive(until: "\n\n\r\n")
        #expect(text.contains(#""message":"new""#))
        #expect(!text.contains(#""message":"old""#))
    }

    @Test("An event that is not on disk yet comes at once and without an id, and once more with it when it is")
    func notDurable() throws {
        let raw = stream()
        api.sync { $0.diskFault = "no space left" }
        tell("in force all the same")
        let text = raw.receive(until: "\n\n\r\n")
        #expect(text.contains("in force all the same"))
        #expect(!text.contains("id: "))
        api.sync {
            $0.diskFault = nil
            $0.writeDeferred(Event(.held, message: "in force all the same"), service: "income")
        }
        let id = api.sync { $0.journal.last!.id }
        #expect(raw.receive(until: "\n\n\r\n").contains("id: \(id)\ndata: {"))
    }

    @Test("Accept: text/event-stream is enough to follow")
    func accept() {
        let raw = RawClient(path: api.adminSocket)
        raw.send("GET /v1/services/income/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
        #expect(raw.receive(until: "retry: 2000\n\n").contains("Content-Type: text/event-stream"))
    }

    @Test("There is room for so many followers and no more; one that leaves makes room")
    func bounded() throws {
        var open = (0..<AdminLimits.subscribers).map { _ in stream() }
        #expect(throws: AdminClientError.self) { try client.follow("income", after: nil) { _ in false } }
        open.removeLast().close()
        // The loop learns of the close in its own time; its count says when.
        while metric("canaryd_event_followers") == AdminLimits.subscribers {}
        #expect(metric("canaryd_event_followers") == AdminLimits.subscribers - 1)
    }

    private func metric(_ name: String) -> Int {
        let text = (try? client.exchange("GET", "/metrics")).map { String(decoding: $0.body, as: UTF8.self) } ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix(name + " ") }
        return line.flatMap { Int($0.dropFirst(name.count + 1)) } ?? -1
    }

    @Test("A follower that does not read is cut; the others go on")
    func slow() throws {
        let lazy = stream()
        let big = String(repeating: "x", count: 64 << 10)
        // A Unix socket holds about 200 KiB; the rest waits in the agent until it is too much.
        for _ in 0..<16 { tell(big) }
        while metric("canaryd_event_followers_cut_total") == 0 {}
        tell("afterwards")
        let text = lazy.receiveAll()
        #expect(!text.contains("afterwards"))
        #expect(metric("canaryd_event_followers") == 0)
        let other = stream("follow=1&after=\(api.sync { $0.journal.last!.id - 1 })")
        #expect(other.receive(until: "\n\n\r\n").contains("afterwards"))
    }

    @Test("A follower ends when the agent drains")
    func drain() throws {
        let raw = stream()
        api.drain()
        #expect(raw.receiveAll().hasSuffix("0\r\n\r\n"))
    }
}
