import Analysis
import CLinuxEngine
import Glibc
import HTTPEngine

// Every way in which a request ends, and its observation.

extension LoopWorker {
    /// Answered to the last byte.
    func finish(_ c: Client) {
        if c.pointee.exchange.service != nil { observe(c) } else { logAccess(c) }
        let mayStay = c.pointee.exchange.keepAlive && !isStopping
        c.pointee.exchange.isAnswered = false
        c.pointee.exchange.isReplyDone = false
        guard mayStay else {
            // With nothing unread, closing sends an end and no reset.
            if c.pointee.exchange.body.isDone, c.pointee.input.isEmpty, !c.pointee.exchange.isCloseDelimited {
                return closeClient(c)
            }
            return linger(c)
        }
        c.pointee.phase = .head
        c.pointee.waitingSince = now
        let idle = c.pointee.listener.unsafelyUnwrapped.pointee.idleTimeout
        expect(c, by: now + idle)
        if !c.pointee.input.isEmpty || c.pointee.inputEnded { advance(c) }
    }

    /// The observation of a request that ends now; its service is let go.
    func observe(_ c: Client) {
        guard let service = c.pointee.exchange.service else { return }
        if let copy = c.pointee.exchange.mirror { dropCopy(copy, c) }
        if c.pointee.exchange.rescue != .done {
            log.append(observation(c.pointee.exchange, service, EventLoop.clock()))
        }
        logAccess(c)
        service.pointee.inFlight -= 1
        letGo(c)
        c.pointee.exchange.service = nil
    }

    /// Once a request, before its service is let go.
    @inline(__always) func logAccess(_ c: Client) {
        guard let note = c.pointee.exchange.note else { return }
        c.pointee.exchange.note = nil
        access.unsafelyUnwrapped.end(
            c.pointee.exchange, note, client: c.pointee.address, moment: EventLoop.clock())
    }

    func observation(
        _ x: Exchange, _ service: UnsafeMutablePointer<ServicePlan>, _ moment: Int64
    ) -> Observation {
        let total = UInt32(clamping: (moment - x.startedAt) / 1000)
        let first = x.firstByteAt == 0 ? UInt32.max : UInt32(clamping: (x.firstByteAt - x.startedAt) / 1000)
        return Observation(
            slot: service.pointee.slot, arm: x.arm, outcome: x.outcome, flags: x.flags, place: x.place,
            status: x.serverStatus, key: x.key,
            startedAt: x.startedAt, requestHash: x.requestHash, firstByte: first, total: total)
    }

    /// The answer cannot be completed: the client has to see that.
    func cut(_ c: Client, _ error: ProxyError, _ outcome: Outcome) {
        guard c.pointee.exchange.isHeadOut else {
            c.pointee.output.start = c.pointee.output.end
            return answerFailed(c, error, outcome)
        }
        noteFailure(c, error, outcome)
        c.pointee.exchange.outcome = outcome
        serverFailed(c, outcome)
        detachUpstream(c, reuse: false)
        observe(c)
        // Where only closing ends the body, a clean end would look like all of it.
        if c.pointee.exchange.isCloseDelimited { _ = ce_set_reset_on_close(c.pointee.fd) }
        closeClient(c)
    }

    /// The arm gave no answer: ours says so.
    func answerFailed(_ c: Client, _ error: ProxyError, _ outcome: Outcome) {
        noteFailure(c, error, outcome)
        c.pointee.exchange.outcome = outcome
        serverFailed(c, outcome)
        detachUpstream(c, reuse: false)
        if mayRescue(c) { return rescue(c) }
        answer(c, error, close: false)
    }

    /// Keeps the reason for the access log, and counts it for whoever asks why requests fail.
    private func noteFailure(_ c: Client, _ error: ProxyError, _ outcome: Outcome) {
        c.pointee.exchange.error = error
        guard outcome.isError, let service = c.pointee.exchange.service else { return }
        failures[FailureKey(slot: service.pointee.slot, arm: c.pointee.exchange.arm, error: error), default: 0] += 1
    }

    /// The server that had taken the request gave no whole answer. A connection that failed is no part of this: its
    /// back-off knows of it.
    private func serverFailed(_ c: Client, _ outcome: Outcome) {
        guard outcome.isError, let u = c.pointee.exchange.upstream else { return }
        answered(u.pointee.server.unsafelyUnwrapped, .gatewayFailure)
    }

    /// Answers in the server's place. A client that still owes body is not read further.
    func answer(_ c: Client, _ error: ProxyError, close: Bool) {
        giveBack(&c.pointee.toServer)
        let close = close || !c.pointee.exchange.body.isDone || !c.pointee.exchange.keepAlive
        c.pointee.exchange.keepAlive = !close
        c.pointee.exchange.error = error
        appendError(c, error, close: close)
        c.pointee.exchange.isAnswered = true
        c.pointee.exchange.isReplyDone = true
        pumpReply(c)
    }

    /// Not on the path of requests that go well, so it may use strings.
    func appendError(_ c: Client, _ error: ProxyError, close: Bool) {
        let status = error.status
        c.pointee.exchange.status = UInt16(status)
        var body = "{\"error\":{\"code\":\"\(error.code)\",\"message\":\"\(error.message)\",\"detail\":null}}\n"
        var head = "HTTP/1.1 \(status) \(reasonPhrase(status))\r\ncontent-type: application/json\r\n"
        head += "x-canary-error: \(error.token)\r\n"
        head += "content-length: \(body.utf8.count)\r\n"
        if status == 503 { head += "retry-after: 1\r\n" }
        if close {
            head += "connection: close\r\n"
        } else if c.pointee.exchange.clientMinor == 0 {
            head += "connection: keep-alive\r\n"
        }
        if c.pointee.output.base == nil { take(&c.pointee.output, for: c.pointee.exchange.bufferGauge) }
        c.pointee.output.makeRoom()
        head.withUTF8 { c.pointee.output.append($0.baseAddress!, $0.count) }
        if let service = c.pointee.exchange.service {
            let isCandidate = c.pointee.exchange.arm == .candidate
            c.pointee.output.append(
                isCandidate ? service.pointee.candidate.versionLine : service.pointee.baseline.versionLine)
        }
        if !c.pointee.exchange.id.isEmpty {
            c.pointee.output.append("x-request-id: ")
            c.pointee.output.append(c.pointee.exchange.id)
            c.pointee.output.append("\r\n")
        }
        c.pointee.output.append("\r\n")
        if !c.pointee.exchange.isHead { body.withUTF8 { c.pointee.output.append($0.baseAddress!, $0.count) } }
    }

    /// The client's chunked coding is broken: what it means cannot be known.
    func brokenBody(_ c: Client) {
        c.pointee.exchange.outcome = .rejected
        if c.pointee.exchange.isAnswered { return cut(c, .badBody, .rejected) }
        detachUpstream(c, reuse: false)
        answer(c, .badBody, close: true)
    }

    func exchangeExpired(_ c: Client) {
        // The client does not read.
        if !c.pointee.output.isEmpty { return clientGone(c, .clientTimeout) }
        guard let u = c.pointee.exchange.upstream, let service = c.pointee.exchange.service else {
            return clientGone(c, .clientTimeout)
        }
        if u.pointee.phase == .connecting { return connectExpired(c, u, service) }
        let serverBlocks = u.pointee.interest & ReadyEvents.writable.rawValue != 0
        if !c.pointee.exchange.body.isDone, !serverBlocks {
            if c.pointee.exchange.waitsForContinue { return sendContinue(c) }
            if c.pointee.exchange.isAnswered { return clientGone(c, .clientTimeout) }
            return answerFailed(c, .bodyTimeout, .clientTimeout)
        }
        if c.pointee.exchange.isAnswered { return cut(c, .responseTimeout, .timeout) }
        answerFailed(c, .responseTimeout, .timeout)
    }

    /// The server keeps silent about Expect: a client that waits without end would wait for nothing.
    private func sendContinue(_ c: Client) {
        c.pointee.exchange.waitsForContinue = false
        take(&c.pointee.output, for: c.pointee.exchange.bufferGauge)
        c.pointee.output.append("HTTP/1.1 100 Continue\r\n\r\n")
        expect(c, by: now + bodyGrace)
        _ = flush(c)
    }
}
