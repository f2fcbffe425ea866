import Analysis
import CLinuxEngine
import Glibc
import HTTPEngine

// Upgrades to WebSocket: once the server has switched protocols, bytes go both ways as they are. Each direction holds at
// most one buffer: who does not read is not read for.

extension LoopWorker {
    /// RFC 9110, 7.8 lets a proxy ignore the wish. It does for everything but one plain request for WebSocket: `h2c` would
    /// carry requests past all that is checked here, and of other protocols nothing is known.
    func asksForWebSocket(_ head: RequestHead, _ p: UnsafePointer<UInt8>) -> Bool {
        head.fields.connectionUpgrade && head.kind == .get && head.minor == 1 && head.framing == .none
            && names(webSocketIn: head.fields, p)
    }

    private func names(webSocketIn fields: FieldSummary, _ p: UnsafePointer<UInt8>) -> Bool {
        fields.upgrades == 1 && parser.equals(p, fields.upgrade, "websocket")
    }

    /// Whether a 101 is the answer to what was asked.
    func switches(_ c: Client, _ head: ResponseHead, _ p: UnsafePointer<UInt8>) -> Bool {
        c.pointee.exchange.isUpgrade && head.minor == 1 && head.fields.connectionUpgrade
            && names(webSocketIn: head.fields, p)
    }

    /// Joins the two sides. The request is over: its observation is written now, since how long people talk says nothing
    /// of the server.
    func startTunnel(_ u: Upstream, _ c: Client, _ head: ResponseHead, _ p: UnsafePointer<UInt8>) {
        if c.pointee.output.base == nil { take(&c.pointee.output, for: c.pointee.exchange.bufferGauge) }
        c.pointee.output.makeRoom()
        guard c.pointee.output.room > limits.maxHead + ByteSlice.headSlack,
            let service = c.pointee.exchange.service
        else { return answerFailed(c, .response(.headTooLarge), .truncated) }
        c.pointee.output.appendSwitchHead(
            head, parser.fields, p, versionLine: versionLine(c), id: c.pointee.exchange.id)
        giveBack(&c.pointee.toServer)
        c.pointee.exchange.isAnswered = true
        c.pointee.exchange.isHeadOut = true
        c.pointee.exchange.isReplayable = false
        c.pointee.exchange.outcome = .success
        c.pointee.exchange.status = 101
        noteFirstByte(c)
        answered(u.pointee.server.unsafelyUnwrapped, .good)
        if c.pointee.exchange.rescue != .done {
            log.append(observation(c.pointee.exchange, service, EventLoop.clock()))
        }
        c.pointee.phase = .tunnel
        c.pointee.exchange.tunnel.clientEnded = c.pointee.inputEnded
        tunnels += 1
        move(c, u)
    }

    func tunnelReady(client c: Client, _ events: ReadyEvents) {
        guard let u = c.pointee.exchange.upstream else { return endTunnel(c) }
        if !c.pointee.exchange.tunnel.clientEnded, c.pointee.input.count < BufferPool.bufferSize {
            if !isOnlyWritable(events) {
                switch fill(&c.pointee.input, from: c.pointee.fd, for: c.pointee.exchange.bufferGauge) {
                case .moved: break
                case .ended: c.pointee.exchange.tunnel.clientEnded = true
                case .broken: return endTunnel(c, isBroken: true)
                }
            }
        } else if events.contains(.failed) {
            return endTunnel(c, isBroken: true)
        }
        move(c, u)
    }

    func tunnelReady(server u: Upstream, _ c: Client, _ events: ReadyEvents) {
        if !c.pointee.exchange.tunnel.serverEnded, u.pointee.input.count < BufferPool.bufferSize {
            if !isOnlyWritable(events) {
                switch fill(&u.pointee.input, from: u.pointee.fd, for: c.pointee.exchange.bufferGauge) {
                case .moved: u.pointee.server.unsafelyUnwrapped.pointee.health.lastHeard = now
                case .ended: c.pointee.exchange.tunnel.serverEnded = true
                case .broken: return endTunnel(c, isBroken: true)
                }
            }
        } else if events.contains(.failed) {
            return endTunnel(c, isBroken: true)
        }
        move(c, u)
    }

    @inline(__always) private func isOnlyWritable(_ events: ReadyEvents) -> Bool { events == .writable }

    private enum Filling { case moved, ended, broken }

    private func fill(_ slice: inout ByteSlice, from fd: Int32, for owner: Gauge?) -> Filling {
        if slice.base == nil { take(&slice, for: owner) }
        slice.makeRoom()
        guard slice.room > 0 else { return .moved }
        let n = ce_receive(fd, slice.free, slice.room)
        if n > 0 {
            slice.end += n
            return .moved
        }
        if slice.isEmpty { giveBack(&slice) }
        return n == 0 ? .ended : n == -Int(EAGAIN) || n == -Int(EINTR) ? .moved : .broken
    }

    /// False: the connection broke.
    private func empty(_ slice: inout ByteSlice, into fd: Int32, counting bytes: inout Int64) -> Bool {
        while !slice.isEmpty {
            let n = ce_send(fd, slice.first, slice.count, 0)
            if n > 0 {
                slice.start += n
                bytes += Int64(n)
            } else if n == -Int(EAGAIN) {
                return true
            } else if n != -Int(EINTR) {
                return false
            }
        }
        giveBack(&slice)
        return true
    }

    /// Sends on what is there in both directions, hands ends on behind it, and asks for what comes next.
    private func move(_ c: Client, _ u: Upstream) {
        // The 101 goes first.
        guard empty(&c.pointee.output, into: c.pointee.fd, counting: &c.pointee.exchange.sentBytes),
            !c.pointee.output.isEmpty
                || empty(&u.pointee.input, into: c.pointee.fd, counting: &c.pointee.exchange.sentBytes),
            empty(&c.pointee.input, into: u.pointee.fd, counting: &c.pointee.exchange.bodyBytes)
        else { return endTunnel(c, isBroken: true) }
        var state = c.pointee.exchange.tunnel
        let owesClient = !c.pointee.output.isEmpty || !u.pointee.input.isEmpty
        let owesServer = !c.pointee.input.isEmpty
        if state.clientEnded, !owesServer, !state.serverShut {
            state.serverShut = true
            _ = ce_shutdown_write(u.pointee.fd)
        }
        if state.serverEnded, !owesClient, !state.clientShut {
            state.clientShut = true
            _ = ce_shutdown_write(c.pointee.fd)
        }
        c.pointee.exchange.tunnel = state
        if state.clientShut, state.serverShut { return endTunnel(c) }
        let full = BufferPool.bufferSize
        let client = interest(reads: !state.clientEnded && c.pointee.input.count < full, writes: owesClient)
        if client.rawValue != c.pointee.interest {
            c.pointee.interest = client.rawValue
            loop.modify(record: UInt64(UInt(bitPattern: c)), descriptor: c.pointee.fd, interest: client)
        }
        let server = interest(reads: !state.serverEnded && u.pointee.input.count < full, writes: owesServer)
        if server.rawValue != u.pointee.interest {
            u.pointee.interest = server.rawValue
            let record = UInt64(UInt(bitPattern: u)) | RecordKind.upstream.rawValue
            loop.modify(record: record, descriptor: u.pointee.fd, interest: server)
        }
        expect(c, by: now + (c.pointee.exchange.service?.pointee.idleTimeout ?? writeTimeout))
    }

    /// A side of which nothing is wanted for now would report its end at every turn.
    @inline(__always) private func interest(reads: Bool, writes: Bool) -> ReadyEvents {
        var wanted: ReadyEvents = reads ? .readable : []
        if writes { wanted.insert(.writable) }
        return wanted.isEmpty ? .changesOnly : wanted
    }

    /// Both sides are closed. - Parameter isBroken: one broke off, and the other shall see that it did.
    func endTunnel(_ c: Client, isBroken: Bool = false) {
        if isBroken {
            _ = ce_set_reset_on_close(c.pointee.fd)
            if let u = c.pointee.exchange.upstream { _ = ce_set_reset_on_close(u.pointee.fd) }
        }
        logAccess(c)
        detachUpstream(c, reuse: false)
        c.pointee.exchange.service?.pointee.inFlight -= 1
        letGo(c)
        c.pointee.exchange.service = nil
        tunnels -= 1
        closeClient(c)
    }
}
