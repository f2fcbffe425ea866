import AdminTypes
import Glibc

/// A blocking client of the agent's admin API over its Unix socket, with one connection per request.
public struct AdminClient: Sendable {
    public static let defaultSocket = "/run/canaryd/admin.sock"
    /// The timeout of a request in seconds. The agent responds from memory; a longer delay means that the agent or its
    /// disk hangs.
    public static let timeout = 10
    /// The timeout of an event stream in seconds. The agent sends a heartbeat every 15 s.
    static let followTimeout = 60

    public let path: String

    public init(path: String) { self.path = path }

    /// A client for the given socket, or else for that of `CANARYD_SOCKET`, or else for the default one.
    /// - Parameter socket: the value of `--socket`.
    public init(socket: String?) {
        if let socket {
            path = socket
        } else if let value = getenv("CANARYD_SOCKET"), value.pointee != 0 {
            path = String(cString: value)
        } else {
            path = Self.defaultSocket
        }
    }

    // MARK: - Reading

    public func services() throws(AdminClientError) -> [ServiceStatus] {
        try get(ServiceList.self, "/v1/services").services
    }

    public func service(_ name: String) throws(AdminClientError) -> ServiceStatus {
        try get(ServiceStatus.self, Self.path(name))
    }

    public func history(_ service: String, limit: Int? = nil) throws(AdminClientError) -> HistoryList {
        try get(HistoryList.self, Self.path(service, "history") + (limit.map { "?limit=\($0)" } ?? ""))
    }

    /// Events of a service, in the order of their ids.
    /// - Parameter after: the id after which events are returned; nil for the newest events.
    public func events(
        _ service: String, after: Int64? = nil, limit: Int? = nil
    ) throws(AdminClientError) -> [EventRecord] {
        let query = [after.map { "after=\($0)" }, limit.map { "limit=\($0)" }].compactMap(\.self)
        let suffix = query.isEmpty ? "" : "?" + query.joined(separator: "&")
        return try get(EventList.self, Self.path(service, "events") + suffix).events
    }

    /// A decision with its evaluation.
    /// - Parameter id: the id of the decision; nil for the last one.
    public func decision(_ id: Int64?, of service: String) throws(AdminClientError) -> DecisionRecord {
        try get(DecisionRecord.self, Self.path(service, "decisions/\(id.map { "\($0)" } ?? "latest")"))
    }

    /// Calls `take` with each page of a recording until there is none left or `take` returns false.
    /// - Parameter rollout: the id of the rollout; empty for the recording made between rollouts.
    public func recording(
        _ service: String, rollout: String, _ take: (RecordingPage) -> Bool
    ) throws(AdminClientError) {
        var after: Int64? = 0
        while let from = after {
            let target = Self.path(service, "recording") + "?rollout=\(Self.escaped(rollout))&after=\(from)"
            let page = try get(RecordingPage.self, target)
            guard take(page) else { return }
            after = page.next
        }
    }

    public func targets(of service: String) throws(AdminClientError) -> [TargetStatus] {
        try get(TargetList.self, Self.path(service, "targets")).targets
    }

    public func agent() throws(AdminClientError) -> AgentStatus { try get(AgentStatus.self, "/v1/version") }

    public func readiness() throws(AdminClientError) -> HealthStatus {
        let (status, body) = try exchange("GET", "/readyz")
        guard status == 200 || status == 503 else { throw refusal(status, body) }
        return try decode(HealthStatus.self, body)
    }

    // MARK: - Changing

    public func command(
        _ verb: CommandVerb, service: String, _ details: CommandRequest = CommandRequest()
    ) throws(AdminClientError) -> CommandResult {
        let body: [UInt8]
        do { body = try JSONCoding.encode(details) } catch {
            throw .unexpectedResponse("the command cannot be encoded: \(error)")
        }
        return try request(CommandResult.self, "POST", Self.path(service, verb.rawValue), body: body)
    }

    /// Posts labels. The client has to be one for the agent's feedback socket.
    /// - Parameter rows: a JSON object or array.
    public func postFeedback(_ rows: [UInt8], service: String) throws(AdminClientError) -> FeedbackResult {
        try request(FeedbackResult.self, "POST", Self.path(service, "feedback"), body: rows)
    }

    // MARK: - Following

    /// Calls `take` with each new event until it returns false or the agent ends the stream.
    /// - Parameter after: the id after which events are sent; nil for events from now on.
    public func follow(
        _ service: String, after: Int64?, _ take: (EventRecord) -> Bool
    ) throws(AdminClientError) {
        let connection = try UnixConnection(path: path, timeout: Self.followTimeout)
        let query = "?follow=1" + (after.map { "&after=\($0)" } ?? "")
        try connection.send(head("GET", Self.path(service, "events") + query, accept: "text/event-stream"))
        var response = ResponseReader()
        var parser = EventStreamParser()
        var refusalBody: [UInt8] = []
        while true {
            let bytes = try connection.receive()
            do {
                if bytes.isEmpty { return }
                let body = try response.read(bytes)
                if let status = response.status, status != 200 {
                    refusalBody += body
                    if response.isComplete { throw refusal(status, refusalBody) }
                    continue
                }
                for data in try parser.parse(body) {
                    guard take(try decode(EventRecord.self, data)) else { return }
                }
                if response.isComplete { return }
            } catch let error as AdminClientError {
                throw error
            } catch {
                throw malformedResponse
            }
        }
    }

    // MARK: - One request

    /// Sends any request and returns the status and body of the response.
    public func exchange(
        _ method: String, _ target: String, body: [UInt8] = []
    ) throws(AdminClientError) -> (status: Int, body: [UInt8]) {
        let connection = try UnixConnection(path: path, timeout: Self.timeout)
        try connection.send(head(method, target, accept: "application/json", bodyLength: body.count) + body)
        var response = ResponseReader()
        var responseBody: [UInt8] = []
        do {
            while !response.isComplete {
                let bytes = try connection.receive()
                if bytes.isEmpty { try response.end() }
                responseBody += try response.read(bytes)
                guard responseBody.count <= ResponseReader.maximumBody else { throw ResponseReader.Malformed() }
            }
        } catch let error as AdminClientError {
            throw error
        } catch {
            throw malformedResponse
        }
        return (response.status ?? 0, responseBody)
    }

    private var malformedResponse: AdminClientError {
        .unexpectedResponse(
            "what answers at \(path) is not canaryd's admin API; name its socket with --socket or CANARYD_SOCKET")
    }

    private func head(_ method: String, _ target: String, accept: String, bodyLength: Int = 0) -> [UInt8] {
        var text = "\(method) \(target) HTTP/1.1\r\nHost: canaryd\r\nAccept: \(accept)\r\nConnection: close\r\n"
        if method == "POST" { text += "Content-Type: application/json\r\nContent-Length: \(bodyLength)\r\n" }
        return Array((text + "\r\n").utf8)
    }

    private func get<Value: Decodable>(_ type: Value.Type, _ target: String) throws(AdminClientError) -> Value {
        try request(type, "GET", target)
    }

    private func request<Value: Decodable>(
        _ type: Value.Type, _ method: String, _ target: String, body: [UInt8] = []
    ) throws(AdminClientError) -> Value {
        let (status, responseBody) = try exchange(method, target, body: body)
        guard (200..<300).contains(status) else { throw refusal(status, responseBody) }
        return try decode(type, responseBody)
    }

    private func refusal(_ status: Int, _ body: [UInt8]) -> AdminClientError {
        guard let error = try? JSONCoding.decode(ErrorBody.self, from: body) else { return malformedResponse }
        return .refused(status: status, error.error)
    }

    private func decode<Value: Decodable>(_ type: Value.Type, _ body: [UInt8]) throws(AdminClientError) -> Value {
        do { return try JSONCoding.decode(type, from: body) } catch {
            throw .unexpectedResponse(
                "the agent at \(path) responds in a form that this canaryctl does not know; are both of one version?")
        }
    }

    /// The path `/v1/services/NAME/REST` with the name escaped.
    static func path(_ service: String, _ rest: String = "") -> String {
        "/v1/services/" + escaped(service) + (rest.isEmpty ? "" : "/" + rest)
    }

    private static func escaped(_ text: String) -> String {
        var escaped = ""
        for byte in text.utf8 {
            let scalar = Character(Unicode.Scalar(byte))
            if scalar.isASCII, scalar.isLetter || scalar.isNumber || "-._~".contains(scalar) {
                escaped.append(scalar)
            } else {
                let digits = String(byte, radix: 16, uppercase: true)
                escaped += "%" + (digits.count < 2 ? "0" : "") + digits
            }
        }
        return escaped
    }
}
