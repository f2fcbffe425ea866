import Analysis
import CLinuxEngine
import Glibc
import HTTPEngine
import Synchronization

// Copies of requests that the baseline answered go to the candidate when the turn in which that happened is over. Nothing
// waits for them, no observation comes of them, and what befalls them says nothing of a server's health.

// MARK: The primary

extension LoopWorker {
    /// Takes the request's copy into account from its begin on, since the answer is kept as it passes.
    func mayMirror(_ c: Client, _ service: UnsafeMutablePointer<ServicePlan>) {
        guard c.pointee.exchange.arm == .baseline, c.pointee.exchange.flags.contains(.judged), !isStopping,
            !c.pointee.exchange.isUpgrade, random.next() % 10_000 < service.pointee.mirrorShare
        else { return }
        guard mirror.records.inUse < limits.maxCopies else {
            mirror.counts.dropped += 1
            return
        }
        let copy = mirror.records.take()
        copy.pointee.isInUse = true
        copy.pointee.service = service
        copy.pointee.requestHash = c.pointee.exchange.requestHash
        copy.pointee.isHead = c.pointee.exchange.isHead
        copy.pointee.bodies = buffers.take()
        service.pointee.copies += 1
        c.pointee.exchange.mirror = copy
    }

    /// The last bytes of the server's input are new.
    func keepPrimary(_ copy: MirrorCopy, _ u: Upstream, last count: Int) {
        guard let bodies = copy.pointee.bodies, !copy.pointee.primary.isCut else { return }
        var new = u.pointee.input
        new.start = new.end - count
        // What is broken in it is found where it is relayed.
        _ = keep(&copy.pointee.primary, &new, in: bodies)
    }

    /// Whether the request stays in `toServer` beyond the begin of its answer. A copy that cannot be had whole is dropped.
    func isKeptForCopy(_ c: Client) -> Bool {
        guard let copy = c.pointee.exchange.mirror else { return false }
        let isWhole = c.pointee.exchange.body.isDone && c.pointee.toServer.isEmpty && c.pointee.toServer.base != nil
        if isWhole, !c.pointee.exchange.outcome.isError { return true }
        dropCopy(copy, c)
        return false
    }

    /// The primary is answered: its copy is next.
    func handOver(_ copy: MirrorCopy, _ c: Client) {
        guard c.pointee.exchange.isReplayable, isKeptForCopy(c), !isStopping else {
            if c.pointee.exchange.mirror != nil { dropCopy(copy, c) }
            return
        }
        c.pointee.exchange.mirror = nil
        copy.pointee.request = c.pointee.toServer
        copy.pointee.request.start = 0
        c.pointee.toServer = ByteSlice()
        // A copy takes nothing of what its service may buffer for requests.
        if let owner = copy.pointee.request.owner {
            owner.pointee.bytes.subtract(BufferPool.bufferSize, ordering: .relaxed)
            copy.pointee.request.owner = nil
        }
        mirror.due.append(copy)
    }

    func dropCopy(_ copy: MirrorCopy, _ c: Client) {
        c.pointee.exchange.mirror = nil
        mirror.counts.dropped += 1
        forget(copy)
    }

    /// Takes the framing off and keeps what there is room for. False: the coding is broken.
    private func keep(
        _ answer: inout KeptAnswer, _ input: inout ByteSlice, in half: UnsafeMutablePointer<UInt8>
    ) -> Bool {
        var plain = ByteSlice()
        plain.base = buffers.take()
        defer { giveBack(&plain) }
        while !input.isEmpty, !answer.body.isDone {
            plain.start = 0
            plain.end = 0
            if case .broken = answer.body.relay(&input, &plain) { return false }
            let count = min(plain.count, MirrorRecord.bodyLimit - answer.count)
            memcpy(half + answer.count, plain.first, count)
            answer.count += count
            if count < plain.count { answer.isCut = true }
        }
        return true
    }
}

// MARK: The copy

extension LoopWorker {
    private enum CopyEnd { case answered, failed, dropped }

    func startCopies() {
        mirror.records.turnEnded()
        guard !mirror.due.isEmpty else { return }
        for copy in mirror.due { start(copy) }
        mirror.due.removeAll(keepingCapacity: true)
    }

    private func start(_ copy: MirrorCopy) {
        let service = copy.pointee.service.unsafelyUnwrapped
        guard copy.pointee.request.markAsCopy() else { return end(copy, .dropped) }
        var status: Int32 = 0
        // What is known to be down is left to requests that matter to find out about.
        guard let server = service.pointee.candidate.pick(now, besides: TriedServers()),
            server.pointee.health.standing(now) == .up,
            let u = takeIdle(server) ?? (upstreams.inUse < limits.maxUpstreams ? open(server, &status) : nil)
        else { return end(copy, .failed) }
        u.pointee.mirror = copy
        u.pointee.scanner = HeadScanner()
        server.pointee.outstanding += 1
        copy.pointee.upstream = u
        copy.pointee.deadline = now + service.pointee.responseTimeout
        if copy.pointee.deadline < wakeAt { wakeAt = copy.pointee.deadline }
        if u.pointee.phase == .busy { send(copy, u) }
    }

    func copyReady(_ copy: MirrorCopy, _ u: Upstream, _ events: ReadyEvents) {
        if u.pointee.phase == .connecting {
            guard ce_socket_error(u.pointee.fd) == 0, events.isDisjoint(with: [.failed, .hungUp]) else {
                return end(copy, .failed)
            }
            guard events.contains(.writable) else { return }
            u.pointee.phase = .busy
            if events.contains(.readable) { u.pointee.isReusable = false }
        }
        if events.contains(.writable) { return send(copy, u) }
        receive(copy, u)
    }

    private func send(_ copy: MirrorCopy, _ u: Upstream) {
        while !copy.pointee.request.isEmpty {
            let n = ce_send(u.pointee.fd, copy.pointee.request.first, copy.pointee.request.count, 0)
            if n > 0 {
                copy.pointee.request.start += n
            } else if n == -Int(EAGAIN) {
                return watch(u, reading: true, writing: true)
            } else if n != -Int(EINTR) {
                return end(copy, .failed)
            }
        }
        giveBack(&copy.pointee.request)
        watch(u, reading: true, writing: false)
    }

    private func receive(_ copy: MirrorCopy, _ u: Upstream) {
        if u.pointee.input.base == nil { u.pointee.input.base = buffers.take() }
        u.pointee.input.makeRoom()
        let n = ce_receive(u.pointee.fd, u.pointee.input.free, u.pointee.input.room)
        if n == -Int(EAGAIN) || n == -Int(EINTR) { return }
        guard n > 0 else {
            let endsSo = n == 0 && copy.pointee.copy.status > 0 && copy.pointee.copy.body.kind == .untilClose
            return end(copy, endsSo ? .answered : .failed)
        }
        u.pointee.input.end += n
        guard readHeads(copy, u), let bodies = copy.pointee.bodies else { return end(copy, .failed) }
        guard copy.pointee.copy.status > 0 else { return }
        guard keep(&copy.pointee.copy, &u.pointee.input, in: bodies + MirrorRecord.bodyLimit) else {
            return end(copy, .failed)
        }
        if copy.pointee.copy.body.isDone { end(copy, .answered) }
    }

    /// Interim ones are skipped. False: it is no HTTP.
    private func readHeads(_ copy: MirrorCopy, _ u: Upstream) -> Bool {
        while copy.pointee.copy.status == 0, !u.pointee.input.isEmpty {
            let p = UnsafePointer(u.pointee.input.first)
            switch u.pointee.scanner.scan(p, min(u.pointee.input.count, limits.maxHead)) {
            case .failed: return false
            case .incomplete: return u.pointee.input.count < limits.maxHead
            case .complete(let length):
                u.pointee.scanner = HeadScanner()
                var head = ResponseHead()
                guard parser.parse(response: p, length, toHead: copy.pointee.isHead, into: &head) == nil,
                    head.status != 101
                else { return false }
                u.pointee.input.start += length
                guard head.status >= 200 else { continue }
                u.pointee.keepsAlive = head.keepsAlive && head.framing != .untilClose
                copy.pointee.copy = KeptAnswer(head)
            }
        }
        return true
    }

    /// However it ended: it is counted, and where both answers are there they become a pair.
    private func end(_ copy: MirrorCopy, _ result: CopyEnd) {
        let isAnswered = result == .answered
        switch result {
        case .answered: mirror.counts.answered += 1
        case .failed: mirror.counts.failed += 1
        case .dropped: mirror.counts.dropped += 1
        }
        if let u = copy.pointee.upstream {
            let isClean = isAnswered && u.pointee.keepsAlive && copy.pointee.request.isEmpty
            u.pointee.mirror = nil
            release(u, reuse: isClean, idleTimeout: copy.pointee.service.unsafelyUnwrapped.pointee.idleTimeout)
        }
        if isAnswered, let bodies = copy.pointee.bodies, let service = copy.pointee.service {
            copy.pointee.bodies = nil
            add(
                KeptPair(
                    slot: service.pointee.slot, requestHash: copy.pointee.requestHash, primary: copy.pointee.primary,
                    copy: copy.pointee.copy, bodies: bodies))
        }
        forget(copy)
    }

    private func forget(_ copy: MirrorCopy) {
        copy.pointee.service.unsafelyUnwrapped.pointee.copies -= 1
        giveBack(&copy.pointee.request)
        if let bodies = copy.pointee.bodies { buffers.put(bodies) }
        mirror.records.put(copy)
    }

    /// Ends those that take too long, and says when the next one will have.
    func expireCopies(_ now: Int64) -> Int64 {
        guard mirror.records.inUse > 0 else { return .max }
        var next = Int64.max
        mirror.records.all.forEach { copy in
            guard copy.pointee.isInUse else { return }
            if copy.pointee.deadline <= now { return end(copy, .failed) }
            next = min(next, copy.pointee.deadline)
        }
        return next
    }

    func endCopies() {
        mirror.due.removeAll()
        mirror.records.all.forEach { if $0.pointee.isInUse { end($0, .dropped) } }
    }
}

// MARK: The pairs

extension LoopWorker {
    private func add(_ pair: KeptPair) {
        if mirror.pairs.count >= max(limits.maxPairs, 1) {
            buffers.put(mirror.pairs.removeFirst().bodies)
            mirror.counts.lostPairs += 1
        }
        mirror.pairs.append(pair)
    }

    func drainPairs() -> [MirroredPair] {
        defer { mirror.pairs.removeAll(keepingCapacity: true) }
        return mirror.pairs.map { pair in
            defer { buffers.put(pair.bodies) }
            return MirroredPair(
                slot: pair.slot, requestHash: pair.requestHash, primary: MirroredAnswer(pair.primary, pair.bodies),
                copy: MirroredAnswer(pair.copy, pair.bodies + MirrorRecord.bodyLimit))
        }
    }
}

extension ByteSlice {
    /// Puts our mark behind the request line, in place. False: there is no room for it.
    fileprivate mutating func markAsCopy() -> Bool {
        let mark: StaticString = "x-canary-mirror: 1\r\n"
        let length = mark.utf8CodeUnitCount
        guard room >= length, let lineEnd = memchr(first, 10, count) else { return false }
        let rest = lineEnd.assumingMemoryBound(to: UInt8.self) + 1
        memmove(rest + length, rest, free - rest)
        memcpy(rest, mark.utf8Start, length)
        end += length
        return true
    }
}
