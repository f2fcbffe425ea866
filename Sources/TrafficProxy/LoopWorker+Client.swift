import Analysis
import CLinuxEngine
import Glibc
import HTTPEngine

// The client's side: reading heads, and what becomes of the connection between requests.

extension LoopWorker {
    func clientReady(_ c: Client, _ events: ReadyEvents) {
        guard c.pointee.fd >= 0 else { return }
        if c.pointee.phase == .tunnel { return tunnelReady(client: c, events) }
        if !events.isDisjoint(with: [.failed, .hungUp]) { return clientGone(c) }
        if events.contains(.writable) {
            clientWritable(c)
            guard c.pointee.fd >= 0 else { return }
        }
        if events.contains(.readable) { clientReadable(c) }
    }

    private func clientReadable(_ c: Client) {
        if c.pointee.phase == .lingering { return discard(c) }
        if c.pointee.input.base == nil { take(&c.pointee.input, for: nil) }
        c.pointee.input.makeRoom()
        guard c.pointee.input.room > 0 else { return watch(c) }
        let n = ce_receive(c.pointee.fd, c.pointee.input.free, c.pointee.input.room)
        if n <= 0 {
            if n == -Int(EAGAIN) || n == -Int(EINTR) { return tidyInput(c) }
            return n == 0 ? inputEnded(c) : clientGone(c)
        }
        c.pointee.input.end += n
        c.pointee.heardAt = now
        advance(c)
    }

    /// The client sends nothing more. Whole requests are served; a client that lets time pass before it ends its side
    /// has given up on its response.
    private func inputEnded(_ c: Client) {
        c.pointee.inputEnded = true
        if c.pointee.phase == .exchange, c.pointee.exchange.body.isDone, now - c.pointee.heardAt > halfCloseWindow {
            return clientGone(c)
        }
        advance(c)
    }

    /// After an end of input: nothing is under way, or the rest of what is never comes.
    private func isOver(_ c: Client) -> Bool {
        switch c.pointee.phase {
        case .head: c.pointee.output.isEmpty
        case .exchange: c.pointee.input.isEmpty && !c.pointee.exchange.body.isDone
        case .tunnel, .lingering: false
        }
    }

    /// Goes on with what was read, request after request, until more is needed or an answer is awaited.
    func advance(_ c: Client) {
        guard !c.pointee.isAdvancing else { return }
        c.pointee.isAdvancing = true
        loop: while c.pointee.fd >= 0 {
            switch c.pointee.phase {
            case .head:
                guard !c.pointee.input.isEmpty, c.pointee.output.isEmpty, readHead(c) else { break loop }
            case .exchange:
                if !c.pointee.exchange.body.isDone { sendToServer(c) }
                if c.pointee.phase == .exchange { break loop }
            case .lingering:
                c.pointee.input.start = c.pointee.input.end
                break loop
            case .tunnel: break loop
            }
        }
        c.pointee.isAdvancing = false
        if c.pointee.fd >= 0, c.pointee.inputEnded, isOver(c) { return clientGone(c) }
        if c.pointee.fd >= 0, c.pointee.phase != .tunnel { tidyInput(c) }
    }

    /// Gives an empty buffer back and asks for reading where there is room.
    func tidyInput(_ c: Client) {
        if c.pointee.input.isEmpty { giveBack(&c.pointee.input) }
        watch(c)
    }

    @inline(__always) func giveBack(_ slice: inout ByteSlice) {
        guard let base = slice.base else { return }
        buffers.put(base)
        if let owner = slice.owner {
            owner.pointee.bytes.subtract(BufferPool.bufferSize, ordering: .relaxed)
        }
        slice = ByteSlice()
    }

    /// Registers what is of interest now, where that has changed.
    @inline(__always) func watch(_ c: Client) {
        var wanted = ReadyEvents()
        let isFull = c.pointee.input.count == BufferPool.bufferSize
        // An end of input would be reported again at every turn.
        if !isFull, !c.pointee.inputEnded { wanted.insert(.readable) }
        if !c.pointee.output.isEmpty { wanted.insert(.writable) }
        guard wanted.rawValue != c.pointee.interest else { return }
        c.pointee.interest = wanted.rawValue
        loop.modify(record: UInt64(UInt(bitPattern: c)), descriptor: c.pointee.fd, interest: wanted)
    }

    private func clientWritable(_ c: Client) {
        switch c.pointee.phase {
        case .exchange: pumpReply(c)
        case .head, .lingering:
            guard flush(c) else { return }
            if c.pointee.output.isEmpty { c.pointee.phase == .lingering ? linger(c) : advance(c) }
        case .tunnel: break
        }
    }

    /// False: the client is gone.
    func flush(_ c: Client) -> Bool {
        while !c.pointee.output.isEmpty {
            let n = ce_send(c.pointee.fd, c.pointee.output.first, c.pointee.output.count, 0)
            if n < 0 {
                if n == -Int(EINTR) { continue }
                if n == -Int(EAGAIN) {
                    expect(c, by: now + writeTimeout)
                    watch(c)
                    return true
                }
                clientGone(c)
                return false
            }
            c.pointee.output.start += n
            c.pointee.exchange.sentBytes += Int64(n)
        }
        giveBack(&c.pointee.output)
        watch(c)
        return true
    }

    /// False: more bytes are needed, or nothing more will be read.
    private func readHead(_ c: Client) -> Bool {
        if c.pointee.headStartedAt == 0 {
            c.pointee.headStartedAt = EventLoop.clock()
            expect(c, by: now + headTimeout)
        }
        if !c.pointee.skippedEmptyLine, c.pointee.input.count >= 2, c.pointee.input.first[0] == 13,
            c.pointee.input.first[1] == 10
        {
            // RFC 9112, 2.2: one empty line before a request is ignored.
            c.pointee.skippedEmptyLine = true
            c.pointee.input.start += 2
            return !c.pointee.input.isEmpty
        }
        let p = UnsafePointer(c.pointee.input.first)
        let count = min(c.pointee.input.count, limits.maxHead)
        switch c.pointee.scanner.scan(p, count) {
        case .complete(let length):
            c.pointee.scanner = HeadScanner()
            c.pointee.skippedEmptyLine = false
            c.pointee.checkedFirstLine = false
            var head = RequestHead()
            if let error = parser.parse(request: p, length, into: &head) {
                refuse(c, error)
                return false
            }
            c.pointee.input.start += length
            c.pointee.hasAsked = true
            begin(c, head, p)
            return true
        case .failed(let error):
            refuse(c, error)
            return false
        case .incomplete: return checkIncomplete(c, p, count)
        }
    }

    /// What can be no HTTP/1.1 head need not wait for its end, or for its deadline.
    private func checkIncomplete(_ c: Client, _ p: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        if ce_class(p[0]) & UInt8(CE_TOKEN) == 0, p[0] != 13 {
            refuse(c, .method)
            return false
        }
        let line = HeadScanner.firstLine(p, count)
        if let line, !c.pointee.checkedFirstLine {
            c.pointee.checkedFirstLine = true
            if let error = parser.check(requestLine: p, line) {
                refuse(c, error)
                return false
            }
        }
        if count >= limits.maxHead || line == nil && count > limits.maxTarget + 64 {
            refuse(c, line == nil ? .targetTooLong : .headTooLarge)
        }
        return false
    }

    /// The bytes that follow a bad head cannot be trusted, so the connection ends with the answer.
    private func refuse(_ c: Client, _ error: HeadError) {
        refuse(c, .request(error))
    }

    private func refuse(_ c: Client, _ error: ProxyError) {
        c.pointee.exchange = Exchange()
        appendError(c, error, close: true)
        if logsAccess {
            access.unsafelyUnwrapped.refused(
                error, client: c.pointee.address, bytes: c.pointee.input.count, &random)
        }
        c.pointee.phase = .lingering
        if flush(c), c.pointee.output.isEmpty { linger(c) }
    }

    /// Says that nothing more comes and waits for the client to close: closing with unread input would send a reset,
    /// which may overtake the answer.
    func linger(_ c: Client) {
        // All was read, so closing sends an end and no reset.
        if c.pointee.inputEnded { return closeClient(c) }
        c.pointee.phase = .lingering
        _ = ce_shutdown_write(c.pointee.fd)
        c.pointee.input.start = c.pointee.input.end
        tidyInput(c)
        expect(c, by: now + Self.lingerTime)
    }

    private static let lingerTime: Int64 = 1_000_000_000

    private func discard(_ c: Client) {
        let n = ce_receive(c.pointee.fd, waste, Self.wasteSize)
        if n == 0 || n < 0 && n != -Int(EAGAIN) && n != -Int(EINTR) { clientGone(c) }
    }

    /// The client left, or cannot be served any more. What was under way upstream for it ends at once.
    /// - Parameter outcome: `clientClosed` only where it was the client that ended the connection.
    func clientGone(_ c: Client, _ outcome: Outcome = .clientClosed) {
        guard c.pointee.fd >= 0 else { return }
        if c.pointee.phase == .tunnel { return endTunnel(c) }
        if c.pointee.exchange.service != nil {
            c.pointee.exchange.outcome = outcome
            detachUpstream(c, reuse: false)
            observe(c)
        }
        closeClient(c)
    }

    func closeClient(_ c: Client) {
        logAccess(c)
        Glibc.close(c.pointee.fd)
        c.pointee.fd = -1
        leave(c)
        giveBack(&c.pointee.input)
        giveBack(&c.pointee.output)
        giveBack(&c.pointee.toServer)
        clients.put(c)
    }

    func clientExpired(_ c: Client) {
        c.pointee.deadline = .max
        switch c.pointee.phase {
        case .lingering: clientGone(c)
        case .head:
            guard !c.pointee.input.isEmpty, c.pointee.output.isEmpty else { return clientGone(c) }
            refuse(c, ProxyError.requestTimeout)
        case .exchange: exchangeExpired(c)
        case .tunnel: endTunnel(c)
        }
    }
}
