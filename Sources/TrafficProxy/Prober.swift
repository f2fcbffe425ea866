import CLinuxEngine
import HTTPEngine
import PolicyModel

/// Runs the health checks of servers, on a thread of its own. There is one prober for the whole agent, so that probes
/// do not multiply with the loops. Changed results are written to the registry.
final class Prober: @unchecked Sendable {
    /// The largest number of probes at once. Further ones wait, so if thousands of servers hang, their results come
    /// late.
    static let maxInFlight = 64
    /// The time within which the first probe of a server starts, at a random moment, so that probes of different
    /// servers are spread out. Later ones follow at about the interval.
    static let firstWithin = Duration.milliseconds(100)
    /// The share of the interval by which it varies at random.
    static let jitter = 0.1

    private let loop: EventLoop
    private let registry: HealthRegistry
    /// Called on the prober's thread after the registry was changed.
    private let changed: @Sendable () -> Void
    private var isStarted = false

    // Used on the prober's loop only.
    private var targets: [ProbeKey: Target] = [:]
    private var waiting: [Target] = []
    private var inFlight = 0
    private var isStartingProbes = false
    private let parser = HeadParser(maxFields: 64)

    /// A server and one health check of it.
    final class Target {
        let key: ProbeKey
        var count = ProbeCount()
        var timer: HTTPEngine.Timer?
        var probe: Probe?
        var beganAt: Int64 = 0
        var isGone = false

        init(_ key: ProbeKey) { self.key = key }
    }

    init(registry: HealthRegistry, changed: @escaping @Sendable () -> Void) throws {
        loop = try EventLoop(name: "prober")
        self.registry = registry
        self.changed = changed
    }

    /// Sets the targets, which replace all earlier ones. Called on the control thread.
    func setTargets(_ keys: Set<ProbeKey>) {
        // The thread is only started if there is a health check.
        guard isStarted || !keys.isEmpty else { return }
        if !isStarted {
            isStarted = true
            loop.start()
        }
        loop.post { self.adopt(keys) }
    }

    func stop() {
        guard isStarted else { return }
        loop.post { self.adopt([]) }
        loop.stop()
        loop.join()
    }

    private func adopt(_ keys: Set<ProbeKey>) {
        for (key, target) in targets where !keys.contains(key) {
            target.isGone = true
            if let timer = target.timer { loop.cancel(timer) }
            target.probe?.abandon()
            targets[key] = nil
        }
        registry.write { content in content.unhealthy = content.unhealthy.filter { keys.contains($0.key) } }
        for key in keys where targets[key] == nil {
            let target = Target(key)
            targets[key] = target
            schedule(target, after: Self.firstWithin * Double.random(in: 0..<1))
        }
    }

    private func schedule(_ target: Target, after delay: Duration) {
        target.timer = loop.schedule(after: delay) { [self] in
            target.timer = nil
            waiting.append(target)
            startWaiting()
        }
    }

    private func startWaiting() {
        // A probe that ends at once calls this function again; the loop below then continues.
        guard !isStartingProbes else { return }
        isStartingProbes = true
        defer { isStartingProbes = false }
        while inFlight < Self.maxInFlight, let target = waiting.first {
            waiting.removeFirst()
            if !target.isGone { begin(target) }
        }
    }

    private func begin(_ target: Target) {
        target.beganAt = EventLoop.clock()
        // A server without an address is not probed: it is `unresolved`.
        guard let address = registry.snapshot.addresses[target.key.endpoint] else { return rest(target) }
        inFlight += 1
        target.probe = Probe(target.key, address, loop, parser) { [self] verdict in
            inFlight -= 1
            target.probe = nil
            if !target.isGone {
                if let verdict { ended(target, verdict) }
                rest(target)
            }
            startWaiting()
        }
        target.probe?.start()
    }

    private func rest(_ target: Target) {
        let interval = target.key.check.interval * (1 + Self.jitter * Double.random(in: -1...1))
        let spent = Duration.nanoseconds(EventLoop.clock() - target.beganAt)
        schedule(target, after: max(interval - spent, .zero))
    }

    private func ended(_ target: Target, _ verdict: Probe.Verdict) {
        var reason: String?
        if case .bad(let why) = verdict { reason = why }
        let hasTurned = target.count.ended(isGood: reason == nil, target.key.check)
        let isHealthy = target.count.isHealthy == true
        // The reason of an unhealthy server is kept current: it may refuse connections after it responded with 503.
        if hasTurned || !isHealthy && reason != nil {
            registry.write { $0.unhealthy[target.key] = isHealthy ? nil : reason }
        }
        if hasTurned { changed() }
    }
}
