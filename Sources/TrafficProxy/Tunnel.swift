import HTTPEngine

/// The progress of the two directions of a tunnel.
struct TunnelState {
    enum Direction: UInt8 {
        /// The sender may send more.
        case open
        /// The sender has ended its output; bytes of it may still wait for the receiver.
        case ended
        /// The receiver got all bytes and the end.
        case closed
    }

    var toServer = Direction.open
    var toClient = Direction.open

    /// Closes the directions that have ended and whose bytes have all been sent.
    /// - Returns: the directions that were closed now, whose end has to be passed on to the receiver.
    mutating func close(clientOwed: Bool, serverOwed: Bool) -> (toClient: Bool, toServer: Bool) {
        let closes = (toClient: toClient == .ended && !clientOwed, toServer: toServer == .ended && !serverOwed)
        if closes.toClient { toClient = .closed }
        if closes.toServer { toServer = .closed }
        return closes
    }

    var isOver: Bool { toServer == .closed && toClient == .closed }
}

/// Relays bytes unchanged in both directions after a server has switched protocols. Each direction holds at most one
/// buffer; while its receiver does not read, nothing is read from its sender.
struct Tunnel {
    enum Progress { case open, ended, broken }

    let loop: EventLoop
    let buffers: BufferPool

    /// Handles events of the client's socket.
    func clientReady(_ c: Client, _ u: Upstream, _ events: ReadyEvents) -> Progress {
        if c.pointee.tunnel.toServer == .open, !c.input.isFull {
            if !isOnlyWritable(events) {
                switch fill(&c.input, from: c.transport, for: c.exchange.bufferGauge) {
                case .bytes, .blocked: break
                case .ended: c.pointee.tunnel.toServer = .ended
                case .broken: return .broken
                }
            }
        } else if events.contains(.failed) {
            return .broken
        }
        return move(c, u)
    }

    /// Handles events of the server's socket.
    func serverReady(_ c: Client, _ u: Upstream, _ events: ReadyEvents) -> Progress {
        if c.pointee.tunnel.toClient == .open, !u.input.isFull {
            if !isOnlyWritable(events) {
                switch fill(&u.input, from: u.transport, for: c.exchange.bufferGauge) {
                case .bytes: u.server.pointee.health.lastHeard = loop.now
                case .blocked: break
                case .ended: c.pointee.tunnel.toClient = .ended
                case .broken: return .broken
                }
            }
        } else if events.contains(.failed) {
            return .broken
        }
        return move(c, u)
    }

    /// Sends the available bytes in both directions, passes on ends of output, and updates the events that are watched.
    func move(_ c: Client, _ u: Upstream) -> Progress {
        // The 101 goes first.
        guard let head = c.transport.sendAll(of: &c.output) else { return .broken }
        var toClient = head
        if c.output.isEmpty {
            guard let sent = c.transport.sendAll(of: &u.input) else { return .broken }
            toClient += sent
        }
        guard let toServer = u.transport.sendAll(of: &c.input) else { return .broken }
        c.exchange.responseBytes += Int64(toClient)
        c.exchange.requestBytes(toServer)
        if c.output.isEmpty { buffers.reclaim(&c.output) }
        if u.input.isEmpty { buffers.reclaim(&u.input) }
        if c.input.isEmpty { buffers.reclaim(&c.input) }
        let owesClient = !c.output.isEmpty || !u.input.isEmpty
        let owesServer = !c.input.isEmpty
        let closes = c.pointee.tunnel.close(clientOwed: owesClient, serverOwed: owesServer)
        if closes.toServer { u.transport.endOutput() }
        if closes.toClient { c.transport.endOutput() }
        let state = c.pointee.tunnel
        if state.isOver { return .ended }
        c.transport.watch(
            interest(reads: state.toServer == .open && !c.input.isFull, writes: owesClient), on: loop, record: c.record)
        u.transport.watch(
            interest(reads: state.toClient == .open && !u.input.isFull, writes: owesServer), on: loop, record: u.record)
        return .open
    }

    private func fill(_ slice: inout ByteSlice, from transport: Transport, for owner: Gauge?) -> Transport.Received {
        buffers.supply(&slice, for: owner)
        slice.makeRoom()
        guard slice.room > 0 else { return .blocked }
        let received = transport.receive(into: &slice)
        if slice.isEmpty { buffers.reclaim(&slice) }
        return received
    }

    @inline(__always) private func isOnlyWritable(_ events: ReadyEvents) -> Bool { events == .writable }

    /// The events to watch on one side. If it neither reads nor writes, only changes are reported, or its end would be
    /// reported at every turn.
    @inline(__always) private func interest(reads: Bool, writes: Bool) -> ReadyEvents {
        var wanted: ReadyEvents = reads ? .readable : []
        if writes { wanted.insert(.writable) }
        return wanted.isEmpty ? .changesOnly : wanted
    }
}
