import Analysis
import CLinuxEngine
import Glibc
import HTTPEngine

// The server's side: which one, over which connection, and sending to it.

extension LoopWorker {
    /// Tries of one request in all: the first, and others while nothing was sent or the connection was stale.
    private static let maxAttempts: UInt8 = 4

    /// Finds a server and a connection for the request in `toServer`, and starts sending.
    /// - Parameter failure: what to say where no server is left.
    func dispatch(_ c: Client, after failure: ProxyError = .noServer) {
        guard let service = c.pointee.exchange.service else { return }
        c.pointee.exchange.bodyClock.pause(at: now)
        var failure = failure
        while c.pointee.exchange.attempts < Self.maxAttempts {
            c.pointee.exchange.attempts += 1
            guard let server = pick(c, service, besides: c.pointee.exchange.tried) else { break }
            if !c.pointee.exchange.wantsNewConnection, let u = takeIdle(server) {
                attach(c, u)
                return resumeSending(c)
            }
            guard let u = connect(server, service) else {
                c.pointee.exchange.tried.add(server)
                failure = .connectFailed
                continue
            }
            attach(c, u)
            if u.pointee.phase == .busy { return resumeSending(c) }
            return expect(c, by: now + service.pointee.connectTimeout)
        }
        answerFailed(c, failure, .connectFailure)
    }

    @inline(__always) private func pick(
        _ c: Client, _ service: UnsafeMutablePointer<ServicePlan>, besides tried: TriedServers
    ) -> UnsafeMutablePointer<Server>? {
        c.pointee.exchange.arm == .candidate
            ? service.pointee.candidate.pick(now, besides: tried) : service.pointee.baseline.pick(now, besides: tried)
    }

    @inline(__always) private func attach(_ c: Client, _ u: Upstream) {
        u.pointee.client = c
        u.pointee.received = 0
        u.pointee.sent = 0
        u.pointee.scanner = HeadScanner()
        c.pointee.exchange.upstream = u
        c.pointee.exchange.server = u.pointee.server
        u.pointee.server.unsafelyUnwrapped.pointee.outstanding += 1
    }

    /// A kept-alive connection on which nothing has come since its last response. One with bytes to read is closed: they
    /// belong to no request, and the next one would take them for its response. What the kernel has is asked each time,
    /// since an event for this connection may still wait behind the one that is being handled.
    func takeIdle(_ server: UnsafeMutablePointer<Server>) -> Upstream? {
        while let u = server.pointee.idle {
            unlink(u)
            u.pointee.phase = .busy
            u.pointee.isReused = true
            if ce_is_quiet(u.pointee.fd) != 0 { return u }
            closeUpstream(u)
        }
        return nil
    }

    /// Nil: it failed at once, and the server was noted.
    private func connect(
        _ server: UnsafeMutablePointer<Server>, _ service: UnsafeMutablePointer<ServicePlan>
    ) -> Upstream? {
        var status: Int32 = 0
        guard let u = open(server, &status) else {
            if status < 0 { server.pointee.health.connectFailed(now, hangs: false, jitter: random.next()) }
            return nil
        }
        if status >= 0 {
            server.pointee.health.connected()
        } else {
            server.pointee.health.isTried(until: now + service.pointee.connectTimeout)
        }
        return u
    }

    /// A connection that stands or is on its way; nil with a negative status where the server refused it, and with 0 where
    /// it is this host that has no more.
    func open(_ server: UnsafeMutablePointer<Server>, _ status: inout Int32) -> Upstream? {
        if upstreams.inUse >= limits.maxUpstreams { closeAnyIdle() }
        var fd = ce_socket(ce_family(&server.pointee.address))
        if fd < 0, closeAnyIdle() { fd = ce_socket(ce_family(&server.pointee.address)) }
        guard fd >= 0 else { return nil }
        _ = ce_set_no_delay(fd)
        status = ce_connect(fd, &server.pointee.address)
        guard status >= 0 || status == -EINPROGRESS else {
            Glibc.close(fd)
            return nil
        }
        let u = upstreams.take()
        u.pointee.fd = fd
        u.pointee.server = server
        u.pointee.move = server.pointee.move
        u.pointee.isReusable = server.pointee.reusesConnections
        u.pointee.phase = status >= 0 ? .busy : .connecting
        let interest: ReadyEvents = status >= 0 ? [.readable, .peerClosed] : [.readable, .peerClosed, .writable]
        u.pointee.interest = interest.rawValue
        guard loop.register(record: data(u), descriptor: fd, interest: interest) else {
            Glibc.close(fd)
            upstreams.put(u)
            status = 0
            return nil
        }
        return u
    }

    @inline(__always) private func data(_ u: Upstream) -> UInt64 {
        UInt64(UInt(bitPattern: u)) | RecordKind.upstream.rawValue
    }

    @inline(__always) private func watch(_ u: Upstream, _ wanted: ReadyEvents) {
        guard wanted.rawValue != u.pointee.interest else { return }
        u.pointee.interest = wanted.rawValue
        loop.modify(record: data(u), descriptor: u.pointee.fd, interest: wanted)
    }

    /// Stops and starts reading the answer, as the client takes it.
    func watch(_ u: Upstream, reading: Bool, writing: Bool) {
        var wanted: ReadyEvents = reading ? [.readable, .peerClosed] : []
        if writing { wanted.insert(.writable) }
        watch(u, wanted)
    }

    func upstreamReady(_ u: Upstream, _ events: ReadyEvents) {
        guard u.pointee.fd >= 0 else { return }
        if let copy = u.pointee.mirror { return copyReady(copy, u, events) }
        switch u.pointee.phase {
        case .idle:
            // Nothing may come here: it is an end, or bytes that belong to no request.
            closeUpstream(u)
        case .connecting:
            connectEnded(u, events)
        case .busy:
            guard let c = u.pointee.client else { return closeUpstream(u) }
            if c.pointee.phase == .tunnel { return tunnelReady(server: u, c, events) }
            if events.contains(.writable) {
                watch(u, reading: !isHeldBack(c), writing: false)
                resumeSending(c)
                guard u.pointee.fd >= 0, u.pointee.client == c else { return }
            }
            if !events.isDisjoint(with: [.readable, .peerClosed, .failed, .hungUp]) { upstreamReadable(u, c) }
        }
    }

    private func connectEnded(_ u: Upstream, _ events: ReadyEvents) {
        guard let c = u.pointee.client, let server = u.pointee.server else { return closeUpstream(u) }
        guard ce_socket_error(u.pointee.fd) == 0, events.isDisjoint(with: [.failed, .hungUp]) else {
            server.pointee.health.connectFailed(now, hangs: false, jitter: random.next())
            detachUpstream(c, reuse: false)
            c.pointee.exchange.tried.add(server)
            return dispatch(c, after: .connectFailed)
        }
        guard events.contains(.writable) else { return }
        server.pointee.health.connected()
        u.pointee.phase = .busy
        // A server that speaks before it was asked is one response ahead: what it says to this request would come to the
        // next.
        if events.contains(.readable) { u.pointee.isReusable = false }
        watch(u, reading: true, writing: false)
        resumeSending(c)
    }

    /// It did not take the connection in time. Another server may; one that was heard of a moment ago has only a full
    /// backlog, and is asked again where there is no other.
    func connectExpired(_ c: Client, _ u: Upstream, _ service: UnsafeMutablePointer<ServicePlan>) {
        let server = u.pointee.server.unsafelyUnwrapped
        server.pointee.health.connectFailed(now, hangs: true, jitter: random.next())
        let isHeard = server.pointee.health.isHeard(now)
        detachUpstream(c, reuse: false)
        var tried = c.pointee.exchange.tried
        tried.add(server)
        if !isHeard || pick(c, service, besides: tried) != nil { c.pointee.exchange.tried = tried }
        dispatch(c, after: .connectTimeout)
    }

    /// Sends what there is, then reads on from the client, whose input may have filled up, and so have been left unread,
    /// while the request had no connection or its server took no more. Every start and every resumption of sending
    /// comes through here: what only sends leaves a client with more to send unread for good.
    private func resumeSending(_ c: Client) {
        sendToServer(c)
        if c.pointee.fd >= 0 { advance(c) }
    }

    /// Sends what is ready: the head, then the body as it comes.
    func sendToServer(_ c: Client) {
        guard let u = c.pointee.exchange.upstream, u.pointee.phase == .busy, !c.pointee.exchange.isReplyDone else {
            return
        }
        while true {
            takeBody(c)
            if c.pointee.phase != .exchange || c.pointee.exchange.upstream != u { return }
            let isVerbatim = c.pointee.toServer.isEmpty
            let count = isVerbatim ? verbatimBody(c) : c.pointee.toServer.count
            guard count > 0 else { return requestSent(c) }
            let n = ce_send(u.pointee.fd, isVerbatim ? c.pointee.input.first : c.pointee.toServer.first, count, 0)
            guard n > 0 else {
                if n == -Int(EINTR) { continue }
                return n == -Int(EAGAIN) ? serverBlocks(c, u) : sendFailed(c, u)
            }
            u.pointee.sent += Int64(n)
            guard isVerbatim else {
                c.pointee.toServer.start += n
                continue
            }
            c.pointee.input.start += n
            c.pointee.exchange.body.sent(verbatim: n)
            bodyMoved(c, n)
        }
    }

    /// The server takes no more for now. It has as long as for a response, and the client's time does not run meanwhile.
    private func serverBlocks(_ c: Client, _ u: Upstream) {
        watch(u, reading: !isHeldBack(c), writing: true)
        c.pointee.exchange.bodyClock.pause(at: now)
        expect(c, by: now + (c.pointee.exchange.service?.pointee.responseTimeout ?? writeTimeout))
    }

    /// Moves what the client sent of the body behind the head, while there is room and it can be replayed; later only
    /// what has to be coded anew.
    private func takeBody(_ c: Client) {
        guard !c.pointee.exchange.body.isDone, !c.pointee.input.isEmpty else { return }
        if c.pointee.toServer.isEmpty {
            let isVerbatim = c.pointee.exchange.body.isVerbatim
            let wanted = c.pointee.exchange.body.verbatim(of: c.pointee.input.count)
            if isVerbatim, !(c.pointee.exchange.isReplayable && c.pointee.toServer.room >= wanted) { return }
            if c.pointee.toServer.base == nil { take(&c.pointee.toServer, for: c.pointee.exchange.bufferGauge) }
            let isKept =
                c.pointee.exchange.isReplayable
                && (c.pointee.exchange.rescue == .replayable || c.pointee.exchange.mirror != nil)
            // Chunks may grow a little when they are written anew.
            let least = !isKept ? BufferPool.bufferSize / 2 : isVerbatim ? wanted : wanted + ByteSlice.headSlack
            if c.pointee.toServer.room < least {
                c.pointee.exchange.isReplayable = false
                c.pointee.toServer.start = 0
                c.pointee.toServer.end = 0
            }
        }
        let before = c.pointee.input.count
        let progress = c.pointee.exchange.body.relay(&c.pointee.input, &c.pointee.toServer)
        bodyMoved(c, before - c.pointee.input.count)
        if case .broken = progress { brokenBody(c) }
    }

    /// How many bytes of the body can go out from where they were read. From the first of them on the request cannot be
    /// sent again.
    private func verbatimBody(_ c: Client) -> Int {
        guard !c.pointee.exchange.body.isDone, c.pointee.exchange.body.isVerbatim, !c.pointee.input.isEmpty else {
            return 0
        }
        if c.pointee.toServer.base != nil { giveBack(&c.pointee.toServer) }
        c.pointee.exchange.isReplayable = false
        return c.pointee.exchange.body.verbatim(of: c.pointee.input.count)
    }

    /// The client does not take the answer as fast as it comes.
    @inline(__always) func isHeldBack(_ c: Client) -> Bool { !c.pointee.output.isEmpty }

    @inline(__always) private func bodyMoved(_ c: Client, _ count: Int) {
        guard count > 0 else { return }
        c.pointee.exchange.waitsForContinue = false
        c.pointee.exchange.bodyBytes += Int64(count)
    }

    /// Everything that is there has gone out: now the client owes body, or the server an answer.
    func requestSent(_ c: Client) {
        // Another connection may have taken this one's place meanwhile, with a deadline of its own.
        guard c.pointee.phase == .exchange, let service = c.pointee.exchange.service,
            c.pointee.exchange.upstream?.pointee.phase == .busy
        else { return }
        c.pointee.exchange.bodyClock.resume(at: now)
        if c.pointee.exchange.body.isDone {
            if c.pointee.output.isEmpty { expect(c, by: now + service.pointee.responseTimeout) }
        } else if c.pointee.exchange.waitsForContinue {
            expect(c, by: now + continueTimeout)
        } else {
            expect(
                c,
                by: c.pointee.exchange.bodyClock.deadline(
                    bytes: c.pointee.exchange.bodyBytes, rate: Int64(limits.bodyRate), grace: bodyGrace))
        }
    }

    /// The connection broke while the request went out. An answer may be there all the same.
    private func sendFailed(_ c: Client, _ u: Upstream) {
        if u.pointee.isReused, u.pointee.received == 0, u.pointee.sent == 0 { return retry(c) }
        watch(u, reading: true, writing: false)
        upstreamReadable(u, c)
    }

    /// Once more, over another connection, with all that was meant for the first.
    func retry(_ c: Client) {
        detachUpstream(c, reuse: false)
        c.pointee.toServer.start = 0
        c.pointee.exchange.wantsNewConnection = true
        dispatch(c, after: .upstreamClosed)
    }

    /// RFC 9110, 9.2.2: what is not idempotent goes out once. A stale connection shows by ending before any answer.
    func mayRetry(_ c: Client, _ u: Upstream) -> Bool {
        let x = c.pointee.exchange
        guard u.pointee.isReused, u.pointee.received == 0, x.isReplayable, c.pointee.toServer.base != nil else {
            return false
        }
        return u.pointee.sent == 0 || x.isIdempotent
    }
}

// MARK: Between requests

extension LoopWorker {
    /// Lets go of the request's connection. It is kept where both sides are at a clean end.
    func detachUpstream(_ c: Client, reuse: Bool) {
        guard let u = c.pointee.exchange.upstream else { return }
        c.pointee.exchange.upstream = nil
        u.pointee.client = nil
        release(u, reuse: reuse, idleTimeout: c.pointee.exchange.service?.pointee.idleTimeout ?? writeTimeout)
    }

    func release(_ u: Upstream, reuse: Bool, idleTimeout: Int64) {
        let server = u.pointee.server.unsafelyUnwrapped
        server.pointee.outstanding -= 1
        let isWanted =
            server.pointee.tables > 0 && server.pointee.idleCount < limits.maxIdleUpstream
            && u.pointee.move == server.pointee.move && !isStopping
        // Bytes beyond the response end the connection: they belong to no request.
        guard reuse, u.pointee.isReusable, isWanted, u.pointee.input.isEmpty else { return closeUpstream(u) }
        giveBack(&u.pointee.input)
        watch(u, [.readable, .peerClosed])
        u.pointee.phase = .idle
        u.pointee.deadline = now + idleTimeout
        if u.pointee.deadline < wakeAt { wakeAt = u.pointee.deadline }
        u.pointee.previous = nil
        u.pointee.next = server.pointee.idle
        server.pointee.idle?.pointee.previous = u
        server.pointee.idle = u
        server.pointee.idleCount += 1
    }

    private func unlink(_ u: Upstream) {
        let server = u.pointee.server.unsafelyUnwrapped
        if let previous = u.pointee.previous {
            previous.pointee.next = u.pointee.next
        } else {
            server.pointee.idle = u.pointee.next
        }
        u.pointee.next?.pointee.previous = u.pointee.previous
        u.pointee.next = nil
        u.pointee.previous = nil
        server.pointee.idleCount -= 1
    }

    /// Gives up a connection that rests, for one that is needed. False: none rests.
    @discardableResult
    private func closeAnyIdle() -> Bool {
        guard let idle = servers.values.lazy.compactMap(\.pointee.idle).first else { return false }
        closeUpstream(idle)
        return true
    }

    func closeUpstream(_ u: Upstream) {
        guard u.pointee.fd >= 0 else { return }
        if u.pointee.phase == .idle { unlink(u) }
        Glibc.close(u.pointee.fd)
        u.pointee.fd = -1
        giveBack(&u.pointee.input)
        upstreams.put(u)
    }
}
