import CLinuxEngine
import Glibc
import PolicyModel
import Threading

/// Looks up the names of servers on threads of its own, since the system's resolver blocks, and repeats it as long as
/// the names are in use, because addresses may change. A failed look-up does not remove an address.
final class Resolver: Sendable {
    struct Times: Sendable {
        /// The interval between two look-ups of a name that resolves.
        var refresh = Duration.seconds(30)
        /// The interval for a name that does not resolve, or whose server takes no connections.
        var retry = Duration.seconds(5)
    }

    enum LookUpResult: Sendable {
        /// The addresses of the name, at least one.
        case addresses([ce_address])
        case failure(String)
    }

    /// The number of look-ups at once, so that names whose DNS server is down do not block others.
    private static let threads = 4
    /// The number of a name's addresses that are considered. One of them is used, and kept as long as it is among them.
    private static let addressesOfName = 16

    private struct Entry {
        /// The time of the next look-up, in monotonic nanoseconds.
        var dueAt: Int64 = 0
        var askedAt: Int64 = .min / 2
        var isLookUpRunning = false
        /// The number of look-ups that ended.
        var answers = 0
    }

    private let registry: HealthRegistry
    private let times: Times
    private let lookUp: @Sendable (Endpoint) -> LookUpResult
    /// Called on a thread of the resolver after the registry was changed.
    private let changed: @Sendable () -> Void
    private let shared = Monitor(Shared())

    /// The state that the resolver's threads and its callers share.
    private struct Shared {
        var entries: [Endpoint: Entry] = [:]
        var isStarted = false
        var isStopping = false
    }

    init(
        registry: HealthRegistry, times: Times = Times(),
        lookUp: @escaping @Sendable (Endpoint) -> LookUpResult = Resolver.system,
        changed: @escaping @Sendable () -> Void
    ) {
        self.registry = registry
        self.times = times
        self.lookUp = lookUp
        self.changed = changed
    }

    /// Looks a name up with getaddrinfo(3).
    static let system: @Sendable (Endpoint) -> LookUpResult = { endpoint in
        withUnsafeTemporaryAllocation(of: ce_address.self, capacity: addressesOfName) { found in
            let count = ce_resolve(endpoint.host, endpoint.port, 0, found.baseAddress!, Int32(addressesOfName))
            guard count > 0 else { return .failure(String(cString: ce_resolve_error(count))) }
            return .addresses(Array(found[..<Int(count)]))
        }
    }

    /// Adds endpoints. Those written as addresses are resolved when it returns; names are looked up on other threads.
    func add(_ endpoints: Set<Endpoint>) {
        let known = registry.snapshot.addresses
        var literals: [Endpoint: ce_address] = [:]
        var names: [Endpoint] = []
        for endpoint in endpoints where known[endpoint] == nil {
            var address = ce_address()
            if ce_resolve_literal(endpoint.host, endpoint.port, &address) > 0 {
                literals[endpoint] = address
            } else {
                names.append(endpoint)
            }
        }
        if !literals.isEmpty { registry.write { $0.addresses.merge(literals) { old, _ in old } } }
        shared.update { shared in
            for name in names where shared.entries[name] == nil { shared.entries[name] = Entry() }
            if !shared.entries.isEmpty { start(&shared) }
        }
    }

    /// Forgets all endpoints but these.
    func keep(_ endpoints: Set<Endpoint>) {
        shared.withLock { $0.entries = $0.entries.filter { endpoints.contains($0.key) } }
        registry.write {
            $0.addresses = $0.addresses.filter { endpoints.contains($0.key) }
            $0.unresolved = $0.unresolved.filter { endpoints.contains($0.key) }
        }
    }

    /// Blocks until each of these endpoints was looked up at least once, or until the timeout.
    func wait(for endpoints: Set<Endpoint>, timeout: Duration) {
        let deadline = ce_monotonic() + timeout.nanoseconds
        shared.wait { shared in
            let isMissing = endpoints.contains { shared.entries[$0]?.answers == 0 }
            return isMissing && !shared.isStopping && ce_monotonic() < deadline ? .wait(until: deadline) : .done(())
        }
    }

    /// Repeats the look-up of those endpoints that have no address.
    func repeatLookUps(_ endpoints: Set<Endpoint>) {
        let known = registry.snapshot.addresses
        shared.update { shared in
            for endpoint in endpoints where known[endpoint] == nil {
                shared.entries[endpoint]?.dueAt = 0
                shared.entries[endpoint]?.answers = 0
            }
        }
    }

    /// Advances the next look-up of a server that takes no connections, because its address may have changed.
    func hasten(_ endpoint: Endpoint) {
        shared.update { shared in
            guard let entry = shared.entries[endpoint] else { return }
            shared.entries[endpoint]?.dueAt = min(entry.dueAt, entry.askedAt + times.retry.nanoseconds)
        }
    }

    /// Stops the threads. A look-up that is under way cannot be canceled; its thread ends after it.
    func stop() { shared.update { $0.isStopping = true } }

    // MARK: The look-up threads

    /// Starts the threads, if they are not running. There are none as long as all servers are written as addresses.
    private func start(_ shared: inout Shared) {
        guard !shared.isStarted, !shared.isStopping else { return }
        for _ in 0..<Self.threads {
            // Without any thread the next call tries again.
            guard let thread = try? WorkerThread(named: "resolver", { self.run() }) else { return }
            thread.detach()
            shared.isStarted = true
        }
    }

    private func run() {
        while let endpoint = next() {
            let answer = lookUp(endpoint)
            if record(answer, endpoint) { changed() }
        }
    }

    /// Blocks until a look-up is due, and returns its name; nil after `stop`.
    private func next() -> Endpoint? {
        shared.wait { shared in
            if shared.isStopping { return .done(nil) }
            let first = shared.entries.lazy.filter { !$0.value.isLookUpRunning }.min { $0.value.dueAt < $1.value.dueAt }
            let now = ce_monotonic()
            guard let first, first.value.dueAt <= now else { return .wait(until: first?.value.dueAt ?? .max) }
            shared.entries[first.key]?.isLookUpRunning = true
            shared.entries[first.key]?.askedAt = now
            return .done(first.key)
        }
    }

    /// - Returns: true if anything changed for the loops.
    private func record(_ answer: LookUpResult, _ endpoint: Endpoint) -> Bool {
        shared.update { shared in
            guard shared.entries[endpoint] != nil else { return false }
            var isNew = false
            var wait = times.refresh
            // Under the lock, so that what `keep` forgot is not written again.
            registry.write { content in
                switch answer {
                case .addresses(let found):
                    content.unresolved[endpoint] = nil
                    if let old = content.addresses[endpoint], found.contains(where: { $0.isSame(as: old) }) { return }
                    content.addresses[endpoint] = found.first
                    isNew = true
                case .failure(let reason):
                    content.unresolved[endpoint] = reason
                    wait = min(times.retry, times.refresh)
                }
            }
            shared.entries[endpoint]?.isLookUpRunning = false
            shared.entries[endpoint]?.answers += 1
            shared.entries[endpoint]?.dueAt = ce_monotonic() + wait.nanoseconds
            return isNew
        }
    }
}
