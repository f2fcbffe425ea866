import Analysis
import CLinuxEngine
import Glibc
import HTTPEngine
import PolicyModel

/// One loop of the data plane. It dispatches events and deadlines, adopts plans, accepts clients, and reports. Nothing
/// that it owns is shared, so it needs no locks.
final class LoopWorker: RecordDriver, @unchecked Sendable {
    let loop: EventLoop
    let buffers = BufferPool()
    let pool: UpstreamPool
    let clients: ClientTable
    let mirror: RequestMirror
    let driver: ExchangeDriver
    /// The workers of all loops, this one included; set before the first plan.
    var peers: [LoopWorker] = []
    private let servers: ServerTable
    private let acceptor: Acceptor
    private let trusted: TrustedNetworks
    private var whenEmpty: (() -> Void)?
    private var sweptAt: Int64 = .min / 2
    /// The number of client connections that were closed to make room for new ones, since the start.
    private(set) var displacedClients: UInt64 = 0

    init(
        loop: EventLoop, limits: ProxyLimits, registry: HealthRegistry, gauges: ServiceGauges,
        trusted: TrustedNetworks, access: AccessRecorder?
    ) {
        let parser = HeadParser(maxFields: limits.maxFields, maxTarget: limits.maxTarget)
        self.loop = loop
        self.trusted = trusted
        pool = UpstreamPool(loop, buffers, limits)
        clients = ClientTable(loop, buffers, limits)
        mirror = RequestMirror(loop, buffers, pool, parser, limits)
        servers = ServerTable(registry: registry, gauges: gauges, pool: pool)
        acceptor = Acceptor(loop)
        driver = ExchangeDriver(
            loop, limits, parser, buffers, clients: clients, pool: pool, mirror: mirror, servers: servers,
            access: access)
        super.init()
        servers.onEjection = { [unowned self] key, until, ejections in
            for peer in peers where peer !== self {
                peer.loop.post { peer.servers.eject(key, until: until, ejections: ejections, peer.loop.now) }
            }
        }
    }

    deinit { buffers.deallocate() }

    override func ready(_ data: UInt64, _ events: ReadyEvents) {
        let address = UInt(data & ~RecordKind.mask)
        switch RecordKind(rawValue: data & RecordKind.mask).unsafelyUnwrapped {
        case .client: driver.clientReady(Client(bitPattern: address).unsafelyUnwrapped, events)
        case .upstream: driver.upstreamReady(Upstream(bitPattern: address).unsafelyUnwrapped, events)
        case .listener: accept(Acceptor.Listener(bitPattern: address).unsafelyUnwrapped)
        }
    }

    override func turnEnded() {
        clients.turnEnded()
        pool.turnEnded()
        mirror.turnEnded()
        scheduleSweep()
    }

    override func overdue(now: Int64) {
        sweptAt = now
        clients.expire(now: now, driver.expired)
        pool.expire(now: now)
        mirror.expire(now: now)
        servers.freeRetired()
        wakeAt = .max
        scheduleSweep()
    }

    /// Sets the time of the next sweep over the deadlines. When the last client is gone, calls the handler that waits
    /// for it.
    private func scheduleSweep() {
        var next = min(clients.nextDeadline, pool.nextDeadline, mirror.nextDeadline)
        // Tables that are still in use are checked again.
        if servers.hasRetired { next = min(next, sweptAt + Self.retiredInterval) }
        if next < .max { wakeAt = max(next, sweptAt + Self.sweepInterval) }
        if let whenEmpty, clients.count == 0 {
            self.whenEmpty = nil
            whenEmpty()
        }
    }

    /// The largest delay of a deadline, in nanoseconds.
    private static let sweepInterval: Int64 = 50_000_000
    private static let retiredInterval: Int64 = 1_000_000_000
}

// MARK: Plans

extension LoopWorker {
    /// Puts a plan in force on this loop: the next request is routed by it.
    func adopt(_ plan: RoutingPlan, opened: [ListenAddress: OpenSocket]) {
        let table = servers.adopt(plan)
        for (address, socket) in opened { acceptor.open(address, socket) }
        var idleTimeouts: [ListenAddress: Int64] = [:]
        for service in plan.services {
            for address in service.listen where idleTimeouts[address] == nil {
                idleTimeouts[address] = service.traffic.timeouts.idle.nanoseconds
            }
        }
        acceptor.forEach { address, listener in
            if let idleTimeout = idleTimeouts[address] {
                listener.pointee.routes = table.routes(of: address)
                listener.pointee.idleTimeout = idleTimeout
            } else {
                close(address, listener)
            }
        }
        servers.freeRetired()
        scheduleSweep()
    }

    /// Closes a listener that the plan does not name any more. Its idle clients are disconnected. Requests under way finish
    /// by the plan under which they began, and a request whose head comes later finds no service.
    private func close(_ address: ListenAddress, _ listener: Acceptor.Listener) {
        listener.pointee.routes = ListenerRoutes()
        clients.forEachOpen { c in
            if c.pointee.listener == listener, c.phase == .head, c.input.isEmpty { driver.close(c) }
        }
        acceptor.close(address, acceptWaiting: acceptBacklog)
    }

    /// Reads addresses and probe results from the registry.
    func readHealth() { servers.readHealth() }

    /// Reports the judged requests that are under way and the servers' health.
    func report() -> (open: [Observation], health: [ArmHealth]) {
        let moment = EventLoop.clock()
        return (driver.openObservations(at: moment), servers.health(moment))
    }
}

// MARK: New clients

extension LoopWorker {
    private static let acceptsPerTurn = 64
    private static let backlogAtClose = 4096

    private func accept(_ listener: Acceptor.Listener) { accept(listener, most: Self.acceptsPerTurn) }

    private func acceptBacklog(_ listener: Acceptor.Listener) { accept(listener, most: Self.backlogAtClose) }

    /// Closes a connection that gives way to a new one.
    private func displace(_ c: Client) {
        displacedClients &+= 1
        driver.close(c)
    }

    private func accept(_ listener: Acceptor.Listener, most: Int) {
        for _ in 0..<most {
            let givesWay = clients.isFull ? clients.clientToDisplace() : nil
            if clients.isFull, givesWay == nil { return acceptor.pause(listener) }
            switch acceptor.next(listener) {
            case .nobody: return
            case .reset: continue
            case .exhausted:
                guard let other = givesWay ?? clients.clientToDisplace() else { return acceptor.pause(listener) }
                displace(other)
            case .client(let descriptor, let address, let ip):
                if let givesWay { displace(givesWay) }
                if !listener.pointee.isUnix { _ = ce_set_no_delay(descriptor) }
                _ = clients.open(descriptor, address, isTrusted: trusted.contains(ip), listener)
            }
        }
    }
}

// MARK: The end

extension LoopWorker {
    /// Stops accepting; idle connections close now, others with their response.
    func beginStop(whenEmpty: @escaping () -> Void) {
        driver.isStopping = true
        pool.isDraining = true
        acceptor.forEach { address, _ in acceptor.close(address, acceptWaiting: acceptBacklog) }
        clients.forEachOpen { c in
            if c.phase == .head, c.input.isEmpty { driver.close(c) }
        }
        self.whenEmpty = whenEmpty
        scheduleSweep()
    }

    /// Closes all connections that are still open. Their requests are observed as open, since neither client nor server
    /// ended them.
    func closeAll() {
        clients.forEachOpen { driver.clientGone($0, .open) }
        mirror.endAll()
    }
}
