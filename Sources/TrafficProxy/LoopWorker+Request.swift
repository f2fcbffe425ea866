import Analysis
import CLinuxEngine
import Glibc
import HTTPEngine
import PolicyModel

// A request begins: its service, its arm, its head as it goes on.

extension LoopWorker {
    /// `p` is where the head was parsed from; its ranges are good until the next read.
    func begin(_ c: Client, _ head: RequestHead, _ p: UnsafePointer<UInt8>) {
        var x = Exchange()
        x.startedAt = c.pointee.headStartedAt
        c.pointee.headStartedAt = 0
        x.clientMinor = head.minor
        x.isHead = head.kind == .head
        x.isIdempotent = head.kind.isIdempotent
        x.keepAlive = head.keepsAlive && !isStopping
        x.body = BodyRelay(head.framing, chunkedOut: head.framing == .chunked)
        x.waitsForContinue = head.fields.expectsContinue && head.minor == 1 && !x.body.isDone
        x.isUpgrade = asksForWebSocket(head, p)
        c.pointee.phase = .exchange
        let service = c.pointee.listener.unsafelyUnwrapped.pointee.routes
            .find(host: head.host.bytes(in: p), path: head.path.bytes(in: p))
        let isTrusted = c.pointee.isTrusted
        keepID(&x, head, p, service?.pointee.headers.requestID ?? .keep, isTrusted)
        if logsAccess { x.note = access.unsafelyUnwrapped.note(head, p, &random) }
        c.pointee.exchange = x

        if head.kind == .connect { return answer(c, .connectRefused, close: true) }
        if head.fields.expectsOther { return answer(c, .expectation, close: true) }
        guard let service else { return answer(c, .noService, close: false) }

        if service.pointee.hasLimits || c.pointee.gauge != nil, let error = admit(c, service) {
            return answer(c, error, close: error == .tooManyConnections)
        }
        service.pointee.inFlight += 1
        c.pointee.exchange.service = service
        chooseArm(c, service, head, p)
        if let plan = service.pointee.rescue { c.pointee.exchange.rescue = rescuability(c, plan, head, p) }
        if service.pointee.mirrorShare > 0 { mayMirror(c, service) }
        take(&c.pointee.toServer, for: c.pointee.exchange.bufferGauge)
        let reuses =
            c.pointee.exchange.arm == .candidate
            ? service.pointee.candidate.reusesConnections : service.pointee.baseline.reusesConnections
        c.pointee.toServer.appendRequestHead(
            head, parser.fields, p, address: c.pointee.address, id: c.pointee.exchange.id,
            forwarding: Forwarding(service.pointee.headers, isTrusted: isTrusted),
            isUpgrade: c.pointee.exchange.isUpgrade, closes: !reuses)
        c.pointee.exchange.isReplayable = true
        dispatch(c)
    }

    /// One sane id is kept where the service keeps this client's; otherwise the request gets one.
    private func keepID(
        _ x: inout Exchange, _ head: RequestHead, _ p: UnsafePointer<UInt8>, _ rule: RequestIDRule, _ isTrusted: Bool
    ) {
        let given = head.fields.requestID.bytes(in: p)
        let isKept = rule == .keep || rule == .trusted && isTrusted
        if isKept, head.fields.requestIDs == 1, isSaneID(given) {
            x.id.fill {
                $0.update(from: given.baseAddress!, count: given.count)
                return given.count
            }
        } else {
            x.id.fill {
                requestIDs.next(into: $0)
                return RequestIDs.length
            }
        }
        x.requestHash = x.id.withBytes { RequestIdentifier.hash($0) }
    }

    /// What can be put into a log line or a query without a thought.
    private func isSaneID(_ id: UnsafeBufferPointer<UInt8>) -> Bool {
        guard (1...InlineText.capacity).contains(id.count) else { return false }
        for byte in id where ce_class(byte) & UInt8(CE_ID) == 0 { return false }
        return true
    }

    private func chooseArm(
        _ c: Client, _ service: UnsafeMutablePointer<ServicePlan>, _ head: RequestHead,
        _ p: UnsafePointer<UInt8>
    ) {
        var hash: UInt64 = 0
        var flags = Observation.Flags()
        let isBelieved = c.pointee.isTrusted || !service.pointee.stickyNeedsTrust
        let key = isBelieved ? stickyKey(service, head, p) : nil
        if let key, key.count > 0 {
            hash = TrafficSplit.hash(key: UnsafeRawBufferPointer(key))
        } else {
            hash = random.next()
            if service.pointee.sticky != .none { flags.insert(.keyless) }
        }
        let place = TrafficSplit.place(of: hash, salt: service.pointee.split.salt)
        c.pointee.exchange.place = UInt16(truncatingIfNeeded: place)
        c.pointee.exchange.key = UInt32(truncatingIfNeeded: TrafficSplit.mix(hash ^ service.pointee.split.salt))
        var arm: Arm = place < UInt64(service.pointee.split.candidate.basisPoints) ? .candidate : .baseline
        if service.pointee.matchCount > 0, let forced = match(service, head, p, isTrusted: c.pointee.isTrusted) {
            arm = forced
            flags.insert(.matched)
        } else if isJudged(service, head, p) {
            flags.insert(.judged)
        }
        c.pointee.exchange.arm = service.pointee.hasCandidate ? arm : .baseline
        c.pointee.exchange.flags = flags
    }

    private func stickyKey(
        _ service: UnsafeMutablePointer<ServicePlan>, _ head: RequestHead, _ p: UnsafePointer<UInt8>
    ) -> UnsafeBufferPointer<UInt8>? {
        switch service.pointee.sticky {
        case .none: return nil
        case .header: return field(named: service.pointee.stickyName, head, p)
        case .cookie:
            for i in 0..<head.fields.count where parser.fields[i].kind == .cookie {
                let value = parser.fields[i].value.bytes(in: p)
                if let found = cookie(named: service.pointee.stickyName, in: value) { return found }
            }
            return nil
        }
    }

    private func match(
        _ service: UnsafeMutablePointer<ServicePlan>, _ head: RequestHead, _ p: UnsafePointer<UInt8>, isTrusted: Bool
    ) -> Arm? {
        for i in 0..<service.pointee.matchCount {
            let rule = service.pointee.matches[i]
            if rule.needsTrust, !isTrusted { continue }
            if let value = field(named: rule.name, head, p), rule.value.equals(value.baseAddress!, value.count) {
                return rule.arm
            }
        }
        return nil
    }

    private func isJudged(
        _ service: UnsafeMutablePointer<ServicePlan>, _ head: RequestHead, _ p: UnsafePointer<UInt8>
    ) -> Bool {
        let plan = service
        return isListed(plan.pointee.methods, plan.pointee.methodCount, head.method.bytes(in: p))
            && isListed(plan.pointee.paths, plan.pointee.pathCount, head.path.bytes(in: p))
    }

    /// An empty list means all.
    private func isListed(_ list: UnsafeMutablePointer<Bytes>, _ count: Int, _ text: UnsafeBufferPointer<UInt8>) -> Bool
    {
        count == 0 || isAmong(list, count, text)
    }

    func isAmong(_ list: UnsafeMutablePointer<Bytes>, _ count: Int, _ text: UnsafeBufferPointer<UInt8>) -> Bool {
        for i in 0..<count where list[i].equals(text.baseAddress!, text.count) { return true }
        return false
    }

    /// The first field of that name, which is lower case.
    private func field(
        named name: Bytes, _ head: RequestHead, _ p: UnsafePointer<UInt8>
    ) -> UnsafeBufferPointer<UInt8>? {
        fields: for i in 0..<head.fields.count where Int(parser.fields[i].name.length) == name.count {
            let start = p + Int(parser.fields[i].name.start)
            for j in 0..<name.count where asciiLowercase(start[j]) != name.start[j] { continue fields }
            return parser.fields[i].value.bytes(in: p)
        }
        return nil
    }
}

/// `name=value` among pairs that semicolons part (RFC 6265, 4.2.1); quotes around the value are no part of it.
func cookie(named name: Bytes, in value: UnsafeBufferPointer<UInt8>) -> UnsafeBufferPointer<UInt8>? {
    guard let p = value.baseAddress else { return nil }
    var i = 0
    while i < value.count {
        while i < value.count, p[i] == 0x20 || p[i] == 9 || p[i] == 0x3b { i += 1 }
        let start = i
        while i < value.count, p[i] != 0x3b { i += 1 }
        var end = i
        while end > start, p[end - 1] == 0x20 || p[end - 1] == 9 { end -= 1 }
        guard end - start > name.count, p[start + name.count] == 0x3d, name.equals(p + start, name.count) else {
            continue
        }
        var from = start + name.count + 1
        if end - from >= 2, p[from] == 0x22, p[end - 1] == 0x22 {
            from += 1
            end -= 1
        }
        return UnsafeBufferPointer(start: p + from, count: end - from)
    }
    return nil
}
