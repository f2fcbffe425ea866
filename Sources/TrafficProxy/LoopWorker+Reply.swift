import Analysis
import CLinuxEngine
import Glibc
import HTTPEngine

// The answer on its way back.

extension LoopWorker {
    /// Larger pieces go out from where they were read; smaller ones are joined with the head.
    private static let verbatimSize = 8 << 10

    func upstreamReadable(_ u: Upstream, _ c: Client) {
        if u.pointee.input.base == nil { take(&u.pointee.input, for: c.pointee.exchange.bufferGauge) }
        u.pointee.input.makeRoom()
        // Full and still reporting: it was reset while the client did not read.
        guard u.pointee.input.room > 0 else { return cut(c, .responseCut, .truncated) }
        let n = ce_receive(u.pointee.fd, u.pointee.input.free, u.pointee.input.room)
        if n <= 0 {
            if n == -Int(EAGAIN) || n == -Int(EINTR) {
                if u.pointee.input.isEmpty { giveBack(&u.pointee.input) }
                return
            }
            return upstreamEnded(u, c, reset: n < 0)
        }
        u.pointee.input.end += n
        u.pointee.received += Int64(n)
        u.pointee.server.unsafelyUnwrapped.pointee.health.lastHeard = now
        let wasAnswered = c.pointee.exchange.isAnswered
        if !wasAnswered { guard readReplyHead(u, c) else { return } }
        if let copy = c.pointee.exchange.mirror { keepPrimary(copy, u, last: wasAnswered ? n : u.pointee.input.count) }
        pumpReply(c)
    }

    /// True: a final head went into the client's output.
    private func readReplyHead(_ u: Upstream, _ c: Client) -> Bool {
        while !u.pointee.input.isEmpty {
            let p = UnsafePointer(u.pointee.input.first)
            switch u.pointee.scanner.scan(p, min(u.pointee.input.count, limits.maxHead)) {
            case .incomplete:
                if u.pointee.input.count >= limits.maxHead { answerFailed(c, .response(.headTooLarge), .truncated) }
                return false
            case .failed(let error):
                answerFailed(c, .response(error), .truncated)
                return false
            case .complete(let length):
                u.pointee.scanner = HeadScanner()
                var head = ResponseHead()
                if let error = parser.parse(response: p, length, toHead: c.pointee.exchange.isHead, into: &head) {
                    answerFailed(c, .response(error), .truncated)
                    return false
                }
                guard head.status != 101 || switches(c, head, p) else {
                    answerFailed(c, .unaskedSwitch, .truncated)
                    return false
                }
                if head.status == 101 {
                    u.pointee.input.start += length
                    startTunnel(u, c, head, p)
                    return false
                }
                if head.status >= 200 {
                    if head.status >= 500, rescueServerError(u, c, head, length) { return false }
                    startReply(u, c, head, p)
                    u.pointee.input.start += length
                    return true
                }
                guard passInterim(c, head, p) else { return false }
                u.pointee.input.start += length
            }
        }
        giveBack(&u.pointee.input)
        return false
    }

    private static let interimWindow: Int64 = 1_000_000_000

    /// False: the client is gone, or the server sends nothing else.
    private func passInterim(_ c: Client, _ head: ResponseHead, _ p: UnsafePointer<UInt8>) -> Bool {
        if now - c.pointee.exchange.interimSince > Self.interimWindow {
            c.pointee.exchange.interimSince = now
            c.pointee.exchange.interim = 0
        }
        c.pointee.exchange.interim += 1
        guard Int(c.pointee.exchange.interim) <= limits.maxInterim else {
            answerFailed(c, .interimStorm, .truncated)
            return false
        }
        c.pointee.exchange.waitsForContinue = false
        // The server is alive and at work (RFC 2518, 10.1): its time begins anew, and after a 100 the client's for its body.
        if let u = c.pointee.exchange.upstream, let service = c.pointee.exchange.service,
            u.pointee.interest & ReadyEvents.writable.rawValue != 0
        {
            expect(c, by: now + service.pointee.responseTimeout)
        } else {
            requestSent(c)
        }
        // HTTP/1.0 knows no interim responses.
        guard c.pointee.exchange.clientMinor == 1 else { return true }
        if c.pointee.output.base == nil { take(&c.pointee.output, for: c.pointee.exchange.bufferGauge) }
        guard c.pointee.output.room > limits.maxHead + ByteSlice.headSlack else { return true }
        c.pointee.output.appendInterimHead(head, parser.fields, p)
        guard flush(c) else { return false }
        // Half an interim head cannot be taken back: what follows has to follow it.
        if !c.pointee.output.isEmpty { c.pointee.exchange.isHeadOut = true }
        return true
    }

    private func startReply(_ u: Upstream, _ c: Client, _ head: ResponseHead, _ p: UnsafePointer<UInt8>) {
        u.pointee.keepsAlive = head.keepsAlive && head.framing != .untilClose
        let isOld = c.pointee.exchange.clientMinor == 0
        var framing = head.framing
        if framing == .untilClose || framing == .chunked { framing = isOld ? .untilClose : .chunked }
        c.pointee.exchange.reply = BodyRelay(head.framing, chunkedOut: framing == .chunked)
        // A client that still owes body would have it taken for the next request.
        let isLast = c.pointee.inputEnded && c.pointee.input.isEmpty
        if framing == .untilClose || !c.pointee.exchange.body.isDone || isStopping || isLast {
            c.pointee.exchange.keepAlive = false
        }
        c.pointee.exchange.isCloseDelimited = framing == .untilClose
        c.pointee.exchange.status = UInt16(head.status)
        c.pointee.exchange.serverStatus = UInt16(head.status)
        c.pointee.exchange.outcome = head.status >= 500 ? .serverError : head.status >= 400 ? .clientError : .success
        c.pointee.exchange.answer = ServerHealth.Answer(status: head.status)
        let states = head.framing == .none && head.status != 204
        if c.pointee.output.base == nil { take(&c.pointee.output, for: c.pointee.exchange.bufferGauge) }
        let keep = c.pointee.exchange.keepAlive
        c.pointee.output.makeRoom()
        c.pointee.output.appendResponseHead(
            head, parser.fields, p, framing: framing, statedLength: states ? head.fields.contentLength : -1,
            versionLine: versionLine(c), id: c.pointee.exchange.id, close: !keep, keepAlive: keep && isOld)
        c.pointee.exchange.isAnswered = true
        if let copy = c.pointee.exchange.mirror { copy.pointee.primary = KeptAnswer(head) }
    }

    /// Some of the answer may go out now: nothing can be sent again.
    private func headGoesOut(_ c: Client) {
        c.pointee.exchange.isHeadOut = true
        guard c.pointee.exchange.isReplayable, !isKeptForCopy(c) else { return }
        c.pointee.exchange.isReplayable = false
        if c.pointee.toServer.isEmpty { giveBack(&c.pointee.toServer) }
    }

    /// Notes the time once: at the first byte of the response's body, or at the end of a response that has none. The head
    /// is no measure: servers that stream send it before they begin to work.
    @inline(__always) func noteFirstByte(_ c: Client) {
        if c.pointee.exchange.firstByteAt == 0 { c.pointee.exchange.firstByteAt = EventLoop.clock() }
    }

    @inline(__always) func versionLine(_ c: Client) -> Bytes {
        let service = c.pointee.exchange.service.unsafelyUnwrapped
        return c.pointee.exchange.arm == .candidate
            ? service.pointee.candidate.versionLine : service.pointee.baseline.versionLine
    }

    /// Moves the answer on until the input is empty, the client takes no more, or it is complete.
    func pumpReply(_ c: Client) {
        while c.pointee.fd >= 0 {
            if c.pointee.exchange.isAnswered, !c.pointee.exchange.isReplyDone, relayReply(c) == false { return }
            let hadOutput = !c.pointee.output.isEmpty
            if c.pointee.exchange.isAnswered { headGoesOut(c) }
            guard flush(c) else { return }
            if !c.pointee.output.isEmpty { return holdBack(c) }
            if c.pointee.exchange.isReplyDone { return finish(c) }
            guard let u = c.pointee.exchange.upstream else { return }
            if u.pointee.input.isEmpty {
                giveBack(&u.pointee.input)
                let isWriting = u.pointee.interest & ReadyEvents.writable.rawValue != 0
                watch(u, reading: true, writing: isWriting)
                if c.pointee.exchange.body.isDone, let service = c.pointee.exchange.service {
                    expect(c, by: now + service.pointee.responseTimeout)
                }
                return
            }
            // A partial head waits for more.
            if !c.pointee.exchange.isAnswered || !hadOutput && c.pointee.exchange.isReplyDone { return }
        }
    }

    /// The client does not take more for now: nothing more is read for it.
    private func holdBack(_ c: Client) {
        guard let u = c.pointee.exchange.upstream else { return }
        let isWriting = u.pointee.interest & ReadyEvents.writable.rawValue != 0
        watch(u, reading: false, writing: isWriting)
    }

    /// From the server's input to the client's output, or straight out. False: the exchange is over.
    private func relayReply(_ c: Client) -> Bool {
        guard let u = c.pointee.exchange.upstream else { return true }
        if c.pointee.output.isEmpty, c.pointee.exchange.isHeadOut, c.pointee.exchange.reply.isVerbatim,
            u.pointee.input.count >= Self.verbatimSize
        {
            noteFirstByte(c)
            let count = c.pointee.exchange.reply.verbatim(of: u.pointee.input.count)
            let n = ce_send(c.pointee.fd, u.pointee.input.first, count, 0)
            if n > 0 {
                u.pointee.input.start += n
                c.pointee.exchange.sentBytes += Int64(n)
                c.pointee.exchange.reply.sent(verbatim: n)
            } else if n != -Int(EAGAIN), n != -Int(EINTR) {
                clientGone(c)
                return false
            }
        }
        if !u.pointee.input.isEmpty || c.pointee.exchange.reply.isDone {
            if c.pointee.output.base == nil { take(&c.pointee.output, for: c.pointee.exchange.bufferGauge) }
            c.pointee.output.makeRoom()
            if case .broken = c.pointee.exchange.reply.relay(&u.pointee.input, &c.pointee.output) {
                cut(c, .responseCoding, .truncated)
                return false
            }
            if c.pointee.exchange.reply.hasContent { noteFirstByte(c) }
        }
        if c.pointee.exchange.reply.isDone { replyComplete(c, u) }
        return true
    }

    /// The server has said all: its connection is free before the client has read all.
    private func replyComplete(_ c: Client, _ u: Upstream) {
        c.pointee.exchange.isReplyDone = true
        noteFirstByte(c)
        answered(u.pointee.server.unsafelyUnwrapped, c.pointee.exchange.answer)
        let isClean = u.pointee.keepsAlive && c.pointee.exchange.body.isDone && c.pointee.toServer.isEmpty
        detachUpstream(c, reuse: isClean)
        if let copy = c.pointee.exchange.mirror { handOver(copy, c) }
        giveBack(&c.pointee.toServer)
    }

    /// The server closed, or the connection broke.
    private func upstreamEnded(_ u: Upstream, _ c: Client, reset: Bool) {
        if !c.pointee.exchange.isAnswered {
            if mayRetry(c, u) { return retry(c) }
            // The connection may have been stale, but this request must not be sent twice.
            let outcome: Outcome = u.pointee.received == 0 ? .connectFailure : .truncated
            return answerFailed(c, .upstreamClosed, outcome)
        }
        if c.pointee.output.base == nil { take(&c.pointee.output, for: c.pointee.exchange.bufferGauge) }
        guard !reset, c.pointee.output.room > 16, c.pointee.exchange.reply.closed(&c.pointee.output) else {
            return cut(c, .responseCut, .truncated)
        }
        replyComplete(c, u)
        pumpReply(c)
    }
}
