import Analysis
import HTTPEngine

// A request that the candidate failed before the client got anything of its answer goes to the baseline. It counts once,
// as the candidate's failure; the baseline's answer is nobody's observation.

extension LoopWorker {
    /// What may be done where the candidate fails. A request whose arm a header chose is meant for that arm alone.
    func rescuability(
        _ c: Client, _ plan: RescuePlan, _ head: RequestHead, _ p: UnsafePointer<UInt8>
    ) -> Rescuability {
        let flags = c.pointee.exchange.flags
        guard c.pointee.exchange.arm == .candidate, !flags.contains(.matched) else { return .none }
        let isSafe =
            plan.takesJudged && flags.contains(.judged)
            || isAmong(plan.methods, plan.methodCount, head.method.bytes(in: p))
            || isAmong(plan.paths, plan.pathCount, head.path.bytes(in: p))
        return isSafe ? .replayable : .unsent
    }

    /// Asked when an attempt has failed and its outcome stands in the exchange.
    func mayRescue(_ c: Client) -> Bool {
        switch c.pointee.exchange.rescue {
        case .none, .done: return false
        case .unsent: guard isUnsent(c) else { return false }
        case .replayable: guard isUnsent(c) || isBodyKept(c) else { return false }
        }
        guard c.pointee.exchange.outcome.isError, c.pointee.exchange.isReplayable, !c.pointee.exchange.isHeadOut,
            let service = c.pointee.exchange.service
        else { return false }
        // A baseline that is down is no refuge: the candidate's own failure says more than "no server".
        return service.pointee.baseline.pick(now, besides: TriedServers()) != nil
    }

    /// A stale connection may have taken some of it before.
    private func isUnsent(_ c: Client) -> Bool {
        c.pointee.toServer.base != nil && c.pointee.toServer.start == 0 && !c.pointee.exchange.wantsNewConnection
    }

    /// What came of the body is in `toServer`, and all of it, as far as it is announced, is within the limit.
    private func isBodyKept(_ c: Client) -> Bool {
        guard let plan = c.pointee.exchange.service?.pointee.rescue, c.pointee.toServer.base != nil else {
            return false
        }
        return c.pointee.exchange.bodyBytes + c.pointee.exchange.body.remaining <= plan.maxBody
    }

    /// Once more from its first byte, on the baseline. The candidate's connection has been let go.
    func rescue(_ c: Client) {
        guard let service = c.pointee.exchange.service else { return }
        c.pointee.exchange.flags.insert(.rescued)
        log.append(observation(c.pointee.exchange, service, EventLoop.clock()))
        c.pointee.exchange.rescue = .done
        c.pointee.exchange.arm = .baseline
        // What is open on the baseline from here on is not of its population.
        c.pointee.exchange.flags.remove(.judged)
        c.pointee.exchange.outcome = .success
        c.pointee.exchange.firstByteAt = 0
        c.pointee.exchange.attempts = 0
        c.pointee.exchange.tried = TriedServers()
        c.pointee.exchange.wantsNewConnection = false
        c.pointee.exchange.isAnswered = false
        c.pointee.exchange.isReplyDone = false
        c.pointee.toServer.start = 0
        dispatch(c)
    }

    /// True: the candidate's 5xx is not shown to the client, for the baseline answers instead.
    func rescueServerError(_ u: Upstream, _ c: Client, _ head: ResponseHead, _ length: Int) -> Bool {
        c.pointee.exchange.outcome = .serverError
        c.pointee.exchange.serverStatus = UInt16(head.status)
        guard mayRescue(c) else { return false }
        answered(u.pointee.server.unsafelyUnwrapped, ServerHealth.Answer(status: head.status))
        // An answer that is here to its last byte leaves the connection as good as any.
        let rest = Int64(u.pointee.input.count - length)
        let isWhole = head.framing == .none && rest == 0 || head.framing == .length(rest)
        if isWhole { u.pointee.input.start = u.pointee.input.end }
        let isClean = isWhole && head.keepsAlive && c.pointee.exchange.body.isDone && c.pointee.toServer.isEmpty
        detachUpstream(c, reuse: isClean)
        rescue(c)
        return true
    }
}
