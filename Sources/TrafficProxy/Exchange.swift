import Analysis
import PolicyModel

/// One request, from its head to its observation, as a state machine: each event has a function that changes the state
/// and returns the action that follows. An exchange knows neither sockets nor the syntax of HTTP/1. Times are
/// arguments, in monotonic nanoseconds. Plain data.
struct Exchange {
    enum State: UInt8, CaseIterable {
        /// No request is under way. Exits: `connecting`; `finishing` for a request that the proxy refuses.
        case idle
        /// The request needs a connection to a server. Exits: `requesting` when it has one; `finishing` when there is
        /// none and the proxy responds.
        case connecting
        /// The request is being sent, or has been sent; its final response has not started. Exits: `responding` with
        /// the response's head; `interimSent`; `connecting` for another attempt; `tunnel` with a 101; `finishing` when
        /// the proxy responds itself.
        case requesting
        /// The same as `requesting`, except that part of an interim response has reached the client, so the request can
        /// no longer be rescued. Exits: `relaying` with the response's head; `tunnel`; `finishing`.
        case interimSent
        /// The final response's head is in the client's output, and none of it has been sent. Exits: `relaying` when
        /// the output is about to be sent; `connecting` for a rescue; `finishing`.
        case responding
        /// Part of the response may have been sent, so that a failure can only truncate it. Exit: `finishing`.
        case relaying
        /// The response is complete; its last bytes may still wait in the client's output. Exit: `idle`.
        case finishing
        /// The server switched protocols, and bytes are relayed unchanged in both directions. The connection ends with
        /// the tunnel, so there is no exit.
        case tunnel
    }

    /// How much of the request the client has sent.
    enum RequestState: UInt8, CaseIterable {
        /// The client waits for 100 Continue before it sends the body.
        case awaitsContinue
        /// The body is incomplete.
        case receiving
        case complete
    }

    struct Traits: OptionSet {
        let rawValue: UInt8
        /// The method is HEAD: the response has no body.
        static let head = Traits(rawValue: 1)
        /// The request asks to switch to WebSocket, and the proxy passes that on.
        static let upgrade = Traits(rawValue: 2)
        /// All bytes of the request so far are held, so that it could be sent again. Removed when the response is sent
        /// to the client.
        static let isHeld = Traits(rawValue: 4)
    }

    private(set) var state = State.idle
    private(set) var request = RequestState.complete
    var traits: Traits = []
    var retry = RetryPolicy()

    // Facts about the request, set when it starts.

    /// The service that the request was routed to; nil if none matches.
    var service: UnsafeMutablePointer<ServicePlan>?
    var startedAt: Int64 = 0
    var requestHash: UInt64 = 0
    var id = InlineText()
    var arm = Arm.baseline
    var flags = Observation.Flags()
    /// The request's place in the split, in basis points.
    var place: UInt16 = 0
    var key: UInt32 = 0

    // Resources that the driver attaches to the exchange, and releases.

    var upstream: Upstream?
    /// The server that the request was last sent to. Valid as long as `service` is set.
    var server: UnsafeMutablePointer<Server>?
    /// The services that count this request and its buffers.
    var requestGauge: Gauge?
    var bufferGauge: Gauge?
    /// The note for the access log; nil if this request is not logged.
    var note: UnsafeMutablePointer<AccessNote>?
    /// The mirrored request for the candidate; nil if this request is not mirrored.
    var mirror: MirroredRequest?

    // The result.

    private(set) var outcome = Outcome.success
    /// The status of the response to the client; 0 before it.
    var status: UInt16 = 0
    /// The status of the server's final response; 0 before it.
    private(set) var serverStatus: UInt16 = 0
    /// The reason why the proxy responded in the server's place or truncated its response; for a rescued request, the
    /// reason why the candidate's response was not used.
    private(set) var error: ProxyError?
    /// The result of the request for the server's health, taken from the status of its final response.
    private(set) var serverResult = ServerHealth.RequestResult.good
    /// The time of the first byte of the response's body, or of the end of a response without one; 0 before it.
    private(set) var firstByteAt: Int64 = 0
    private(set) var requestBytes: Int64 = 0
    /// The number of bytes that were sent to the client.
    var responseBytes: Int64 = 0
    var bodyClock = BodyClock()
    private var interim = InterimCount()

    /// True while a response of a server is awaited or relayed.
    var isUnderWay: Bool {
        switch state {
        case .connecting, .requesting, .interimSent, .responding, .relaying: true
        case .idle, .finishing, .tunnel: false
        }
    }

    /// True if the head of the final response, of a server or of the proxy itself, has been written to the client's
    /// output.
    var hasResponse: Bool {
        switch state {
        case .responding, .relaying, .finishing, .tunnel: true
        case .idle, .connecting, .requesting, .interimSent: false
        }
    }

    /// True if the client has not sent all of its body.
    var owesBody: Bool { request != .complete }
    /// True if the baseline took the request over from the candidate.
    var isRescued: Bool { retry.rescue == .done }
}

// MARK: The request

extension Exchange {
    /// Starts the exchange of a request whose head has been read.
    init(startedAt: Int64, request: RequestState, isHead: Bool, isIdempotent: Bool, asksForUpgrade: Bool) {
        self.startedAt = startedAt
        self.request = request
        if isHead { traits.insert(.head) }
        if asksForUpgrade { traits.insert(.upgrade) }
        retry.isIdempotent = isIdempotent
        state = .connecting
    }

    /// Handles that the request got an established connection.
    mutating func connected() {
        if state == .connecting { state = .requesting }
    }

    /// Handles that the request lost its connection. Before a response it needs another one.
    mutating func disconnected() {
        switch state {
        case .connecting, .requesting: state = .connecting
        case .idle, .interimSent, .responding, .relaying, .finishing, .tunnel: break
        }
    }

    /// Counts bytes of the body that the client sent.
    @inline(__always) mutating func requestBytes(_ count: Int) {
        guard count > 0 else { return }
        requestBytes += Int64(count)
        if request == .awaitsContinue { request = .receiving }
    }

    /// Handles the end of the request's body.
    @inline(__always) mutating func requestEnded() { request = .complete }

    /// Handles malformed framing of the request's body, whose end is then unknown.
    mutating func requestBroken(_ kept: KeptRequest) -> Action { failed(.badBody, .rejected, kept) }
}

// MARK: The response

extension Exchange {
    /// Handles an interim response, which ends a wait for 100 Continue. Returns nil if it is to be relayed.
    mutating func interimResponse(limit: Int, now: Int64, _ kept: KeptRequest) -> Action? {
        guard interim.add(limit: limit, now: now) else { return failed(.tooManyInterim, .truncated, kept) }
        if request == .awaitsContinue { request = .receiving }
        return nil
    }

    /// Handles that part of an interim response was sent to the client and cannot be taken back.
    mutating func interimWentOut() {
        if state == .requesting { state = .interimSent }
    }

    /// Handles the head of the server's final response. Returns nil if it is to be relayed.
    /// - Parameter kept: read only if the status is a 5xx.
    mutating func response(status: Int, _ kept: KeptRequest) -> Action? {
        assert(state == .requesting || state == .interimSent, "a response in \(state)")
        serverStatus = UInt16(truncatingIfNeeded: status)
        outcome = status >= 500 ? .serverError : status >= 400 ? .clientError : .success
        serverResult = ServerHealth.RequestResult(status: status)
        if status >= 500, state == .requesting, retry.mayRescue(outcome, kept) { return .rescue }
        self.status = serverStatus
        state = state == .interimSent ? .relaying : .responding
        return nil
    }

    /// Handles a 101: the server switches protocols, as the request asked.
    mutating func switched() {
        outcome = .success
        status = 101
        traits.remove(.isHeld)
        state = .tunnel
    }

    /// Handles that the response is about to be sent to the client, after which the request cannot be sent again.
    @inline(__always) mutating func responseGoesOut() {
        if state == .responding { state = .relaying }
    }

    /// Records the time of the first byte of the response's body, or of the end of a response without one; later calls
    /// have no effect. The head's time is not used, since servers that stream send the head before they begin to work.
    @inline(__always) mutating func firstByte(at now: @autoclosure () -> Int64) {
        if firstByteAt == 0 { firstByteAt = now() }
    }

    /// Handles the end of the response.
    @inline(__always) mutating func responseEnded() {
        assert(state == .responding || state == .relaying, "a response ends in \(state)")
        state = .finishing
    }

    /// Handles that the proxy responds in the server's place.
    mutating func proxyResponds(_ error: ProxyError) {
        self.error = error
        status = UInt16(truncatingIfNeeded: error.status)
        traits.remove(.isHeld)
        state = .finishing
    }

    /// Handles that the connection to the server ended before the response was complete.
    mutating func serverEnded(isReused: Bool, sent: Int64, received: Int64, _ kept: KeptRequest) -> Action {
        guard state == .requesting || state == .interimSent else { return failed(.responseCut, .truncated, kept) }
        if retry.maySendAgain(isReused: isReused, sent: sent, received: received, kept) { return .retry }
        // The connection may have been stale, but this request must not be sent twice.
        return failed(.upstreamClosed, received == 0 ? .connectFailure : .truncated, kept)
    }
}

// MARK: Ends

extension Exchange {
    /// Handles that the server did not deliver a complete response.
    mutating func failed(_ error: ProxyError, _ outcome: Outcome, _ kept: KeptRequest) -> Action {
        self.error = error
        self.outcome = outcome
        switch state {
        case .connecting, .requesting, .responding:
            return retry.mayRescue(outcome, kept) ? .rescue : .respond(error)
        case .interimSent: return .respond(error)
        case .relaying: return .truncate
        case .idle, .finishing, .tunnel:
            assertionFailure("a request fails in \(state)")
            return .truncate
        }
    }

    /// Handles that the baseline takes the request over, as if nothing had been sent. The request stays in the
    /// candidate's population and does not count as open on the baseline.
    mutating func rescued() {
        retry.rescued()
        arm = .baseline
        flags.remove(.judged)
        outcome = .success
        firstByteAt = 0
        state = .connecting
    }

    /// Handles that the last byte of the response was sent to the client.
    mutating func ended() { state = .idle }

    /// Handles that the client left or cannot be served any more.
    /// - Parameter outcome: `clientClosed` only if the client ended the connection.
    mutating func clientGone(_ outcome: Outcome) { self.outcome = outcome }

    /// Handles that the deadline has passed.
    /// - Parameters:
    ///   - owesOutput: true if output still waits for the client to read it.
    ///   - serverBlocks: true if the server does not read the request, so that the server is late and not the client.
    mutating func expired(owesOutput: Bool, serverBlocks: Bool, _ kept: KeptRequest) -> Action {
        if owesOutput { return .drop(.clientTimeout) }
        switch state {
        case .idle, .finishing, .tunnel: return .drop(.clientTimeout)
        case .connecting: return .connectTimedOut
        case .requesting, .interimSent, .responding, .relaying: break
        }
        guard owesBody, !serverBlocks else { return failed(.responseTimeout, .timeout, kept) }
        if request == .awaitsContinue {
            request = .receiving
            return .sendContinue
        }
        return hasResponse ? .drop(.clientTimeout) : failed(.bodyTimeout, .clientTimeout, kept)
    }
}

// MARK: The observation

extension Exchange {
    /// The observation of a request that ends at this moment.
    func observation(_ service: UnsafeMutablePointer<ServicePlan>, at moment: Int64) -> Observation {
        Observation(
            slot: service.pointee.slot, arm: arm, outcome: outcome, flags: flags, place: place, status: serverStatus,
            key: key, startedAt: startedAt, requestHash: requestHash,
            firstByte: firstByteAt == 0 ? .max : UInt32(clamping: (firstByteAt - startedAt) / 1000),
            total: UInt32(clamping: (moment - startedAt) / 1000))
    }
}

/// The action that an exchange's driver has to take after an event. Relaying is not an action, since it needs the head
/// that the event was about; such events return nil for it.
enum ExchangeAction: Equatable {
    /// Send the request again from its first byte, over a new connection.
    case retry
    /// Write the candidate's observation, and send the request to the baseline.
    case rescue
    /// The connection was not established in time: try another server.
    case connectTimedOut
    case sendContinue
    /// Respond in the server's place.
    case respond(ProxyError)
    /// Close the client's connection in a way that shows that the response is incomplete.
    case truncate
    /// Close the client's connection without a response.
    case drop(Outcome)
}

extension Exchange { typealias Action = ExchangeAction }

/// Counts interim responses within a second.
private struct InterimCount {
    private var count: UInt8 = 0
    private var since: Int64 = 0
    private static let window: Int64 = 1_000_000_000

    /// Counts an interim response. Returns false if it is beyond the limit.
    mutating func add(limit: Int, now: Int64) -> Bool {
        if now - since > Self.window {
            since = now
            count = 0
        }
        count += count < .max ? 1 : 0
        return Int(count) <= limit
    }
}
