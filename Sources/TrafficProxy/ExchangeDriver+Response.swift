import Analysis
import HTTPEngine
import PolicyModel

// A response, from the server to the client.

extension ExchangeDriver {
    /// The size in bytes from which a piece is sent directly from the input; smaller ones are copied behind the head.
    private static let verbatimSize = 8 << 10

    func upstreamReadable(_ u: Upstream, _ c: Client) {
        buffers.supply(&u.input, for: c.exchange.bufferGauge)
        u.input.makeRoom()
        // An event with a full buffer: the connection was reset while the client did not read.
        guard u.input.room > 0 else { return fail(c, .responseCut, .truncated) }
        let before = u.input.count
        switch u.transport.receive(into: &u.input) {
        case .bytes: break
        case .blocked:
            if u.input.isEmpty { buffers.reclaim(&u.input) }
            return
        case .ended: return serverEnded(u, c, isBroken: false)
        case .broken: return serverEnded(u, c, isBroken: true)
        }
        let count = u.input.count - before
        u.pointee.received += Int64(count)
        u.server.pointee.health.lastHeard = now
        let hadResponse = c.exchange.hasResponse
        if !hadResponse { guard readResponseHead(u, c) else { return } }
        if let mirrored = c.exchange.mirror {
            mirror.keepPrimary(mirrored, u.input, last: hadResponse ? count : u.input.count)
        }
        pumpResponse(c)
    }

    /// Reads the response's head. Returns true if a final head was written to the client's output.
    private func readResponseHead(_ u: Upstream, _ c: Client) -> Bool {
        while !u.input.isEmpty {
            let p = UnsafePointer(u.input.first)
            switch u.pointee.scanner.scan(p, min(u.input.count, limits.maxHead)) {
            case .incomplete:
                if u.input.count >= limits.maxHead { fail(c, .response(.headTooLarge), .truncated) }
                return false
            case .failed(let error):
                fail(c, .response(error), .truncated)
                return false
            case .complete(let length):
                u.pointee.scanner = HeadScanner()
                var head = ResponseHead()
                let isToHead = c.exchange.traits.contains(.head)
                if let error = parser.parse(response: p, length, toHead: isToHead, into: &head) {
                    fail(c, .response(error), .truncated)
                    return false
                }
                u.input.start += length
                let fields = FieldList(first: UnsafePointer(parser.fields), count: head.fields.count, base: p)
                let message = ResponseMessage(head: head, fields: fields)
                if head.status >= 200 { return startResponse(u, c, message) }
                guard head.status == 101 ? takeSwitch(u, c, message) : passInterim(u, c, message) else { return false }
            }
        }
        buffers.reclaim(&u.input)
        return false
    }

    /// Handles a 101. Returns false, since no response follows it.
    private func takeSwitch(_ u: Upstream, _ c: Client, _ message: ResponseMessage) -> Bool {
        if c.exchange.traits.contains(.upgrade), message.switchesToWebSocket {
            startTunnel(c, u, message)
        } else {
            fail(c, .unexpectedSwitch, .truncated)
        }
        return false
    }

    /// Relays an interim response. Returns false if the client is gone, or if the server sends too many of them.
    private func passInterim(_ u: Upstream, _ c: Client, _ message: ResponseMessage) -> Bool {
        if let action = c.exchange.interimResponse(limit: limits.maxInterim, now: now, kept(c)) {
            finishAttempt(c, action)
            return false
        }
        // The server is working on the request (RFC 2518, 10.1), so its timeout starts again, and after a 100 also the
        // client's for its body.
        if u.transport.wantsWrite, let service = c.service {
            clients.expect(c, by: now + service.pointee.responseTimeout)
        } else {
            requestSent(c)
        }
        // HTTP/1.0 knows no interim responses.
        guard c.codec.minor == 1 else { return true }
        buffers.supply(&c.output, for: c.exchange.bufferGauge)
        guard c.output.room > limits.maxHead + ByteSlice.headSlack else { return true }
        c.output.appendInterimHead(message)
        guard flush(c) else { return false }
        // An interim head that was sent in part cannot be taken back.
        if !c.output.isEmpty { c.exchange.interimWentOut() }
        return true
    }

    /// Handles the head of the final response. Returns false if the request is sent to the baseline instead.
    private func startResponse(_ u: Upstream, _ c: Client, _ message: ResponseMessage) -> Bool {
        let head = message.head
        // A response below 500 is never replaced by the baseline's, so `kept` is not worth computing.
        let kept = head.status >= 500 ? kept(c) : KeptRequest()
        if let action = c.exchange.response(status: head.status, kept) {
            dropServerError(u, c, head)
            perform(action, c)
            return false
        }
        u.pointee.keepsAlive = head.keepsAlive && head.framing != .untilClose
        var framing = head.framing
        if framing == .untilClose || framing == .chunked { framing = c.codec.minor == 0 ? .untilClose : .chunked }
        c.codec.responseBody = BodyRelay(head.framing, chunkedOut: framing == .chunked)
        // The rest of an incomplete body would be read as the next request.
        let isLast = c.inputEnded && c.input.isEmpty
        let isClosing = isStopping || c.pointee.listener.unsafelyUnwrapped.pointee.isClosed
        if c.exchange.owesBody || isClosing || isLast { c.codec.ending = .closes }
        if framing == .untilClose { c.codec.ending = .delimits }
        buffers.supply(&c.output, for: c.exchange.bufferGauge)
        c.output.makeRoom()
        c.output.appendResponseHead(
            message, framing: framing,
            statedLength: head.framing == .none && head.status != 204 ? head.fields.contentLength : -1,
            versionLine: versionLine(c), id: c.exchange.id, connection: c.codec.connection)
        if let mirrored = c.exchange.mirror { mirror.primaryBegan(mirrored, head) }
        return true
    }

    /// Releases the connection of a candidate that responded with a 5xx, before the baseline serves the request.
    private func dropServerError(_ u: Upstream, _ c: Client, _ head: ResponseHead) {
        servers.record(ServerHealth.RequestResult(status: head.status), of: u.server, now)
        // The connection can be kept if the whole response has already come.
        let rest = Int64(u.input.count)
        let isWhole = head.framing == .none && rest == 0 || head.framing == .length(rest)
        if isWhole { u.input.start = u.input.end }
        detach(c, reuse: isWhole && head.keepsAlive && !c.exchange.owesBody && c.toServer.isEmpty)
    }

    @inline(__always) func versionLine(_ c: Client) -> Bytes {
        let service = c.service.unsafelyUnwrapped
        return c.exchange.arm == .candidate
            ? service.pointee.candidate.versionLine : service.pointee.baseline.versionLine
    }

    /// Marks the response as about to be sent, after which the request is not held for another attempt.
    private func responseGoesOut(_ c: Client) {
        c.exchange.responseGoesOut()
        guard c.exchange.traits.contains(.isHeld), !mirror.keepsRequest(c) else { return }
        c.exchange.traits.remove(.isHeld)
        if c.toServer.isEmpty { buffers.reclaim(&c.toServer) }
    }

    /// Relays the response until the input is empty, the client takes no more, or the response is complete.
    func pumpResponse(_ c: Client) {
        while c.isOpen {
            if c.exchange.state == .responding || c.exchange.state == .relaying, !relayBody(c) { return }
            if c.exchange.hasResponse { responseGoesOut(c) }
            guard flush(c) else { return }
            guard c.output.isEmpty else { return holdBack(c) }
            if c.exchange.state == .finishing { return finish(c) }
            guard let u = c.upstream else { return }
            if u.input.isEmpty { return awaitMore(c, u) }
            // The head is not complete yet.
            guard c.exchange.hasResponse else { return }
        }
    }

    /// Waits for more of the response after all that has come was relayed.
    private func awaitMore(_ c: Client, _ u: Upstream) {
        buffers.reclaim(&u.input)
        pool.watch(u, reading: true, writing: u.transport.wantsWrite)
        if !c.exchange.owesBody, let service = c.service {
            clients.expect(c, by: now + service.pointee.responseTimeout)
        }
    }

    /// Stops reading from the server while the client does not take more.
    private func holdBack(_ c: Client) {
        guard let u = c.upstream else { return }
        pool.watch(u, reading: false, writing: u.transport.wantsWrite)
    }

    /// Relays the response's body from the server's input, through the client's output or directly. Returns false if
    /// the exchange is over.
    private func relayBody(_ c: Client) -> Bool {
        guard let u = c.upstream else { return true }
        if c.output.isEmpty, c.exchange.state == .relaying, c.codec.responseBody.isVerbatim,
            u.input.count >= Self.verbatimSize
        {
            c.exchange.firstByte(at: EventLoop.clock())
            switch c.transport.send(u.input.first, c.codec.responseBody.verbatim(of: u.input.count)) {
            case .bytes(let n):
                u.input.start += n
                c.exchange.responseBytes += Int64(n)
                c.codec.responseBody.sent(verbatim: n)
            case .blocked: break
            case .broken:
                clientGone(c)
                return false
            }
        }
        if !u.input.isEmpty {
            buffers.supply(&c.output, for: c.exchange.bufferGauge)
            c.output.makeRoom()
            if case .broken = c.codec.responseBody.relay(&u.input, &c.output) {
                fail(c, .responseCoding, .truncated)
                return false
            }
            if c.codec.responseBody.hasContent { c.exchange.firstByte(at: EventLoop.clock()) }
        }
        if c.codec.responseBody.isDone { responseComplete(c, u) }
        return true
    }

    /// Releases the server's connection after a whole response, before the client has read it.
    private func responseComplete(_ c: Client, _ u: Upstream) {
        c.exchange.responseEnded()
        c.exchange.firstByte(at: EventLoop.clock())
        servers.record(c.exchange.serverResult, of: u.server, now)
        detach(c, reuse: u.pointee.keepsAlive && !c.exchange.owesBody && c.toServer.isEmpty)
        if let mirrored = c.exchange.mirror { mirror.primaryEnded(mirrored, c) }
        buffers.reclaim(&c.toServer)
    }

    /// Handles a server's connection that was closed or broke.
    private func serverEnded(_ u: Upstream, _ c: Client, isBroken: Bool) {
        if !isBroken, c.exchange.hasResponse {
            buffers.supply(&c.output, for: c.exchange.bufferGauge)
            if c.output.room > BodyRelay.endLength, c.codec.responseBody.closed(&c.output) {
                responseComplete(c, u)
                return pumpResponse(c)
            }
        }
        let action = c.exchange.serverEnded(
            isReused: u.pointee.isReused, sent: u.pointee.sent, received: u.pointee.received, kept(c))
        if action == .retry { perform(.retry, c) } else { finishAttempt(c, action) }
    }
}
