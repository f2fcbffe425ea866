import Analysis
import HTTPEngine
import PolicyModel
import Statistics

/// Drives the exchanges of one loop: turns events of sockets into events of `Exchange`, and performs the actions that
/// follow. It speaks HTTP/1 to both sides.
final class ExchangeDriver {
    let loop: EventLoop
    let limits: ProxyLimits
    let parser: HeadParser
    let buffers: BufferPool
    let clients: ClientTable
    let pool: UpstreamPool
    let mirror: RequestMirror
    let servers: ServerTable
    let tunnel: Tunnel
    let access: AccessRecorder?
    let logsAccess: Bool
    var log = ObservationLog()
    var random = SplitMix64(seed: .random(in: 0 ... .max))
    var requestIDs = RequestIDs()
    /// The numbers of failed requests since the last report, by arm and reason.
    private var failures: [FailureKey: UInt64] = [:]
    /// The number of open upgraded connections.
    private(set) var tunnels = 0
    /// True while the agent stops, when each response is the last of its connection.
    var isStopping = false
    /// The buffer for input that is discarded.
    private let discardBuffer = UnsafeMutablePointer<UInt8>.allocate(capacity: ExchangeDriver.discardSize)
    private static let discardSize = 16 << 10

    let headTimeout: Int64
    let writeTimeout: Int64
    let bodyGrace: Int64
    let continueTimeout: Int64
    let halfCloseWindow: Int64

    init(
        _ loop: EventLoop, _ limits: ProxyLimits, _ parser: HeadParser, _ buffers: BufferPool, clients: ClientTable,
        pool: UpstreamPool, mirror: RequestMirror, servers: ServerTable, access: AccessRecorder?
    ) {
        self.loop = loop
        self.limits = limits
        self.parser = parser
        self.buffers = buffers
        self.clients = clients
        self.pool = pool
        self.mirror = mirror
        self.servers = servers
        self.access = access
        logsAccess = access != nil
        tunnel = Tunnel(loop: loop, buffers: buffers)
        headTimeout = limits.headTimeout.nanoseconds
        writeTimeout = limits.writeTimeout.nanoseconds
        bodyGrace = limits.bodyGrace.nanoseconds
        continueTimeout = limits.continueTimeout.nanoseconds
        halfCloseWindow = limits.halfCloseWindow.nanoseconds
    }

    deinit {
        log.deallocate()
        requestIDs.deallocate()
        discardBuffer.deallocate()
    }

    @inline(__always) var now: Int64 { loop.now }

    /// The observations of the judged requests that are under way.
    func openObservations(at moment: Int64) -> [Observation] {
        var open: [Observation] = []
        clients.forEachOpen { c in
            guard c.phase != .tunnel, let service = c.service, c.exchange.flags.contains(.judged) else { return }
            var seen = c.exchange.observation(service, at: moment)
            seen.outcome = .open
            open.append(seen)
        }
        return open
    }

    /// Returns the numbers of failed requests since the last call, by arm and reason.
    func drainFailures() -> [FailureKey: UInt64] {
        guard !failures.isEmpty else { return [:] }
        defer { failures = [:] }
        return failures
    }
}

// MARK: Ends

extension ExchangeDriver {
    /// Performs the action that follows an event of the exchange.
    func perform(_ action: ExchangeAction, _ c: Client) {
        switch action {
        case .retry: retry(c)
        case .rescue: rescue(c)
        case .respond(let error): respond(c, error, close: false)
        case .truncate: truncate(c)
        case .drop(let outcome): clientGone(c, outcome)
        case .sendContinue: sendContinue(c)
        case .connectTimedOut: connectTimedOut(c)
        }
    }

    /// Handles that the server cannot complete the request.
    func fail(_ c: Client, _ error: ProxyError, _ outcome: Outcome) {
        guard c.exchange.isUnderWay else { return }
        finishAttempt(c, c.exchange.failed(error, outcome, kept(c)))
    }

    /// Releases the connection of a server that did not complete the request, and performs the action that follows.
    func finishAttempt(_ c: Client, _ action: ExchangeAction) {
        let outcome = c.exchange.outcome
        if outcome.isError, let error = c.exchange.error, let service = c.service {
            failures[FailureKey(slot: service.pointee.slot, arm: c.exchange.arm, error: error), default: 0] += 1
            // Only requests that were sent count here; failed connections are counted by the back-off.
            if let u = c.upstream { servers.record(.gatewayFailure, of: u.server, now) }
        }
        detach(c, reuse: false)
        // Another response replaces this one, of which nothing was sent.
        if c.exchange.state == .responding { c.output.clear() }
        perform(action, c)
    }

    /// Whether the request could be sent again, and whether the baseline could take it.
    func kept(_ c: Client) -> KeptRequest {
        guard let service = c.service, c.toServer.base != nil else { return KeptRequest() }
        let body = c.exchange.requestBytes.addingReportingOverflow(c.codec.requestBody.reader.remaining)
        let limit = service.pointee.rescue?.maxBody ?? -1
        return KeptRequest(
            isHeld: c.exchange.traits.contains(.isHeld), isUnsent: c.toServer.start == 0,
            isWhole: !body.overflow && body.partialValue <= limit,
            hasBaseline: service.pointee.baseline.canServe(now))
    }

    /// Sends the request again from its first byte, over a new connection.
    private func retry(_ c: Client) {
        detach(c, reuse: false)
        c.toServer.start = 0
        c.exchange.retry.connectionWasStale()
        dispatch(c, after: .upstreamClosed)
    }

    /// Sends the request to the baseline, from its first byte. It is observed once, as the candidate's failure; the
    /// baseline's response is not observed.
    private func rescue(_ c: Client) {
        guard let service = c.service else { return }
        c.exchange.flags.insert(.rescued)
        log.append(c.exchange.observation(service, at: EventLoop.clock()))
        c.exchange.rescued()
        c.toServer.start = 0
        dispatch(c)
    }

    /// Responds in the server's place. The rest of an incomplete request body is not read.
    func respond(_ c: Client, _ error: ProxyError, close: Bool) {
        buffers.reclaim(&c.toServer)
        if close || c.exchange.owesBody { c.codec.ending = .closes }
        if c.codec.ending == .delimits { c.codec.ending = .closes }
        c.exchange.proxyResponds(error)
        appendError(c, error)
        pumpResponse(c)
    }

    /// Appends an error response to the client's output. It may use strings, since it is not on the path of successful
    /// requests.
    private func appendError(_ c: Client, _ error: ProxyError) {
        var body = ResponseHeadText.errorBody(code: "\(error.code)", message: error.message)
        var head = ResponseHeadText(status: error.status)
        head.add("content-type", "application/json")
        head.add("x-canary-error", "\(error.token)")
        head.add("content-length", "\(body.utf8.count)")
        if error.status == 503 { head.add("retry-after", "1") }
        head.add(c.codec.connection)
        var text = head.text
        buffers.supply(&c.output, for: c.exchange.bufferGauge)
        c.output.makeRoom()
        text.withUTF8 { c.output.append($0.baseAddress.unsafelyUnwrapped, $0.count) }
        if c.service != nil { c.output.append(versionLine(c)) }
        if !c.exchange.id.isEmpty {
            c.output.append("x-request-id: ")
            c.output.append(c.exchange.id)
            c.output.append("\r\n")
        }
        c.output.append("\r\n")
        if !c.exchange.traits.contains(.head) {
            body.withUTF8 { c.output.append($0.baseAddress.unsafelyUnwrapped, $0.count) }
        }
    }

    /// Refuses a head. The bytes that follow it cannot be trusted, so the connection ends with the response.
    func refuse(_ c: Client, _ error: ProxyError) {
        c.exchange = Exchange()
        c.codec = HTTP1Exchange()
        c.exchange.proxyResponds(error)
        appendError(c, error)
        if logsAccess {
            access.unsafelyUnwrapped.refused(error, client: c.pointee.address, bytes: c.input.count, &random)
        }
        c.phase = .lingering
        if flush(c), c.output.isEmpty { linger(c) }
    }

    /// Ends a response that cannot be completed, in a way that the client notices.
    private func truncate(_ c: Client) {
        observe(c)
        // A body that ends with the connection would look complete after a clean close.
        if c.codec.ending == .delimits { c.transport.resetOnClose() }
        close(c)
    }

    /// Sends 100 Continue in the server's place, since some servers ignore `Expect` and the client would wait forever.
    private func sendContinue(_ c: Client) {
        buffers.supply(&c.output, for: c.exchange.bufferGauge)
        c.output.append("HTTP/1.1 100 Continue\r\n\r\n")
        clients.expect(c, by: now + bodyGrace)
        _ = flush(c)
    }

    /// Ends a client's connection that broke or cannot be served any more, and with it the request upstream.
    /// - Parameter outcome: `clientClosed` only if the client ended the connection.
    func clientGone(_ c: Client, _ outcome: Outcome = .clientClosed) {
        guard c.isOpen else { return }
        if c.phase == .tunnel { return endTunnel(c) }
        if c.service != nil {
            c.exchange.clientGone(outcome)
            detach(c, reuse: false)
            observe(c)
        }
        close(c)
    }

    /// Ends an exchange whose response was sent completely.
    func finish(_ c: Client) {
        if c.service != nil { observe(c) } else { logAccess(c) }
        let isDelimited = c.codec.ending == .delimits
        let isClosing = isStopping || c.pointee.listener.unsafelyUnwrapped.pointee.isClosed
        let mayStay = c.codec.ending == .keeps && !isClosing
        let owesBody = c.exchange.owesBody
        c.exchange.ended()
        guard mayStay else {
            // Closing a socket with unread input would send a reset, which may overtake the response.
            if !owesBody, c.input.isEmpty, !isDelimited { return close(c) }
            return linger(c)
        }
        c.phase = .head
        c.pointee.waitingSince = now
        clients.expect(c, by: now + c.pointee.listener.unsafelyUnwrapped.pointee.idleTimeout)
        if !c.input.isEmpty || c.inputEnded { advance(c) }
    }

    /// Writes the observation of a request that ends now, and releases its service.
    func observe(_ c: Client) {
        guard let service = c.service else { return }
        if let mirrored = c.exchange.mirror { mirror.drop(mirrored, c) }
        if !c.exchange.isRescued { log.append(c.exchange.observation(service, at: EventLoop.clock())) }
        releaseService(c, service)
    }

    private func releaseService(_ c: Client, _ service: UnsafeMutablePointer<ServicePlan>) {
        logAccess(c)
        service.pointee.inFlight -= 1
        AdmissionControl.requestEnded(c)
        c.exchange.service = nil
    }

    /// Writes the request's line of the access log, once, before its service is released.
    @inline(__always) private func logAccess(_ c: Client) {
        guard let note = c.exchange.note else { return }
        c.exchange.note = nil
        access.unsafelyUnwrapped.end(c.exchange, note, client: c.pointee.address, moment: EventLoop.clock())
    }

    func close(_ c: Client) {
        logAccess(c)
        clients.close(c)
    }

    /// Ends the output and waits for the client to close: closing with unread input would send a reset, which may
    /// overtake the response.
    func linger(_ c: Client) {
        // The client's input was read completely, so closing sends no reset.
        if c.inputEnded { return close(c) }
        c.phase = .lingering
        c.transport.endOutput()
        c.input.clear()
        resumeReading(c)
        clients.expect(c, by: now + Self.lingerTime)
    }

    private static let lingerTime: Int64 = 1_000_000_000

    func discardInput(_ c: Client) {
        switch c.transport.discard(into: discardBuffer, Self.discardSize) {
        case .bytes, .blocked: break
        case .ended, .broken: clientGone(c)
        }
    }

    /// Handles that a client's deadline has passed.
    func expired(_ c: Client) {
        switch c.phase {
        case .lingering: clientGone(c)
        case .head:
            guard !c.input.isEmpty, c.output.isEmpty else { return clientGone(c) }
            refuse(c, .requestTimeout)
        case .tunnel: endTunnel(c)
        case .exchange:
            let serverBlocks = c.upstream?.transport.wantsWrite ?? false
            let action = c.exchange.expired(owesOutput: !c.output.isEmpty, serverBlocks: serverBlocks, kept(c))
            switch action {
            case .respond, .rescue, .truncate: finishAttempt(c, action)
            case .drop, .sendContinue, .connectTimedOut, .retry: perform(action, c)
            }
        }
    }
}

// MARK: Tunnels

extension ExchangeDriver {
    /// Turns the exchange into a tunnel. Its observation is written now, since the duration of a tunnel says nothing
    /// about the server.
    func startTunnel(_ c: Client, _ u: Upstream, _ response: ResponseMessage) {
        buffers.supply(&c.output, for: c.exchange.bufferGauge)
        c.output.makeRoom()
        guard c.output.room > limits.maxHead + ByteSlice.headSlack, let service = c.service else {
            return fail(c, .response(.headTooLarge), .truncated)
        }
        c.output.appendSwitchHead(response, versionLine: versionLine(c), id: c.exchange.id)
        buffers.reclaim(&c.toServer)
        c.exchange.switched()
        c.exchange.firstByte(at: EventLoop.clock())
        servers.record(.good, of: u.server, now)
        if !c.exchange.isRescued { log.append(c.exchange.observation(service, at: EventLoop.clock())) }
        c.phase = .tunnel
        c.pointee.tunnel = TunnelState(toServer: c.inputEnded ? .ended : .open)
        tunnels += 1
        continueTunnel(c, tunnel.move(c, u))
    }

    func continueTunnel(_ c: Client, _ progress: Tunnel.Progress) {
        switch progress {
        case .open: clients.expect(c, by: now + (c.service?.pointee.idleTimeout ?? writeTimeout))
        case .ended: endTunnel(c)
        case .broken: endTunnel(c, isBroken: true)
        }
    }

    /// Closes both sides.
    /// - Parameter isBroken: true if one side broke off, which the other then sees as a reset.
    private func endTunnel(_ c: Client, isBroken: Bool = false) {
        if isBroken {
            c.transport.resetOnClose()
            c.upstream?.transport.resetOnClose()
        }
        logAccess(c)
        detach(c, reuse: false)
        if let service = c.service { releaseService(c, service) }
        tunnels -= 1
        close(c)
    }
}
