import AdminTypes
import Analysis
import HTTPEngine
import PrometheusText
import RolloutController
import RolloutEngine

/// The server of the admin API and of the feedback socket. It runs on the control thread, like the controller that it
/// serves.
public final class AdminServer: EventListener {
    private unowned let backend: any AdminBackend
    private let loop: EventLoop
    private let followers: EventFollowers
    private var servers: [HTTPServer] = []
    /// The number of responses by status. Every status that occurs is there from the start.
    private var responseCounts = Dictionary(uniqueKeysWithValues: AdminServer.statuses.map { ($0, UInt64(0)) })

    /// The statuses of the responses.
    private static let statuses = [200, 202, 400, 404, 405, 409, 413, 415, 500, 503]

    /// - Parameter backend: the backend, which must outlive the server.
    public init(loop: EventLoop, backend: any AdminBackend) {
        self.loop = loop
        self.backend = backend
        followers = EventFollowers(loop: loop, backend: backend)
    }

    /// Opens one of the two sockets. Call it on the loop.
    @discardableResult
    public func listen(_ socket: AdminRoute.Socket, on address: SocketAddress) throws -> SocketAddress {
        let limits = socket == .admin ? AdminLimits.adminServer : AdminLimits.feedbackServer
        let server = HTTPServer(loop: loop, limits: limits) { [weak self] request, responder in
            self?.handle(request, responder, on: socket)
        }
        let bound = try server.listen(address)
        servers.append(server)
        return bound
    }

    /// The number of connections that were closed to make room for new ones, over both sockets, since the start. Call
    /// it on the loop.
    public var displacedConnectionCount: UInt64 { servers.reduce(0) { $0 &+ $1.displacedConnectionCount } }

    /// Ends the followers, waits for the open requests, then calls `then` on the loop.
    public func drain(grace: Duration, then: @escaping () -> Void) {
        followers.endAll()
        var open = servers.count
        guard open > 0 else { return then() }
        for server in servers {
            server.drain(grace: grace) {
                open -= 1
                if open == 0 { then() }
            }
        }
    }

    public func happened(_ event: Event, service: String, at wall: Int64, isDurable: Bool) {
        followers.happened(event, service: service, at: wall, isDurable: isDurable)
    }

    public func deferredEventsWritten() { followers.journalGrew() }

    private func handle(_ request: HTTPRequest, _ responder: HTTPResponder, on socket: AdminRoute.Socket) {
        do throws(Refusal) {
            let (route, parameters) = try AdminRoute.find(request.method, request.path, on: socket)
            let query = try Query(request.query, route: route)
            let service = parameters["service"] ?? ""
            switch route.operation {
            case .events: try events(request, query, service, responder)
            case .metrics: metrics(responder)
            case .decision: respond(responder, 200, try decision(parameters["id"] ?? "", of: service))
            case .services:
                let all = backend.serviceNames.compactMap { backend.view(of: $0) }.map(ServiceStatus.init)
                respond(responder, 200, ServiceList(services: all))
            case .service: respond(responder, 200, ServiceStatus(try view(of: service)))
            case .recording: respond(responder, 200, try recording(query, service))
            case .history: respond(responder, 200, try history(query, service))
            case .targets:
                guard let targets = backend.targets(of: service) else { throw unknown(service) }
                respond(responder, 200, TargetList(targets: targets))
            case .command(let verb): try command(verb, request, service, responder)
            case .feedback: try feedback(request, service, responder)
            case .health: respond(responder, 200, HealthStatus(ok: true))
            case .readiness:
                let readiness = backend.readiness
                respond(responder, readiness.ok ? 200 : 503, readiness)
            case .version: respond(responder, 200, backend.agent)
            }
        } catch {
            respond(responder, error.status, ErrorBody(error.problem), headers: error.headers)
        }
    }

    private func respond(
        _ responder: HTTPResponder, _ status: Int, _ body: some Encodable, headers: [(String, String)] = []
    ) {
        var status = status
        let bytes: [UInt8]
        do { bytes = try JSONCoding.encode(body) + [UInt8(ascii: "\n")] } catch {
            status = 500
            bytes = Array(#"{"error":{"code":"internal","message":"the response cannot be encoded","detail":[]}}"#.utf8)
        }
        responseCounts[status, default: 0] += 1
        responder.respond(status: status, headers: [("Content-Type", "application/json")] + headers, body: bytes)
    }
}

// MARK: - Reading

extension AdminServer {
    private func unknown(_ service: String) -> Refusal { .unknownService(service, known: backend.serviceNames) }

    private func view(of service: String) throws(Refusal) -> ServiceView {
        guard let view = backend.view(of: service) else { throw unknown(service) }
        return view
    }

    private func history(_ query: Query, _ service: String) throws(Refusal) -> HistoryList {
        _ = try view(of: service)
        let limit = try query.number("limit", in: 1...Int64(AdminLimits.page)).map(Int.init)
        do {
            let records = try backend.history(service: service, limit: limit ?? AdminLimits.defaultHistory)
            return HistoryList(service: service, rollouts: records.map(HistoryEntry.init))
        } catch {
            throw .journal(error)
        }
    }

    private func recording(_ query: Query, _ service: String) throws(Refusal) -> RecordingPage {
        _ = try view(of: service)
        let rollout = try query.text("rollout", atMost: AdminLimits.rolloutName) ?? ""
        let after = try query.number("after", in: 0...Int64.max) ?? 0
        let page: StoredPage?
        do {
            page = try backend.recordingPage(
                service: service, rollout: rollout, after: after, limit: AdminLimits.recordingPage)
        } catch {
            throw .journal(error)
        }
        guard let page else {
            throw Refusal(
                404, "unknown_recording",
                rollout.isEmpty
                    ? "nothing is recorded of \(service) between rollouts yet"
                    : "there is no recording of \(printable(rollout)): it is pruned, or that is no rollout of \(service); "
                        + "canaryctl history \(service) lists them")
        }
        return RecordingPage(page, service: service, rollout: rollout)
    }

    private func events(
        _ request: HTTPRequest, _ query: Query, _ service: String, _ responder: HTTPResponder
    ) throws(Refusal) {
        _ = try view(of: service)
        var after = try query.number("after", in: 0...Int64.max)
        let limit = try query.number("limit", in: 1...Int64(AdminLimits.page)).map(Int.init)
        let accepts = request.headers["accept"]?.lowercased() ?? ""
        if try query.flag("follow") || accepts.contains("text/event-stream") {
            if let header = request.headers["last-event-id"] {
                guard let id = Int64(header), id >= 0 else {
                    throw Refusal(400, "bad_query", "Last-Event-ID is a number, not \"\(printable(header))\"")
                }
                after = id
            }
            try followers.add(responder, service: service, after: after)
            responseCounts[200, default: 0] += 1
            return
        }
        do {
            let limit = limit ?? AdminLimits.defaultEvents
            let entries =
                try after.map { try backend.events(service: service, after: $0, limit: limit) }
                ?? backend.latestEvents(service: service, limit: limit)
            respond(responder, 200, EventList(events: entries.map(EventRecord.init)))
        } catch {
            throw .journal(error)
        }
    }

    /// The decision with an id.
    /// - Parameter id: a journal id, or `latest` for the newest decision.
    private func decision(_ id: String, of service: String) throws(Refusal) -> DecisionRecord {
        _ = try view(of: service)
        let entry: JournalEntry?
        do {
            if id == "latest" {
                let decisions = try backend.latestEvents(service: service, limit: AdminLimits.decisionSearch)
                    .filter(\.event.isDecision)
                entry = decisions.last
            } else if let number = Int64(id) {
                entry = try backend.entry(id: number)
            } else {
                throw Refusal(400, "bad_query", "a decision is a number or latest, not \"\(printable(id))\"")
            }
        } catch let refusal as Refusal {
            throw refusal
        } catch {
            throw .journal(error)
        }
        guard let entry, entry.service == service else {
            throw Refusal(
                404, "unknown_decision",
                id == "latest"
                    ? "nothing was decided for \(service) yet"
                    : "\(service) has no journal entry \(id); canaryctl events \(service) lists them")
        }
        return DecisionRecord(entry)
    }

    private func metrics(_ responder: HTTPResponder) {
        let page = exposition()
        responseCounts[200, default: 0] += 1
        responder.respond(status: 200, headers: [("Content-Type", ExpositionWriter.contentType)], body: page)
    }

    /// Renders the agent's own metrics. Call it on the loop.
    public func exposition() -> [UInt8] {
        var writer = ExpositionWriter()
        backend.writeMetrics(into: &writer)
        writer.family(
            "canaryd_admin_requests_total", .counter, "Responses of the admin and feedback sockets by status.")
        for (status, count) in responseCounts.sorted(by: { $0.key < $1.key }) {
            writer.sample("canaryd_admin_requests_total", [("code", "\(status)")], value: count)
        }
        writer.family("canaryd_event_followers", .gauge, "Clients that follow events.")
        writer.sample("canaryd_event_followers", value: followers.count)
        writer.family(
            "canaryd_event_followers_cut_total", .counter, "Followers that were disconnected because they did not read."
        )
        writer.sample("canaryd_event_followers_cut_total", value: followers.cut)
        return writer.bytes
    }
}

// MARK: - Changing

extension AdminServer {
    private func command(
        _ verb: CommandVerb, _ request: HTTPRequest, _ service: String, _ responder: HTTPResponder
    ) throws(Refusal) {
        let command = try Command(verb, request)
        switch backend.command(command, service: service) {
        case .done(let message, let view, let durable):
            let result = CommandResult(message: message, durable: durable, status: ServiceStatus(view))
            respond(responder, durable ? 200 : 202, result)
        case .refused(let refused):
            throw Refusal(409, refused.code.rawValue, refused.message)
        case .unknownService(let known): throw .unknownService(service, known: known)
        case .notWritten(let why):
            throw Refusal(
                503, "not_written",
                "nothing changed: a change that gives a candidate more has to be on disk first, and the write failed: \(why); "
                    + "repair the disk (canaryctl doctor) and send the command again")
        }
    }

    private func feedback(
        _ request: HTTPRequest, _ service: String, _ responder: HTTPResponder
    ) throws(Refusal) {
        guard backend.serviceNames.contains(service) else { throw unknown(service) }
        let rows = try FeedbackReader.read(request, scores: backend.scoreRange(of: service))
        guard let receipt = backend.feedback(rows, service: service) else { throw unknown(service) }
        guard receipt.rejected.isEmpty else {
            let named = receipt.rejected.prefix(AdminLimits.namedRows).map { "row \($0 + 1)" }
            let more = receipt.rejected.count - named.count
            throw Refusal(
                503, "feedback_full",
                "\(receipt.rejected.count) of \(rows.count) rows were not taken, since too much feedback waits for its "
                    + "requests; post the same body again in a while: the \(receipt.accepted) rows that were taken count as "
                    + "duplicates then and change nothing",
                detail: named + (more > 0 ? ["and \(more) more"] : []), headers: [("Retry-After", "5")])
        }
        let counts = FeedbackCountsStatus(receipt.counts)
        respond(
            responder, 200,
            FeedbackResult(accepted: receipt.accepted, counts: counts, note: Self.note(receipt.audience, service)))
    }

    private static func note(_ audience: FeedbackJoin.Audience, _ service: String) -> String? {
        switch audience {
        case .rollout: nil
        case .noRollout:
            "no rollout of \(service) is running, so nothing is compared: the rows are counted as noRollout"
        case .noCheck:
            "no check of the rollout of \(service) asks for labels: the rows are counted as noCheck; add a quality check to "
                + "its policy for the next rollout"
        }
    }
}
