import CLinuxEngine
import Glibc
import PolicyModel

/// Looks names up on threads of its own, since the system's resolver blocks, and again for as long as they are wanted:
/// a server may move. A look-up that fails takes no address away.
final class Resolver: @unchecked Sendable {
    struct Times: Sendable {
        /// Between two look-ups of a name that resolves.
        var refresh = Duration.seconds(30)
        /// Of one that does not, or whose server takes no connections.
        var retry = Duration.seconds(5)
    }

    enum Answer: Sendable {
        /// At least one.
        case addresses([ce_address])
        case failure(String)
    }

    /// Look-ups at once: some names may wait for a resolver that is gone while others can be had.
    private static let threads = 4
    /// Addresses of a name that are looked at; one is used, and kept for as long as it is among them.
    private static let addressesOfName = 16

    private struct Entry {
        /// Monotonic nanoseconds.
        var dueAt: Int64 = 0
        var askedAt: Int64 = .min / 2
        var isAsked = false
        /// Look-ups that ended.
        var answers = 0
    }

    private let board: HealthBoard
    private let times: Times
    private let lookUp: @Sendable (Endpoint) -> Answer
    /// Called on a thread of the resolver after the board was changed.
    private let changed: @Sendable () -> Void
    private var mutex = pthread_mutex_t()
    private var condition = pthread_cond_t()
    private var entries: [Endpoint: Entry] = [:]
    private var isStarted = false
    private var isStopping = false

    init(
        board: HealthBoard, times: Times = Times(), lookUp: @escaping @Sendable (Endpoint) -> Answer = Resolver.system,
        changed: @escaping @Sendable () -> Void
    ) {
        self.board = board
        self.times = times
        self.lookUp = lookUp
        self.changed = changed
        pthread_mutex_init(&mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(&condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_mutex_destroy(&mutex)
        pthread_cond_destroy(&condition)
    }

    /// What getaddrinfo(3) says.
    static let system: @Sendable (Endpoint) -> Answer = { endpoint in
        withUnsafeTemporaryAllocation(of: ce_address.self, capacity: addressesOfName) { found in
            let count = ce_resolve(endpoint.host, endpoint.port, 0, found.baseAddress!, Int32(addressesOfName))
            guard count > 0 else { return .failure(String(cString: ce_resolve_error(count))) }
            return .addresses(Array(found[..<Int(count)]))
        }
    }

    /// Wants these too. Addresses written as such are known when it returns; names are asked for on other threads.
    func add(_ endpoints: Set<Endpoint>) {
        let known = board.snapshot.addresses
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
        if !literals.isEmpty { board.write { $0.addresses.merge(literals) { old, _ in old } } }
        locked {
            for name in names where entries[name] == nil { entries[name] = Entry() }
            guard !entries.isEmpty else { return }
            start()
            pthread_cond_broadcast(&condition)
        }
    }

    /// Forgets all but these.
    func keep(_ endpoints: Set<Endpoint>) {
        locked { entries = entries.filter { endpoints.contains($0.key) } }
        board.write {
            $0.addresses = $0.addresses.filter { endpoints.contains($0.key) }
            $0.unresolved = $0.unresolved.filter { endpoints.contains($0.key) }
        }
    }

    /// Waits until each was looked up at least once, or patience runs out.
    func wait(for endpoints: Set<Endpoint>, patience: Duration) {
        let until = ce_monotonic() + patience.nanoseconds
        locked {
            while endpoints.contains(where: { entries[$0]?.answers == 0 }), !isStopping {
                guard wait(until: until) else { return }
            }
        }
    }

    /// Asks again for those that have no address.
    func askAgain(_ endpoints: Set<Endpoint>) {
        let known = board.snapshot.addresses
        locked {
            for endpoint in endpoints where known[endpoint] == nil {
                entries[endpoint]?.dueAt = 0
                entries[endpoint]?.answers = 0
            }
            pthread_cond_broadcast(&condition)
        }
    }

    /// Its server takes no connections: perhaps it moved. It is looked up sooner than it would be.
    func hasten(_ endpoint: Endpoint) {
        locked {
            guard let entry = entries[endpoint] else { return }
            let soon = entry.askedAt + times.retry.nanoseconds
            guard soon < entry.dueAt else { return }
            entries[endpoint]?.dueAt = soon
            pthread_cond_broadcast(&condition)
        }
    }

    /// Look-ups under way cannot be ended; their threads leave when they are over.
    func stop() {
        locked {
            isStopping = true
            pthread_cond_broadcast(&condition)
        }
    }

    // MARK: Its threads

    private func locked<Value>(_ body: () -> Value) -> Value {
        pthread_mutex_lock(&mutex)
        defer { pthread_mutex_unlock(&mutex) }
        return body()
    }

    /// False: it is that late.
    private func wait(until moment: Int64) -> Bool {
        guard moment < .max else { return pthread_cond_wait(&condition, &mutex) == 0 }
        var time = timespec(tv_sec: Int(moment / 1_000_000_000), tv_nsec: Int(moment % 1_000_000_000))
        return pthread_cond_timedwait(&condition, &mutex, &time) == 0
    }

    /// With the first name: where all servers are written as addresses there are no threads.
    private func start() {
        guard !isStarted, !isStopping else { return }
        isStarted = true
        for _ in 0..<Self.threads {
            var thread = pthread_t()
            let me = Unmanaged.passRetained(self)
            let status = pthread_create(
                &thread, nil,
                { context in
                    Unmanaged<Resolver>.fromOpaque(context!).takeRetainedValue().run()
                    return nil
                }, me.toOpaque())
            guard status == 0 else { return me.release() }
            pthread_detach(thread)
        }
    }

    private func run() {
        var everything = sigset_t()
        sigfillset(&everything)
        pthread_sigmask(SIG_BLOCK, &everything, nil)
        ce_name_thread("resolver")
        while let endpoint = next() {
            let answer = lookUp(endpoint)
            if takeIn(answer, endpoint) { changed() }
        }
    }

    /// The next name whose time has come; nil when it is over.
    private func next() -> Endpoint? {
        locked {
            while !isStopping {
                let first = entries.filter { !$0.value.isAsked }.min { $0.value.dueAt < $1.value.dueAt }
                let now = ce_monotonic()
                guard let first, first.value.dueAt <= now else {
                    _ = wait(until: first?.value.dueAt ?? .max)
                    continue
                }
                entries[first.key]?.isAsked = true
                entries[first.key]?.askedAt = now
                return first.key
            }
            return nil
        }
    }

    /// - Returns: whether anything changed for the loops.
    private func takeIn(_ answer: Answer, _ endpoint: Endpoint) -> Bool {
        locked {
            guard entries[endpoint] != nil else { return false }
            var isNew = false
            var wait = times.refresh
            // Under the lock, so that what `keep` forgot is not written again.
            board.write { content in
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
            entries[endpoint]?.isAsked = false
            entries[endpoint]?.answers += 1
            entries[endpoint]?.dueAt = ce_monotonic() + wait.nanoseconds
            pthread_cond_broadcast(&condition)
            return isNew
        }
    }
}
