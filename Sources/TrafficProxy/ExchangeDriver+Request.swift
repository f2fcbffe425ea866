import Analysis
import HTTPEngine
import PolicyModel

// A request: its service and arm, its connection to a server, and sending.

extension ExchangeDriver {
    /// Begins a request. The message is valid until the next read.
    func begin(_ c: Client, _ message: RequestMessage) {
        let head = message.head
        let isTrusted = c.pointee.isTrusted
        let body = BodyRelay(head.framing, chunkedOut: head.framing == .chunked)
        let awaitsContinue = head.fields.expectsContinue && head.minor == 1 && !body.isDone
        c.exchange = Exchange(
            startedAt: c.pointee.headStartedAt,
            request: body.isDone ? .complete : awaitsContinue ? .awaitsContinue : .receiving,
            isHead: head.kind == .head, isIdempotent: head.kind.isIdempotent, asksForUpgrade: message.asksForWebSocket)
        let listener = c.pointee.listener.unsafelyUnwrapped
        let isClosing = isStopping || listener.pointee.isClosed
        c.codec = HTTP1Exchange(
            requestBody: body, ending: head.keepsAlive && !isClosing ? .keeps : .closes, minor: head.minor)
        c.pointee.headStartedAt = 0
        c.phase = .exchange
        let service = listener.pointee.routes.find(host: message.host, path: message.path)
        let rule = service?.pointee.headers.requestID ?? .keep
        requestIDs.assign(message, isKept: rule == .keep || rule == .trusted && isTrusted, to: &c.exchange.id)
        c.exchange.requestHash = c.exchange.id.withBytes { RequestIdentifier.hash($0) }
        if logsAccess { c.exchange.note = access.unsafelyUnwrapped.note(message, &random) }

        if head.kind == .connect { return respond(c, .connectMethod, close: true) }
        if head.fields.expectsOther { return respond(c, .expectation, close: true) }
        guard let service else { return respond(c, .noService, close: false) }
        if service.pointee.hasLimits || c.pointee.gauge != nil, let error = AdmissionControl.admit(c, service) {
            return respond(c, error, close: error == .tooManyConnections)
        }
        start(c, service, message)
    }

    private func start(_ c: Client, _ service: UnsafeMutablePointer<ServicePlan>, _ message: RequestMessage) {
        let isTrusted = c.pointee.isTrusted
        service.pointee.inFlight += 1
        c.exchange.service = service
        let assignment = service.pointee.assign(message, isTrusted: isTrusted, &random)
        c.exchange.arm = assignment.arm
        c.exchange.place = assignment.place
        c.exchange.key = assignment.key
        c.exchange.flags = assignment.flags
        if service.pointee.rescue != nil { c.exchange.retry.rescue = service.pointee.rescue(of: message, assignment) }
        if service.pointee.mirrorShare > 0, isMirrored(c, service) { mirror.begin(c, service) }
        buffers.supply(&c.toServer, for: c.exchange.bufferGauge)
        let reuses =
            assignment.arm == .candidate
            ? service.pointee.candidate.reusesConnections : service.pointee.baseline.reusesConnections
        c.toServer.appendRequestHead(
            message, address: c.pointee.address, id: c.exchange.id,
            forwarding: Forwarding(service.pointee.headers, isTrusted: isTrusted),
            isUpgrade: c.exchange.traits.contains(.upgrade), closes: !reuses)
        c.exchange.traits.insert(.isHeld)
        dispatch(c)
    }

    private func isMirrored(_ c: Client, _ service: UnsafeMutablePointer<ServicePlan>) -> Bool {
        c.exchange.arm == .baseline && c.exchange.flags.contains(.judged) && !isStopping
            && !c.exchange.traits.contains(.upgrade) && random.next() % 10_000 < service.pointee.mirrorShare
    }
}

// MARK: A connection

extension ExchangeDriver {
    /// Finds a server and a connection for the request in `toServer`, and starts sending.
    /// - Parameter failure: the error of a request for which no server is left.
    func dispatch(_ c: Client, after failure: ProxyError = .noServer) {
        guard let service = c.service else { return }
        c.exchange.bodyClock.pause(at: now)
        var failure = failure
        while c.exchange.retry.begin() {
            guard let server = pick(c, service, besides: c.exchange.retry.tried) else { break }
            if !c.exchange.retry.wantsNewConnection, let u = pool.takeIdle(server) {
                attach(c, u)
                return resumeSending(c)
            }
            switch pool.open(server) {
            case .connected(let u):
                server.pointee.health.connected()
                attach(c, u)
                return resumeSending(c)
            case .connecting(let u):
                server.pointee.health.isTried(until: now + service.pointee.connectTimeout)
                attach(c, u)
                return clients.expect(c, by: now + service.pointee.connectTimeout)
            case .refused: server.pointee.health.connectFailed(now, hangs: false, jitter: random.next())
            case .exhausted: break
            }
            c.exchange.retry.avoid(server)
            failure = .connectFailed
        }
        fail(c, failure, .connectFailure)
    }

    @inline(__always) private func pick(
        _ c: Client, _ service: UnsafeMutablePointer<ServicePlan>, besides tried: TriedServers
    ) -> UnsafeMutablePointer<Server>? {
        c.exchange.arm == .candidate
            ? service.pointee.candidate.pick(now, besides: tried) : service.pointee.baseline.pick(now, besides: tried)
    }

    @inline(__always) private func attach(_ c: Client, _ u: Upstream) {
        let slot = c.service.unsafelyUnwrapped.pointee.slot
        pool.lend(u, to: ArmKey(slot: slot, arm: c.exchange.arm))
        u.client = c
        c.exchange.upstream = u
        c.exchange.server = u.pointee.server
        if u.phase == .busy { c.exchange.connected() }
    }

    /// Releases the request's connection.
    /// - Parameter reuse: true if the connection may be kept, because neither side has bytes left.
    func detach(_ c: Client, reuse: Bool) {
        guard let u = c.upstream else { return }
        c.exchange.upstream = nil
        c.exchange.disconnected()
        pool.release(u, reuse: reuse, idleTimeout: c.service?.pointee.idleTimeout ?? writeTimeout)
    }

    /// Handles events of a server's socket.
    func upstreamReady(_ u: Upstream, _ events: ReadyEvents) {
        guard u.isOpen else { return }
        if let mirrored = u.pointee.mirror { return mirror.ready(mirrored, u, events) }
        switch u.phase {
        case .idle:
            // An idle connection reports its end, or bytes that belong to no request.
            pool.closeUnasked(u)
        case .connecting:
            connectEnded(u, events)
        case .busy:
            guard let c = u.client else { return pool.close(u) }
            if c.phase == .tunnel { return continueTunnel(c, tunnel.serverReady(c, u, events)) }
            if events.contains(.writable) {
                pool.watch(u, reading: c.output.isEmpty, writing: false)
                resumeSending(c)
                guard u.isOpen, u.client == c else { return }
            }
            if !events.isDisjoint(with: [.readable, .peerClosed, .failed, .hungUp]) { upstreamReadable(u, c) }
        }
    }

    private func connectEnded(_ u: Upstream, _ events: ReadyEvents) {
        guard let c = u.client else { return pool.close(u) }
        let server = u.server
        guard !u.transport.hasFailed, events.isDisjoint(with: [.failed, .hungUp]) else {
            server.pointee.health.connectFailed(now, hangs: false, jitter: random.next())
            detach(c, reuse: false)
            c.exchange.retry.avoid(server)
            return dispatch(c, after: .connectFailed)
        }
        guard events.contains(.writable) else { return }
        server.pointee.health.connected()
        u.phase = .busy
        c.exchange.connected()
        // A server that sends before it was asked is one response ahead: its response to this request would go to the
        // next.
        if events.contains(.readable) { pool.spokeUnasked(u) }
        pool.watch(u, reading: true, writing: false)
        resumeSending(c)
    }

    /// Handles a connection that was not established in time. Another server is tried. A server that sent something a
    /// moment ago only has a full backlog, and is tried again if there is no other.
    func connectTimedOut(_ c: Client) {
        guard let u = c.upstream, let service = c.service else { return clientGone(c, .clientTimeout) }
        let server = u.server
        server.pointee.health.connectFailed(now, hangs: true, jitter: random.next())
        let isHeard = server.pointee.health.isHeard(now)
        detach(c, reuse: false)
        var tried = c.exchange.retry.tried
        tried.add(server)
        if !isHeard || pick(c, service, besides: tried) != nil { c.exchange.retry.avoid(server) }
        dispatch(c, after: .connectTimeout)
    }
}

// MARK: Sending

extension ExchangeDriver {
    /// Sends what is ready, then resumes reading from the client, which stopped if its input filled up while the
    /// request had no connection or the server took no more. Sending always starts and resumes here: `sendToServer`
    /// alone would never read the rest of the body.
    private func resumeSending(_ c: Client) {
        sendToServer(c)
        if c.isOpen { advance(c) }
    }

    /// Sends what is ready: the head, then as much of the body as has come.
    func sendToServer(_ c: Client) {
        guard let u = c.upstream, u.phase == .busy else { return }
        while true {
            takeBody(c)
            if c.phase != .exchange || c.upstream != u { return }
            let isVerbatim = c.toServer.isEmpty
            let count = isVerbatim ? verbatimBody(c) : c.toServer.count
            guard count > 0 else { return requestSent(c) }
            switch u.transport.send(isVerbatim ? c.input.first : c.toServer.first, count) {
            case .blocked: return serverBlocks(c, u)
            case .broken: return sendFailed(c, u)
            case .bytes(let n):
                u.pointee.sent += Int64(n)
                guard isVerbatim else {
                    c.toServer.start += n
                    continue
                }
                c.input.start += n
                c.codec.requestBody.sent(verbatim: n)
                bodyMoved(c, n)
            }
        }
    }

    /// Waits for a server that takes no more bytes. It has the time of `timeouts.response`, and the client's time for
    /// its body is paused meanwhile.
    private func serverBlocks(_ c: Client, _ u: Upstream) {
        pool.watch(u, reading: c.output.isEmpty, writing: true)
        c.exchange.bodyClock.pause(at: now)
        clients.expect(c, by: now + (c.service?.pointee.responseTimeout ?? writeTimeout))
    }

    /// Moves the client's body from its input to `toServer`, while there is room and the request can still be replayed;
    /// later only if the body has to be re-encoded.
    private func takeBody(_ c: Client) {
        guard c.exchange.owesBody, !c.input.isEmpty else { return }
        let isHeld = c.exchange.traits.contains(.isHeld)
        if c.toServer.isEmpty {
            let isVerbatim = c.codec.requestBody.isVerbatim
            let wanted = c.codec.requestBody.verbatim(of: c.input.count)
            if isVerbatim, !(isHeld && c.toServer.room >= wanted) { return }
            buffers.supply(&c.toServer, for: c.exchange.bufferGauge)
            let isKept = isHeld && (c.exchange.retry.rescue == .replayable || c.exchange.mirror != nil)
            // Chunks may grow a little when they are re-encoded.
            let least = isVerbatim ? wanted : isKept ? wanted + ByteSlice.headSlack : BufferPool.bufferSize / 2
            if c.toServer.room < least {
                c.exchange.traits.remove(.isHeld)
                c.toServer.clear()
            }
        }
        let before = c.input.count
        let progress = c.codec.requestBody.relay(&c.input, &c.toServer)
        bodyMoved(c, before - c.input.count)
        if case .broken = progress { requestBroken(c) }
    }

    /// The number of body bytes that can be sent directly from the client's input. Once one of them is sent, the
    /// request cannot be sent again.
    private func verbatimBody(_ c: Client) -> Int {
        guard c.exchange.owesBody, c.codec.requestBody.isVerbatim, !c.input.isEmpty else { return 0 }
        buffers.reclaim(&c.toServer)
        c.exchange.traits.remove(.isHeld)
        return c.codec.requestBody.verbatim(of: c.input.count)
    }

    @inline(__always) private func bodyMoved(_ c: Client, _ count: Int) {
        c.exchange.requestBytes(count)
        if c.codec.requestBody.isDone { c.exchange.requestEnded() }
    }

    /// Sets the deadline after all available bytes were sent: for the rest of the client's body, or for the server's
    /// response.
    func requestSent(_ c: Client) {
        // Another connection may have taken this one's place meanwhile, with a deadline of its own.
        guard c.phase == .exchange, let service = c.service, c.upstream?.phase == .busy else { return }
        c.exchange.bodyClock.resume(at: now)
        switch c.exchange.request {
        case .complete: if c.output.isEmpty { clients.expect(c, by: now + service.pointee.responseTimeout) }
        case .awaitsContinue: clients.expect(c, by: now + continueTimeout)
        case .receiving:
            clients.expect(
                c,
                by: c.exchange.bodyClock.deadline(
                    bytes: c.exchange.requestBytes, rate: Int64(limits.bodyRate), grace: bodyGrace))
        }
    }

    /// Handles a connection that broke while the request was sent. A response may have come nevertheless.
    private func sendFailed(_ c: Client, _ u: Upstream) {
        if u.pointee.isReused, u.pointee.received == 0, u.pointee.sent == 0 { return perform(.retry, c) }
        pool.watch(u, reading: true, writing: false)
        upstreamReadable(u, c)
    }

    /// Handles a malformed chunked coding in the client's body.
    private func requestBroken(_ c: Client) { finishAttempt(c, c.exchange.requestBroken(kept(c))) }
}
