import Analysis
import HTTPEngine

// The client's side: reading heads, and the connection between requests.

extension ExchangeDriver {
    /// Handles events of the client's socket.
    func clientReady(_ c: Client, _ events: ReadyEvents) {
        guard c.isOpen else { return }
        if c.phase == .tunnel {
            guard let u = c.upstream else { return continueTunnel(c, .ended) }
            return continueTunnel(c, tunnel.clientReady(c, u, events))
        }
        if !events.isDisjoint(with: [.failed, .hungUp]) { return clientGone(c) }
        if events.contains(.writable) {
            clientWritable(c)
            guard c.isOpen else { return }
        }
        if events.contains(.readable) { clientReadable(c) }
    }

    private func clientReadable(_ c: Client) {
        if c.phase == .lingering { return discardInput(c) }
        buffers.supply(&c.input, for: nil)
        c.input.makeRoom()
        guard c.input.room > 0 else { return clients.watch(c) }
        switch c.transport.receive(into: &c.input) {
        case .bytes:
            c.pointee.heardAt = now
            advance(c)
        case .blocked: resumeReading(c)
        case .ended: inputEnded(c)
        case .broken: clientGone(c)
        }
    }

    /// Handles the end of the client's output. Complete requests are served; but a client that ends its output only
    /// some time after its last byte has given up on its response.
    private func inputEnded(_ c: Client) {
        c.inputEnded = true
        if c.phase == .exchange, !c.exchange.owesBody, now - c.pointee.heardAt > halfCloseWindow {
            return clientGone(c)
        }
        advance(c)
    }

    /// True if nothing more can happen after the end of input, because no request is under way, or because the rest of
    /// it will never come.
    private func isOver(_ c: Client) -> Bool {
        switch c.phase {
        case .head: c.output.isEmpty
        case .exchange: c.input.isEmpty && c.exchange.owesBody
        case .tunnel, .lingering: false
        }
    }

    /// Handles the input that was read, request after request, until more is needed or a response is awaited.
    func advance(_ c: Client) {
        guard !c.pointee.isAdvancing else { return }
        c.pointee.isAdvancing = true
        loop: while c.isOpen {
            switch c.phase {
            case .head:
                guard !c.input.isEmpty, c.output.isEmpty, readHead(c) else { break loop }
            case .exchange:
                if c.exchange.owesBody { sendToServer(c) }
                if c.phase == .exchange { break loop }
            case .lingering:
                c.input.start = c.input.end
                break loop
            case .tunnel: break loop
            }
        }
        c.pointee.isAdvancing = false
        if c.isOpen, c.inputEnded, isOver(c) { return clientGone(c) }
        if c.isOpen, c.phase != .tunnel { resumeReading(c) }
    }

    /// Returns an empty buffer to the pool, and reads on if there is room.
    func resumeReading(_ c: Client) {
        if c.input.isEmpty { buffers.reclaim(&c.input) }
        clients.watch(c)
    }

    private func clientWritable(_ c: Client) {
        switch c.phase {
        case .exchange: pumpResponse(c)
        case .head, .lingering:
            guard flush(c) else { return }
            if c.output.isEmpty { c.phase == .lingering ? linger(c) : advance(c) }
        case .tunnel: break
        }
    }

    /// Sends the output that waits for the client. Returns false if the client is gone.
    func flush(_ c: Client) -> Bool {
        guard let sent = c.transport.sendAll(of: &c.output) else {
            clientGone(c)
            return false
        }
        c.exchange.responseBytes += Int64(sent)
        if c.output.isEmpty {
            buffers.reclaim(&c.output)
        } else {
            clients.expect(c, by: now + writeTimeout)
        }
        clients.watch(c)
        return true
    }

    /// Reads a request head. Returns false if more bytes are needed, or if nothing more is read on this connection.
    private func readHead(_ c: Client) -> Bool {
        if c.pointee.headStartedAt == 0 {
            c.pointee.headStartedAt = EventLoop.clock()
            clients.expect(c, by: now + headTimeout)
        }
        let p = UnsafePointer(c.input.first)
        var head = RequestHead()
        switch c.pointee.heads.read(p, c.input.count, maxHead: limits.maxHead, parser, into: &head) {
        case .incomplete: return false
        case .emptyLine(let length):
            c.input.start += length
            return !c.input.isEmpty
        case .refused(let error):
            refuse(c, .request(error))
            return false
        case .complete(let length):
            c.input.start += length
            c.pointee.hasAsked = true
            begin(
                c,
                RequestMessage(
                    head: head,
                    fields: FieldList(first: UnsafePointer(parser.fields), count: head.fields.count, base: p)))
            return true
        }
    }
}
