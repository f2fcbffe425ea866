import HTTPEngine

/// Sends the candidate copies of requests that the baseline served, at the end of the event loop's turn. Nothing waits
/// for these mirrored requests, they are not observed, and their failures do not count against a server's health.
final class RequestMirror {
    private enum Result { case completed, failed, dropped }

    private let loop: EventLoop
    private let buffers: BufferPool
    private let pool: UpstreamPool
    private let parser: HeadParser
    private let limits: ProxyLimits
    private var records = Slab(blank: MirrorRecord())
    /// The mirrored requests whose primaries have their responses; they are sent at the end of the turn.
    private var due: [MirroredRequest] = []
    /// The pairs that wait to be drained, the oldest first.
    private var pairs: [KeptPair] = []
    private(set) var counts = MirrorCounts()
    /// A time before which no mirrored request has to be expired.
    private(set) var nextDeadline = Int64.max

    init(_ loop: EventLoop, _ buffers: BufferPool, _ pool: UpstreamPool, _ parser: HeadParser, _ limits: ProxyLimits) {
        self.loop = loop
        self.buffers = buffers
        self.pool = pool
        self.parser = parser
        self.limits = limits
    }

    deinit {
        records.deallocate()
        for pair in pairs { pair.bodies.deallocate() }
    }
}

// MARK: The primary

extension RequestMirror {
    /// Prepares a mirrored request when the primary begins, so that the primary's response can be kept while it is
    /// relayed.
    func begin(_ c: Client, _ service: UnsafeMutablePointer<ServicePlan>) {
        guard records.inUse < limits.maxMirrored else {
            counts.dropped += 1
            return
        }
        let mirrored = records.take()
        mirrored.pointee.isInUse = true
        mirrored.pointee.service = service
        mirrored.pointee.requestHash = c.exchange.requestHash
        mirrored.pointee.isHead = c.exchange.traits.contains(.head)
        mirrored.pointee.bodies = buffers.take()
        service.pointee.mirrored += 1
        c.exchange.mirror = mirrored
    }

    func primaryBegan(_ mirrored: MirroredRequest, _ head: ResponseHead) {
        mirrored.pointee.primary = KeptResponse(head)
    }

    /// Keeps the new bytes of the primary's response, the last `count` of the input. Errors in them are left to the
    /// relay.
    func keepPrimary(_ mirrored: MirroredRequest, _ input: ByteSlice, last count: Int) {
        guard let bodies = mirrored.pointee.bodies, !mirrored.pointee.primary.isCut else { return }
        var new = input
        new.start = new.end - count
        _ = mirrored.pointee.primary.keep(&new, in: bodies)
    }

    /// True if the request has to stay in `toServer` after its response began. If it cannot be mirrored as a whole, its
    /// mirrored request is dropped.
    func keepsRequest(_ c: Client) -> Bool {
        guard let mirrored = c.exchange.mirror else { return false }
        let isWhole = !c.exchange.owesBody && c.toServer.isEmpty && c.toServer.base != nil
        if isWhole, !c.exchange.outcome.isError { return true }
        drop(mirrored, c)
        return false
    }

    /// Handles the end of the primary's response: the mirrored request becomes due.
    func primaryEnded(_ mirrored: MirroredRequest, _ c: Client) {
        guard c.exchange.traits.contains(.isHeld), keepsRequest(c), !pool.isDraining else {
            if c.exchange.mirror != nil { drop(mirrored, c) }
            return
        }
        c.exchange.mirror = nil
        mirrored.pointee.request = c.toServer
        mirrored.pointee.request.start = 0
        c.toServer = ByteSlice()
        // Buffers of mirrored requests do not count against the service's limit.
        mirrored.pointee.request.discharge()
        due.append(mirrored)
    }

    func drop(_ mirrored: MirroredRequest, _ c: Client) {
        c.exchange.mirror = nil
        counts.dropped += 1
        forget(mirrored)
    }
}

// MARK: The mirrored request

extension RequestMirror {
    /// Sends the mirrored requests that are due, after the turn's last event.
    @inline(__always) func turnEnded() {
        records.turnEnded()
        guard !due.isEmpty else { return }
        for mirrored in due { start(mirrored) }
        due.removeAll(keepingCapacity: true)
    }

    private func start(_ mirrored: MirroredRequest) {
        let service = mirrored.pointee.service.unsafelyUnwrapped
        guard mirrored.pointee.request.markAsMirrored() else { return end(mirrored, .dropped) }
        // Only clients' requests try a server that is down.
        guard let server = service.pointee.candidate.pick(loop.now, besides: TriedServers()),
            server.pointee.health.state(loop.now) == .up, let u = connection(to: server)
        else { return end(mirrored, .failed) }
        pool.lend(u, to: ArmKey(slot: service.pointee.slot, arm: .candidate))
        u.pointee.mirror = mirrored
        mirrored.pointee.upstream = u
        mirrored.pointee.deadline = loop.now + service.pointee.responseTimeout
        nextDeadline = min(nextDeadline, mirrored.pointee.deadline)
        if u.phase == .busy { send(mirrored, u) }
    }

    private func connection(to server: UnsafeMutablePointer<Server>) -> Upstream? {
        if let u = pool.takeIdle(server) { return u }
        guard !pool.isFull else { return nil }
        switch pool.open(server) {
        case .connected(let u), .connecting(let u): return u
        case .refused, .exhausted: return nil
        }
    }

    func ready(_ mirrored: MirroredRequest, _ u: Upstream, _ events: ReadyEvents) {
        if u.phase == .connecting {
            guard !u.transport.hasFailed, events.isDisjoint(with: [.failed, .hungUp]) else {
                return end(mirrored, .failed)
            }
            guard events.contains(.writable) else { return }
            u.phase = .busy
            if events.contains(.readable) { pool.spokeUnasked(u) }
        }
        if events.contains(.writable) { return send(mirrored, u) }
        receive(mirrored, u)
    }

    private func send(_ mirrored: MirroredRequest, _ u: Upstream) {
        guard u.transport.sendAll(of: &mirrored.pointee.request) != nil else { return end(mirrored, .failed) }
        let isWriting = !mirrored.pointee.request.isEmpty
        if !isWriting { buffers.reclaim(&mirrored.pointee.request) }
        pool.watch(u, reading: true, writing: isWriting)
    }

    private func receive(_ mirrored: MirroredRequest, _ u: Upstream) {
        buffers.supply(&u.input, for: nil)
        u.input.makeRoom()
        guard u.input.room > 0 else { return end(mirrored, .failed) }
        switch u.transport.receive(into: &u.input) {
        case .bytes: break
        case .blocked: return
        case .broken: return end(mirrored, .failed)
        case .ended:
            let endsSo = mirrored.pointee.response.status > 0 && mirrored.pointee.response.reader.kind == .untilClose
            return end(mirrored, endsSo ? .completed : .failed)
        }
        guard readHeads(mirrored, u), let bodies = mirrored.pointee.bodies else { return end(mirrored, .failed) }
        guard mirrored.pointee.response.status > 0 else { return }
        guard mirrored.pointee.response.keep(&u.input, in: bodies + MirrorRecord.bodyLimit) else {
            return end(mirrored, .failed)
        }
        if mirrored.pointee.response.reader.isDone { end(mirrored, .completed) }
    }

    /// Reads the response's head and skips interim ones. Returns false if it is malformed.
    private func readHeads(_ mirrored: MirroredRequest, _ u: Upstream) -> Bool {
        while mirrored.pointee.response.status == 0, !u.input.isEmpty {
            let p = UnsafePointer(u.input.first)
            switch u.pointee.scanner.scan(p, min(u.input.count, limits.maxHead)) {
            case .failed: return false
            case .incomplete: return u.input.count < limits.maxHead
            case .complete(let length):
                u.pointee.scanner = HeadScanner()
                var head = ResponseHead()
                guard parser.parse(response: p, length, toHead: mirrored.pointee.isHead, into: &head) == nil,
                    head.status != 101
                else { return false }
                u.input.start += length
                guard head.status >= 200 else { continue }
                u.pointee.keepsAlive = head.keepsAlive && head.framing != .untilClose
                mirrored.pointee.response = KeptResponse(head)
            }
        }
        return true
    }

    /// Ends a mirrored request and counts its result. If it has a complete response, both responses become a pair.
    private func end(_ mirrored: MirroredRequest, _ result: Result) {
        let isCompleted = result == .completed
        switch result {
        case .completed: counts.completed += 1
        case .failed: counts.failed += 1
        case .dropped: counts.dropped += 1
        }
        if let u = mirrored.pointee.upstream {
            let isClean = isCompleted && u.pointee.keepsAlive && mirrored.pointee.request.isEmpty
            pool.release(u, reuse: isClean, idleTimeout: mirrored.pointee.service.unsafelyUnwrapped.pointee.idleTimeout)
        }
        if isCompleted, let bodies = mirrored.pointee.bodies, let service = mirrored.pointee.service {
            mirrored.pointee.bodies = nil
            add(
                KeptPair(
                    slot: service.pointee.slot, requestHash: mirrored.pointee.requestHash,
                    primary: mirrored.pointee.primary,
                    mirrored: mirrored.pointee.response, bodies: bodies))
        }
        forget(mirrored)
    }

    private func forget(_ mirrored: MirroredRequest) {
        mirrored.pointee.service.unsafelyUnwrapped.pointee.mirrored -= 1
        buffers.reclaim(&mirrored.pointee.request)
        if let bodies = mirrored.pointee.bodies { buffers.put(bodies) }
        records.put(mirrored)
    }

    /// Ends the mirrored requests that take too long.
    func expire(now: Int64) {
        guard now >= nextDeadline else { return }
        nextDeadline = .max
        guard records.inUse > 0 else { return }
        records.all.forEach { mirrored in
            guard mirrored.pointee.isInUse else { return }
            if mirrored.pointee.deadline <= now { return end(mirrored, .failed) }
            nextDeadline = min(nextDeadline, mirrored.pointee.deadline)
        }
    }

    func endAll() {
        due.removeAll()
        records.all.forEach { if $0.pointee.isInUse { end($0, .dropped) } }
    }
}

// MARK: The pairs

extension RequestMirror {
    private func add(_ pair: KeptPair) {
        if pairs.count >= max(limits.maxPairs, 1) {
            buffers.put(pairs.removeFirst().bodies)
            counts.lostPairs += 1
        }
        pairs.append(pair)
    }

    func drainPairs() -> [MirroredPair] {
        defer { pairs.removeAll(keepingCapacity: true) }
        return pairs.map { pair in
            defer { buffers.put(pair.bodies) }
            return MirroredPair(
                slot: pair.slot, requestHash: pair.requestHash, primary: MirroredResponse(pair.primary, pair.bodies),
                mirrored: MirroredResponse(pair.mirrored, pair.bodies + MirrorRecord.bodyLimit))
        }
    }
}

extension ByteSlice {
    /// Inserts the field that marks a mirrored request after the request line, in place. Returns false if there is no
    /// room for it.
    fileprivate mutating func markAsMirrored() -> Bool {
        let mark: StaticString = "x-canary-mirror: 1\r\n"
        let length = mark.utf8CodeUnitCount
        guard room >= length, let lineEnd = (0..<count).first(where: { first[$0] == 10 }) else { return false }
        let rest = first + lineEnd + 1
        (rest + length).update(from: rest, count: free - rest)
        rest.update(from: mark.utf8Start, count: length)
        end += length
        return true
    }
}
