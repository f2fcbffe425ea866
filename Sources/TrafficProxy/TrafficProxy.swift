import Analysis
import CLinuxEngine
import Glibc
import HTTPEngine
import PolicyModel
import Synchronization

/// The data plane. It accepts requests on every loop, assigns them to the arms of their services by the published plan,
/// relays them, and records an observation of each. Its methods are called from one control thread.
public final class TrafficProxy: @unchecked Sendable {
    private let workers: [LoopWorker]
    private let accessLog: AccessLog?
    private var open: [ListenAddress: OpenListener] = [:]
    /// The listeners that were opened since the last publication. The loops get them with the next one.
    private var fresh: Set<ListenAddress> = []
    private var published = RoutingPlan()
    private let registry = HealthRegistry()
    private let gauges = ServiceGauges()
    private let resolver: Resolver
    private let prober: Prober
    private var isShutDown = false

    /// The time that the control thread waits for the loops. Turns take microseconds; a loop that takes longer is
    /// stuck.
    private static let loopTimeout = Duration.seconds(5)

    /// The time that `prepare` waits for names that were never looked up, and `unresolved` for names without an
    /// address.
    static let firstLookUpTimeout = Duration.seconds(1)
    static let lookUpTimeout = Duration.seconds(3)

    /// - Parameters:
    ///   - loops: the number of event loops, ≥ 1, each with a thread of its own; one per core is right.
    ///   - trusted: the clients from which reserved fields are accepted; they are removed from all other requests.
    ///   - accessLog: the settings of the access log; nil for none.
    /// - Throws: `AccessLogError`, `SystemError`.
    public convenience init(
        loops: Int, limits: ProxyLimits = ProxyLimits(), trusted: TrustedNetworks = TrustedNetworks(),
        accessLog: AccessLogSettings? = nil
    ) throws {
        try self.init(
            loops: loops, limits: limits, trusted: trusted, accessLog: accessLog, times: Resolver.Times(),
            lookUp: Resolver.system)
    }

    init(
        loops: Int, limits: ProxyLimits, trusted: TrustedNetworks, accessLog: AccessLogSettings?,
        times: Resolver.Times, lookUp: @escaping @Sendable (Endpoint) -> Resolver.LookUpResult
    ) throws {
        let loops = max(loops, 1)
        let log = try accessLog.map { try AccessLog($0, loops: loops) }
        self.accessLog = log
        let registry = registry
        let gauges = gauges
        let workers = try (0..<loops).map { index in
            LoopWorker(
                loop: try EventLoop(name: "proxy-\(index)"), limits: limits, registry: registry, gauges: gauges,
                trusted: trusted,
                access: log.map { AccessRecorder($0, loop: index) })
        }
        self.workers = workers
        let notifyLoops: @Sendable () -> Void = { for worker in workers { worker.loop.post { worker.readHealth() } } }
        resolver = Resolver(registry: registry, times: times, lookUp: lookUp, changed: notifyLoops)
        prober = try Prober(registry: registry, changed: notifyLoops)
        for worker in workers {
            worker.peers = workers
            worker.loop.driver = worker
            worker.loop.start()
        }
    }

    /// The reasons for which a request of a version can fail, as tokens, sorted.
    public static var failureReasons: [String] { ProxyError.tokensOfServers }

    /// Opens the plan's listeners that are not open yet, and looks up the names of its servers. It waits a moment for
    /// names that were never looked up; a server without an address counts as unreachable, and its look-up is repeated
    /// as long as a plan names it. The plan in force is not changed. If it throws, nothing is.
    /// - Throws: `ListenError`, `PlanError`.
    public func prepare(_ plan: RoutingPlan) throws {
        try checkRoutes(plan)
        var opened: [ListenAddress: OpenListener] = [:]
        do {
            for address in Set(plan.services.flatMap(\.listen)) where open[address] == nil {
                opened[address] = try OpenListener.open(address, loops: workers.count)
            }
        } catch {
            for listener in opened.values { listener.close() }
            throw error
        }
        open.merge(opened) { _, new in new }
        fresh.formUnion(opened.keys)
        let servers = endpoints(plan)
        resolver.add(servers)
        resolver.wait(for: servers, timeout: Self.firstLookUpTimeout)
    }

    /// The servers of a plan that have no address, each with the reason, after their look-up was repeated with a short
    /// wait.
    public func unresolved(_ plan: RoutingPlan) -> [(server: Endpoint, reason: String)] {
        let servers = endpoints(plan)
        resolver.add(servers)
        resolver.repeatLookUps(servers)
        resolver.wait(for: servers, timeout: Self.lookUpTimeout)
        let content = registry.snapshot
        return servers.filter { content.addresses[$0] == nil }.sorted { $0.description < $1.description }.map {
            ($0, content.unresolved[$0] ?? "no answer within \(Self.lookUpTimeout.written)")
        }
    }

    /// Puts the plan in force and returns when every loop routes by it, so that no request that starts later is routed
    /// by the old one. Requests that are under way finish by the plan under which they began. Listeners that the plan
    /// does not name are closed.
    public func publish(_ plan: RoutingPlan) {
        // The loops have ended and would not respond.
        guard !isShutDown else { return }
        let named = Set(plan.services.flatMap(\.listen))
        let servers = endpoints(plan)
        resolver.add(servers)
        resolver.keep(servers)
        for (index, worker) in workers.enumerated() {
            var sockets: [ListenAddress: OpenSocket] = [:]
            for address in fresh where named.contains(address) { sockets[address] = open[address]?.sockets[index] }
            let given = sockets
            worker.loop.post { worker.adopt(plan, opened: given) }
        }
        waitForLoops()
        for address in Set(open.keys).subtracting(named) {
            if let listener = open.removeValue(forKey: address) {
                // The loops closed their sockets; sockets that they never got are closed here.
                if fresh.contains(address) { listener.close() } else if case .unix(let path) = address { unlink(path) }
            }
        }
        fresh = []
        published = plan
        prober.setTargets(probes(plan))
    }

    /// A listener's address, with the port that the system chose if port 0 was requested; nil if it is not open.
    public func boundAddress(of address: ListenAddress) -> SocketAddress? { open[address]?.bound }

    /// Returns the observations since the last call, the open requests, and the servers' health. The loops do not wait
    /// for it.
    public func drain() -> ObservationBatch {
        var batch = ObservationBatch()
        var health: [ArmKey: ArmHealth] = [:]
        var failures: [FailureKey: UInt64] = [:]
        var surplus: [ArmKey: UInt64] = [:]
        for worker in workers {
            guard let part = try? worker.loop.sync({ LoopReport(worker) }) else { continue }
            batch.ended.append(contentsOf: part.ended)
            batch.dropped += part.dropped
            batch.open += part.open
            failures.merge(part.failures, uniquingKeysWith: &+)
            surplus.merge(part.surplus, uniquingKeysWith: &+)
            // A server counts as reachable if it is for every loop.
            for arm in part.health {
                let key = ArmKey(slot: arm.slot, arm: arm.arm)
                if health[key].map({ arm.reachable < $0.reachable }) ?? true { health[key] = arm }
            }
        }
        for arm in health.values where arm.reachable < arm.servers { hasten(arm) }
        batch.failures = failures.map { key, count in
            FailureCount(
                slot: key.slot, arm: key.arm, stage: key.error.stage, reason: "\(key.error.token)",
                message: key.error.message, count: count)
        }
        batch.failures += surplus.map { key, count in
            FailureCount(
                slot: key.slot, arm: key.arm, stage: .afterResponse, reason: "surplus-bytes",
                message: "the server sent bytes that no request had asked for, and the connection was closed",
                count: count)
        }
        batch.health = health.values.sorted { ($0.slot, $0.arm.rawValue) < ($1.slot, $1.arm.rawValue) }
        return batch
    }

    /// What a service uses of its limits. Only what it limits is counted.
    public func usage(of service: String) -> ServiceUsage {
        let gauge = gauges.of(service)
        return ServiceUsage(
            connections: gauge.pointee.connections.load(ordering: .relaxed),
            requests: gauge.pointee.requests.load(ordering: .relaxed),
            bytes: gauge.pointee.bytes.load(ordering: .relaxed),
            refusedConnections: gauge.pointee.refusedConnections.load(ordering: .relaxed),
            refusedRequests: gauge.pointee.refusedRequests.load(ordering: .relaxed),
            refusedBytes: gauge.pointee.refusedBytes.load(ordering: .relaxed))
    }

    /// The number of open client connections, over all loops.
    public var connectionCount: Int {
        guard !isShutDown else { return 0 }
        return workers.reduce(0) { $0 + ((try? $1.loop.sync { [worker = $1] in worker.clients.count }) ?? 0) }
    }

    /// The number of client connections that were closed to make room for new ones, over all loops, since the start.
    public var displacedConnectionCount: UInt64 {
        guard !isShutDown else { return 0 }
        return workers.reduce(0) { $0 + ((try? $1.loop.sync { [worker = $1] in worker.displacedClients }) ?? 0) }
    }

    /// The number of open connections to servers, including idle ones, over all loops.
    public var upstreamConnectionCount: Int {
        guard !isShutDown else { return 0 }
        return workers.reduce(0) { $0 + ((try? $1.loop.sync { [worker = $1] in worker.pool.count }) ?? 0) }
    }

    /// The number of open upgraded connections, over all loops.
    public var tunnelCount: Int {
        guard !isShutDown else { return 0 }
        return workers.reduce(0) { $0 + ((try? $1.loop.sync { [worker = $1] in worker.driver.tunnels }) ?? 0) }
    }

    /// The number of buffers in use, each of 64 KiB, over all loops.
    public var buffersInUse: Int {
        workers.reduce(0) { $0 + ((try? $1.loop.sync { [worker = $1] in worker.buffers.inUse }) ?? 0) }
    }

    /// The counts of access log lines; nil without an access log.
    public var accessLogCounts: AccessLogCounts? { accessLog?.counts }

    /// Opens the access log again after its file was renamed. If that fails, the old file stays in use.
    /// - Throws: `AccessLogError`.
    public func reopenAccessLog() throws { try accessLog?.reopen() }

    /// Stops accepting and lets requests under way finish with `Connection: close`. Returns at once; `then` is called
    /// on a loop when no client is connected any more. Everything else works as before until `shutdown`.
    public func beginShutdown(then: @escaping @Sendable () -> Void) {
        let gate = Countdown(workers.count, then: then)
        for worker in workers { worker.loop.post { worker.beginStop { gate.arrive() } } }
    }

    /// Stops accepting, lets what is under way finish with `Connection: close`, cuts what is still open after the
    /// grace, and ends the loops. What ended by then can still be drained before the call returns only through
    /// `lastBatch`.
    @discardableResult
    public func shutdown(grace: Duration) -> ObservationBatch {
        guard !isShutDown else { return ObservationBatch() }
        isShutDown = true
        resolver.stop()
        prober.stop()
        let gate = Countdown(workers.count)
        for worker in workers { worker.loop.post { worker.beginStop { gate.arrive() } } }
        gate.wait(timeout: grace)
        for worker in workers { worker.loop.post { worker.closeAll() } }
        let batch = drain()
        for worker in workers { worker.loop.stop() }
        for worker in workers {
            worker.loop.join()
            worker.loop.driver = nil
            worker.peers = []
        }
        accessLog?.stop()
        for case .unix(let path) in open.keys { unlink(path) }
        open = [:]
        return batch
    }

    /// Runs a function on every loop's thread and returns the results.
    func onLoops<Value: Sendable>(_ body: @escaping @Sendable (LoopWorker) -> Value) -> [Value] {
        guard !isShutDown else { return [] }
        return workers.compactMap { worker in try? worker.loop.sync { body(worker) } }
    }

    private func waitForLoops() {
        let gate = Countdown(workers.count)
        for worker in workers { worker.loop.post { gate.arrive() } }
        gate.wait(timeout: Self.loopTimeout)
    }

    private func endpoints(_ plan: RoutingPlan) -> Set<Endpoint> {
        Set(plan.services.flatMap { $0.baseline.servers + ($0.candidate?.servers ?? []) })
    }

    private func probes(_ plan: RoutingPlan) -> Set<ProbeKey> {
        var keys: Set<ProbeKey> = []
        for version in plan.services.flatMap({ [$0.baseline] + ($0.candidate.map { [$0] } ?? []) }) {
            guard let check = version.healthCheck else { continue }
            for server in version.servers { keys.insert(ProbeKey(endpoint: server, check: check)) }
        }
        return keys
    }

    /// Advances the look-ups of an arm's servers that take no connections, because their addresses may have changed.
    private func hasten(_ arm: ArmHealth) {
        guard let service = published.services.first(where: { $0.slot == arm.slot }) else { return }
        let servers = arm.arm == .baseline ? service.baseline.servers : service.candidate?.servers ?? []
        for (endpoint, state) in zip(servers, arm.states) where state == .refusing || state == .hanging {
            resolver.hasten(endpoint)
        }
    }

    private func checkRoutes(_ plan: RoutingPlan) throws {
        var seen: [RouteKey: String] = [:]
        for service in plan.services {
            for address in service.listen {
                let key = RouteKey(address: address, host: service.route.host?.lowercased(), path: service.route.path)
                if let other = seen[key] {
                    throw PlanError(
                        "services \(other) and \(service.name) have the same route \(service.route.path) on "
                            + "\(address); give one another host, path or listener")
                }
                seen[key] = service.name
            }
        }
    }

    private struct RouteKey: Hashable {
        var address: ListenAddress
        var host: String?
        var path: String
    }

}

/// A plan that cannot be put in force.
public struct PlanError: Error, Hashable, CustomStringConvertible, Sendable {
    public let description: String

    init(_ description: String) { self.description = description }
}

/// The report of one loop. It refers to the loop's log, which the control thread copies.
private struct LoopReport: @unchecked Sendable {
    var ended: UnsafeBufferPointer<Observation>
    var dropped: UInt64
    var open: [Observation]
    var health: [ArmHealth]
    var failures: [FailureKey: UInt64]
    var surplus: [ArmKey: UInt64]

    init(_ worker: LoopWorker) {
        (ended, dropped) = worker.driver.log.swap()
        failures = worker.driver.drainFailures()
        surplus = worker.pool.drainSurplus()
        (open, health) = worker.report()
    }
}
