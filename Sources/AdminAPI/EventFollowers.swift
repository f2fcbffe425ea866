import AdminTypes
import HTTPEngine
import RolloutController
import RolloutEngine

/// Clients that follow events over Server-Sent Events. Each has a position in the journal and continues from there, so
/// that no event between two responses is lost. Confined to the control thread.
final class EventFollowers {
    private final class Follower {
        let responder: HTTPResponder
        let service: String
        /// The id of the last entry that was sent.
        var lastID: Int64
        /// True if a further `pump` is scheduled.
        var isPumping = false

        init(responder: HTTPResponder, service: String, lastID: Int64) {
            self.responder = responder
            self.service = service
            self.lastID = lastID
        }
    }

    private let loop: EventLoop
    private unowned let backend: any AdminBackend
    private var followers: [ObjectIdentifier: Follower] = [:]
    /// True if sending to all followers is scheduled.
    private var isWakePending = false
    private var heartbeat: Timer?
    /// The number of followers that were disconnected because they did not read.
    private(set) var cut: UInt64 = 0

    init(loop: EventLoop, backend: any AdminBackend) {
        self.loop = loop
        self.backend = backend
    }

    var count: Int { followers.count }

    /// Starts a stream of events for a client.
    /// - Parameter after: the id after which events are sent; nil for events from now on.
    /// - Throws: a 503 if there are too many followers.
    func add(_ responder: HTTPResponder, service: String, after: Int64?) throws(Refusal) {
        guard followers.count < AdminLimits.subscribers else {
            throw Refusal(
                503, "too_many_followers",
                "\(followers.count) clients follow events already; close one, or poll with ?after=ID",
                headers: [("Retry-After", "10")])
        }
        let lastID: Int64
        do { lastID = try after ?? backend.latestEvents(service: nil, limit: 1).last?.id ?? 0 } catch {
            throw .journal(error)
        }
        let follower = Follower(responder: responder, service: service, lastID: lastID)
        let key = ObjectIdentifier(follower)
        followers[key] = follower
        responder.onClose = { [weak self] in self?.followers[key] = nil }
        responder.startStream(
            status: 200, headers: [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")])
        responder.write(Array("retry: 2000\n\n".utf8))
        scheduleHeartbeat()
        pump(follower)
    }

    /// Sends a new event. An event that is not on disk has no id yet; it is sent again, with its id, when the journal
    /// has it.
    func happened(_ event: Event, service: String, at wall: Int64, isDurable: Bool) {
        guard !followers.isEmpty else { return }
        if !isDurable {
            let text = Self.text(EventRecord(event, id: nil, service: service, at: wall))
            for follower in Array(followers.values) where follower.service == service { send(text, to: follower) }
        } else {
            journalGrew()
        }
    }

    /// Sends what the journal has beyond the last event of each follower.
    func journalGrew() {
        // The controller may have more to write in this turn, so the followers are served after it.
        guard !followers.isEmpty, !isWakePending else { return }
        isWakePending = true
        loop.schedule(after: .zero) { [weak self] in
            guard let self else { return }
            isWakePending = false
            for follower in Array(followers.values) { pump(follower) }
        }
    }

    func endAll() {
        for follower in Array(followers.values) { follower.responder.end() }
        followers = [:]
        if let heartbeat { loop.cancel(heartbeat) }
        heartbeat = nil
    }

    /// Sends the events after the last one that a follower got.
    private func pump(_ follower: Follower) {
        guard !follower.isPumping, followers[ObjectIdentifier(follower)] != nil else { return }
        let entries: [JournalEntry]
        do {
            entries = try backend.events(
                service: follower.service, after: follower.lastID, limit: AdminLimits.eventsPerTurn)
        } catch {
            return drop(follower)
        }
        for entry in entries {
            follower.lastID = entry.id
            guard send(Self.text(EventRecord(entry)), to: follower) else { return }
        }
        guard entries.count == AdminLimits.eventsPerTurn else { return }
        follower.isPumping = true
        loop.schedule(after: .zero) { [weak self] in
            follower.isPumping = false
            self?.pump(follower)
        }
    }

    /// Sends bytes to a follower, which is disconnected if too many are unread.
    /// - Returns: false if the follower was disconnected.
    @discardableResult
    private func send(_ bytes: [UInt8], to follower: Follower) -> Bool {
        follower.responder.write(bytes)
        guard follower.responder.pendingBytes > AdminLimits.followerBacklog else { return true }
        cut += 1
        drop(follower)
        return false
    }

    /// Aborts the connection, so that the client reconnects with the last id that it received.
    private func drop(_ follower: Follower) {
        followers[ObjectIdentifier(follower)] = nil
        follower.responder.onClose = nil
        follower.responder.abort()
    }

    private func scheduleHeartbeat() {
        guard heartbeat == nil else { return }
        heartbeat = loop.schedule(after: AdminLimits.heartbeat) { [weak self] in
            guard let self else { return }
            heartbeat = nil
            guard !followers.isEmpty else { return }
            for follower in Array(followers.values) { send(Array(": still here\n\n".utf8), to: follower) }
            scheduleHeartbeat()
        }
    }

    private static func text(_ record: EventRecord) -> [UInt8] {
        let data = (try? JSONCoding.encode(record)) ?? Array("{}".utf8)
        let id = record.id.map { "id: \($0)\n" } ?? ""
        return Array("\(id)data: ".utf8) + data + Array("\n\n".utf8)
    }
}
