import Analysis
import CLinuxEngine
import Glibc
import HTTPEngine
import PolicyModel

/// What one loop owns of the data plane: its connections, pools, table, log. Nothing here is shared, so nothing locks.
final class LoopWorker: RecordDriver, @unchecked Sendable {
    let loop: EventLoop
    let limits: ProxyLimits
    let trusted: TrustedNetworks
    let parser: HeadParser
    let access: AccessRecorder?
    let logsAccess: Bool

    var buffers = BufferPool()
    var clients = Slab(blank: ClientRecord())
    var upstreams = Slab(blank: UpstreamRecord())
    var mirror = MirrorState()
    var log = ObservationLog()
    var random = LoopRandom()
    var requestIDs = RequestIDs()
    var table: RouteTable?
    /// Tables that are no longer in force but still in use.
    var retired: [RouteTable] = []
    var servers: [ServerKey: UnsafeMutablePointer<Server>] = [:]
    let board: HealthBoard
    let gauges: ServiceGauges
    /// All loops; set before the first plan.
    var peers: [LoopWorker] = []
    var listeners: [ListenAddress: UnsafeMutablePointer<ListenerRecord>] = [:]
    /// Listeners that were closed; freed when no client came from them any more, which is when the loop ends.
    private var closedListeners: [UnsafeMutablePointer<ListenerRecord>] = []
    /// Upgraded connections that are open.
    var tunnels = 0
    /// Failed requests since the last report, by arm and reason.
    var failures: [FailureKey: UInt64] = [:]
    /// Where the next search for a client that may give way begins.
    private var nextToGiveWay = 0
    var isStopping = false
    var whenEmpty: (() -> Void)?
    /// What is thrown away is read into this.
    let waste = UnsafeMutablePointer<UInt8>.allocate(capacity: LoopWorker.wasteSize)
    static let wasteSize = 16 << 10

    let headTimeout: Int64
    let writeTimeout: Int64
    let bodyGrace: Int64
    let continueTimeout: Int64
    let giveWayAfter: Int64
    let restingGiveWayAfter: Int64
    let halfCloseWindow: Int64

    init(
        loop: EventLoop, limits: ProxyLimits, board: HealthBoard, gauges: ServiceGauges,
        trusted: TrustedNetworks, access: AccessRecorder?
    ) {
        self.loop = loop
        self.board = board
        self.gauges = gauges
        self.limits = limits
        self.trusted = trusted
        self.access = access
        logsAccess = access != nil
        parser = HeadParser(maxFields: limits.maxFields, maxTarget: limits.maxTarget)
        headTimeout = limits.headTimeout.nanoseconds
        writeTimeout = limits.writeTimeout.nanoseconds
        bodyGrace = limits.bodyGrace.nanoseconds
        continueTimeout = limits.continueTimeout.nanoseconds
        giveWayAfter = limits.giveWayAfter.nanoseconds
        restingGiveWayAfter = limits.restingGiveWayAfter.nanoseconds
        halfCloseWindow = limits.halfCloseWindow.nanoseconds
    }

    deinit {
        buffers.deallocate()
        clients.deallocate()
        upstreams.deallocate()
        mirror.deallocate()
        log.deallocate()
        requestIDs.deallocate()
        waste.deallocate()
        for pointer in servers.values { pointer.deallocate() }
        for pointer in listeners.values { pointer.deallocate() }
        for pointer in closedListeners { pointer.deallocate() }
    }

    @inline(__always) var now: Int64 { loop.now }

    override func ready(_ data: UInt64, _ events: ReadyEvents) {
        let address = UInt(data & ~RecordKind.mask)
        switch RecordKind(rawValue: data & RecordKind.mask).unsafelyUnwrapped {
        case .client: clientReady(Client(bitPattern: address).unsafelyUnwrapped, events)
        case .upstream: upstreamReady(Upstream(bitPattern: address).unsafelyUnwrapped, events)
        case .listener: accept(UnsafeMutablePointer<ListenerRecord>(bitPattern: address).unsafelyUnwrapped)
        }
    }

    override func turnEnded() {
        clients.turnEnded()
        upstreams.turnEnded()
        startCopies()
        if let whenEmpty, clients.inUse == 0 {
            self.whenEmpty = nil
            whenEmpty()
        }
    }

    /// Deadlines are kept in the records and looked at together: moving one costs a comparison.
    override func overdue(now: Int64) {
        var next = Int64.max
        clients.all.forEach { client in
            guard client.pointee.fd >= 0 else { return }
            if client.pointee.deadline <= now { clientExpired(client) }
            if client.pointee.fd >= 0 { next = min(next, client.pointee.deadline) }
        }
        upstreams.all.forEach { upstream in
            guard upstream.pointee.fd >= 0, upstream.pointee.phase == .idle else { return }
            if upstream.pointee.deadline <= now {
                closeUpstream(upstream)
            } else {
                next = min(next, upstream.pointee.deadline)
            }
        }
        next = min(next, expireCopies(now))
        wakeAt = next == .max ? .max : max(next, now + Self.sweepInterval)
        freeRetired()
    }

    /// How late a deadline may be.
    private static let sweepInterval: Int64 = 50_000_000

    @inline(__always) func expect(_ client: Client, by deadline: Int64) {
        client.pointee.deadline = deadline
        if deadline < wakeAt { wakeAt = deadline }
    }
}

// MARK: Tables

extension LoopWorker {
    /// Puts a plan in force on this loop: the next head is dealt by it.
    func adopt(_ plan: RoutingPlan, opened: [ListenAddress: OpenSocket]) {
        let content = board.snapshot
        let fresh = RouteTable(plan, gauges: gauges) { [self] key in
            if let known = servers[key] { return known }
            let pointer = UnsafeMutablePointer<Server>.allocate(capacity: 1)
            var server = Server()
            server.name.fill { InlineText.copy(key.endpoint.description, to: $0) }
            if let rules = key.outliers { server.rules = OutlierRules(rules) }
            server.reusesConnections = key.upstream.reuse
            pointer.initialize(to: server)
            servers[key] = pointer
            return pointer
        }
        for (key, server) in servers { read(content, key, server) }
        for server in fresh.servers { server.pointee.tables += 1 }
        if let table { retired.append(table) }
        table = fresh
        for (address, socket) in opened where listeners[address] == nil { open(address, socket) }
        for (address, listener) in listeners {
            let named = plan.services.first { $0.listen.contains(address) }
            if let named {
                listener.pointee.routes = fresh.routes(of: address)
                listener.pointee.idleTimeout = named.traffic.timeouts.idle.nanoseconds
            } else {
                close(address, listener)
            }
        }
        freeRetired()
    }

    func freeRetired() {
        guard !retired.isEmpty else { return }
        retired.removeAll { table in
            guard table.isUnused else { return false }
            for server in table.servers { server.pointee.tables -= 1 }
            return true
        }
        for (key, server) in servers where server.pointee.tables == 0 && server.pointee.outstanding == 0 {
            while let idle = server.pointee.idle { closeUpstream(idle) }
            servers[key] = nil
            server.deallocate()
        }
        // What is still in use is looked at again.
        if !retired.isEmpty { wakeAt = min(wakeAt, now + 1_000_000_000) }
    }

    private func open(_ address: ListenAddress, _ socket: OpenSocket) {
        let listener = UnsafeMutablePointer<ListenerRecord>.allocate(capacity: 1)
        listener.initialize(to: ListenerRecord())
        listener.pointee.fd = socket.descriptor
        listener.pointee.isUnix = socket.isUnix
        listener.pointee.isShared = socket.isShared
        listeners[address] = listener
        watch(listener)
    }

    private func data(_ listener: UnsafeMutablePointer<ListenerRecord>) -> UInt64 {
        UInt64(UInt(bitPattern: listener)) | RecordKind.listener.rawValue
    }

    private func watch(_ listener: UnsafeMutablePointer<ListenerRecord>) {
        listener.pointee.isPaused = false
        if listener.pointee.isShared {
            loop.register(sharedRecord: data(listener), descriptor: listener.pointee.fd)
        } else {
            loop.register(record: data(listener), descriptor: listener.pointee.fd, interest: .readable)
        }
    }

    /// What waits in the backlog was promised a connection: it is taken first.
    func close(_ address: ListenAddress, _ listener: UnsafeMutablePointer<ListenerRecord>) {
        listeners[address] = nil
        closedListeners.append(listener)
        if !listener.pointee.isPaused { loop.deregister(record: listener.pointee.fd) }
        listener.pointee.isPaused = true
        acceptWaiting(listener, most: Self.backlogAtClose)
        Glibc.close(listener.pointee.fd)
        listener.pointee.fd = -1
    }

    private static let backlogAtClose = 4096
    private static let acceptsPerTurn = 64

    private func accept(_ listener: UnsafeMutablePointer<ListenerRecord>) {
        guard listener.pointee.fd >= 0 else { return }
        guard clients.inUse < limits.maxConnections || clientToGiveWay() != nil else { return pause(listener) }
        acceptWaiting(listener, most: Self.acceptsPerTurn)
    }

    private func acceptWaiting(_ listener: UnsafeMutablePointer<ListenerRecord>, most: Int) {
        for _ in 0..<most {
            let isFull = clients.inUse >= limits.maxConnections
            let givesWay = isFull ? clientToGiveWay() : nil
            if isFull, givesWay == nil { return }
            var address = InlineText()
            var status: Int32 = 0
            var ip = ce_ip()
            address.fill {
                var length: Int32 = 0
                status = ce_accept_from(listener.pointee.fd, $0, Int32(InlineText.capacity), &length, &ip)
                return Int(length)
            }
            if status == -EAGAIN { return }
            if status == -EMFILE || status == -ENFILE || status == -ENOBUFS || status == -ENOMEM {
                guard let other = givesWay ?? clientToGiveWay() else { return pause(listener) }
                closeClient(other)
                continue
            }
            // A connection that was reset while it waited: the next one may be fine.
            guard status >= 0 else { continue }
            if let givesWay { closeClient(givesWay) }
            started(status, address, isTrusted: trusted.contains(ip), listener)
        }
    }

    /// A client that sent no whole request head for too long, so that those which connect and stay silent keep nobody out.
    /// Looks at a bounded number of records, going round; one that was served before only where it sees no other.
    private func clientToGiveWay() -> Client? {
        var resting: Client?
        for _ in 0..<min(clients.count, Self.searchForWaiting) {
            let client = clients[nextToGiveWay % clients.count]
            nextToGiveWay = (nextToGiveWay + 1) % clients.count
            guard client.pointee.fd >= 0, client.pointee.phase == .head, client.pointee.output.isEmpty else { continue }
            let waited = now - client.pointee.waitingSince
            if !client.pointee.hasAsked, waited >= giveWayAfter { return client }
            if resting == nil, client.pointee.input.isEmpty, waited >= restingGiveWayAfter { resting = client }
        }
        return resting
    }

    private static let searchForWaiting = 256

    /// No room: a level-triggered epoll would spin, so the listener is left out for a moment.
    private func pause(_ listener: UnsafeMutablePointer<ListenerRecord>) {
        guard !listener.pointee.isPaused, listener.pointee.fd >= 0 else { return }
        listener.pointee.isPaused = true
        loop.deregister(record: listener.pointee.fd)
        loop.schedule(after: .milliseconds(100)) { [unowned self] in
            if listener.pointee.isPaused, listener.pointee.fd >= 0 { watch(listener) }
        }
    }

    private func started(
        _ fd: Int32, _ address: InlineText, isTrusted: Bool, _ listener: UnsafeMutablePointer<ListenerRecord>
    ) {
        if !listener.pointee.isUnix { _ = ce_set_no_delay(fd) }
        let client = clients.take()
        client.pointee.fd = fd
        client.pointee.address = address
        client.pointee.isTrusted = isTrusted
        client.pointee.listener = listener
        client.pointee.waitingSince = now
        let interest: ReadyEvents = .readable
        client.pointee.interest = interest.rawValue
        guard loop.register(record: UInt64(UInt(bitPattern: client)), descriptor: fd, interest: interest) else {
            Glibc.close(fd)
            return clients.put(client)
        }
        expect(client, by: now + min(listener.pointee.idleTimeout, headTimeout))
    }

    /// Stops accepting; idle connections close now, others with their answer.
    func beginStop(whenEmpty: @escaping () -> Void) {
        isStopping = true
        for (address, listener) in listeners { close(address, listener) }
        clients.all.forEach { client in
            guard client.pointee.fd >= 0, client.pointee.phase == .head, client.pointee.input.isEmpty else { return }
            closeClient(client)
        }
        self.whenEmpty = whenEmpty
    }

    /// Ends what is still open. No client left and no server failed: requests are observed as open.
    func closeAll() {
        clients.all.forEach { if $0.pointee.fd >= 0 { clientGone($0, .open) } }
        endCopies()
    }
}
