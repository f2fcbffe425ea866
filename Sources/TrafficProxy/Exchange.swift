import Analysis
import PolicyModel

/// One request, from its head to the end of its observation, as a state machine: each event has a function, which moves
/// the state on and returns what is to be done. An exchange knows neither sockets nor the syntax of HTTP/1, and calls
/// nothing; times are given, in monotonic nanoseconds. Plain data.
struct Exchange {
    enum State: UInt8, CaseIterable {
        /// No request is under way. Exits: `connecting`; `finishing` for a request that the proxy refuses.
        case idle
        /// The request needs a connection to a server. Exits: `requesting` when it has one; `finishing` when none can be
        /// had and the proxy responds.
        case connecting
        /// The request is being sent, or has been sent; its final response has not started. Exits: `responding` with the
        /// response's head; `interimSent`; `connecting` for another attempt; `tunnel` with a 101; `finishing` when the
        /// proxy responds itself.
        case requesting
        /// The same as `requesting`, except that part of an interim response has reached the client, so the request can
        /// no longer be rescued. Exits: `relaying` with the response's head; `tunnel`; `finishing`.
        case interimSent
        /// The final response's head is in the client's output, and none of it has been sent. Exits: `relaying` when the
        /// output is about to be sent; `connecting` for a rescue; `finishing`.
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
        /// The whole request, as far as it has come, is held and could be sent again. Removed with the first byte of the
        /// response.
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
    /// The note for the access log; nil where the log does not ask for this request.
    var note: UnsafeMutablePointer<AccessNote>?
    /// The request's copy for the candidate; nil where there is to be none.
    var mirror: MirroredRequest?

    // The result.

    private(set) var outcome = Outcome.success
    /// The status that the client was told; 0: none yet.
    var status: UInt16 = 0
    /// The status of the server's final response; 0: none yet.
    private(set) var serverStatus: UInt16 = 0
    /// Why the proxy responded in the server's place or truncated its response; of a rescued request, why the
    /// candidate's response was not used.
    private(set) var error: ProxyError?
    /// The result of the request for the server's health, taken from the status of its final response.
    private(set) var serverResult = ServerHealth.RequestResult.good
    /// The time of the first byte of the response's body, or of the end of a response without one; 0: not yet.
    private(set) var firstByteAt: Int64 = 0
    private(set) var requestBytes: Int64 = 0
    /// Bytes that went to the client.
    var responseBytes: Int64 = 0
    var bodyClock = BodyClock()
    private var interim = InterimCount()

    /// True while a server is to respond, or is responding.
    var isUnderWay: Bool {
        switch state {
        case .connecting, .requesting, .interimSent, .responding, .relaying: true
        case .idle, .finishing, .tunnel: false
        }
    }

    /// True if the head of the final response has been put into the client's output, or of the proxy's own.
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
    /// Starts the exchange of a request whose head was read.
    init(startedAt: Int64, request: RequestState, isHead: Bool, isIdempotent: Bool, asksForUpgrade: Bool) {
        self.startedAt = startedAt
        self.request = request
        if isHead { traits.insert(.head) }
        if asksForUpgrade { traits.insert(.upgrade) }
        retry.isIdempotent = isIdempotent
        state = .connecting
    }

    /// The request has an established connection.
    mutating func connected() {
        if state == .connecting { state = .requesting }
    }

    /// The request no longer has a connection. Before a response it needs another one.
    mutating func disconnected() {
        switch state {
        case .connecting, .requesting: state = .connecting
        case .idle, .interimSent, .responding, .relaying, .finishing, .tunnel: break
        }
    }

    /// The client sent bytes of the body.
    @inline(__always) mutating func requestBytes(_ count: Int) {
        guard count > 0 else { return }
        requestBytes += Int64(count)
        if request == .awaitsContinue { request = .receiving }
    }

    /// The body is complete.
    @inline(__always) mutating func requestEnded() { request = .complete }

    /// The framing of the request's body is malformed, so its end cannot be known.
    mutating func requestBroken(_ kept: KeptRequest) -> Action { failed(.badBody, .rejected, kept) }
}

// MARK: The response

extension Exchange {
    /// The server sent an interim response, which ends a wait for 100 Continue. Returns nil where it is to be relayed.
    mutating func interimResponse(limit: Int, now: Int64, _ kept: KeptRequest) -> Action? {
        guard interim.add(limit: limit, now: now) else { return failed(.interimStorm, .truncated, kept) }
        if request == .awaitsContinue { request = .receiving }
        return nil
    }

    /// Part of an interim response was sent to the client and cannot be taken back.
    mutating func interimWentOut() {
        if state == .requesting { state = .interimSent }
    }

    /// The server's final response starts. Returns nil where it is to be relayed.
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

    /// The server switches protocols, as the request asked.
    mutating func switched() {
        outcome = .success
        status = 101
        traits.remove(.isHeld)
        state = .tunnel
    }

    /// The response is about to be sent to the client: from here on the request cannot be sent again.
    @inline(__always) mutating func responseGoesOut() {
        if state == .responding { state = .relaying }
    }

    /// Notes the time once: of the first byte of the response's body, or of the end of a response that has none. The
    /// head is no measure: servers that stream send it before they begin to work.
    @inline(__always) mutating func firstByte(at now: @autoclosure () -> Int64) {
        if firstByteAt == 0 { firstByteAt = now() }
    }

    /// The response is complete.
    @inline(__always) mutating func responseEnded() {
        assert(state == .responding || state == .relaying, "a response ends in \(state)")
        state = .finishing
    }

    /// The proxy responds in the server's place.
    mutating func proxyResponds(_ error: ProxyError) {
        self.error = error
        status = UInt16(truncatingIfNeeded: error.status)
        traits.remove(.isHeld)
        state = .finishing
    }

    /// The connection to the server ended before the response was complete.
    mutating func serverEnded(isReused: Bool, sent: Int64, received: Int64, _ kept: KeptRequest) -> Action {
        guard state == .requesting || state == .interimSent else { return failed(.responseCut, .truncated, kept) }
        if retry.maySendAgain(isReused: isReused, sent: sent, received: received, kept) { return .retry }
        // The connection may have been stale, but this request must not be sent twice.
        return failed(.upstreamClosed, received == 0 ? .connectFailure : .truncated, kept)
    }
}

// MARK: Ends

extension Exchange {
    /// The server did not deliver a whole response.
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

    /// The baseline takes the request over from here on, as if nothing had been sent. What is open on the baseline is
    /// not of its population.
    mutating func rescued() {
        retry.rescued()
        arm = .baseline
        flags.remove(.judged)
        outcome = .success
        firstByteAt = 0
        state = .connecting
    }

    /// The last byte of the response was sent to the client.
    mutating func ended() { state = .idle }

    /// The client left, or cannot be served any more.
    /// - Parameter outcome: `clientClosed` only where it was the client that ended the connection.
    mutating func clientGone(_ outcome: Outcome) { self.outcome = outcome }

    /// The deadline has passed.
    /// - Parameters:
    ///   - owesOutput: output still waits for the client to read it.
    ///   - serverBlocks: the server does not read the request, so it is the server that is late and not the client.
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

/// The next step of an exchange, which its driver carries out after an event. Relaying is none: it needs the head that
/// the event was about, so those events return nil for it.
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

    /// Counts one more. Returns false where it is beyond the limit.
    mutating func add(limit: Int, now: Int64) -> Bool {
        if now - since > Self.window {
            since = now
            count = 0
        }
        count += count < .max ? 1 : 0
        return Int(count) <= limit
    }
}
