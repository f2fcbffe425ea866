import PolicyModel
import Synchronization

/// Counts what a service uses of its limits, over all loops. The counts are shared, because a small limit divided among
/// the loops would be too small for a loop that happens to get more connections. A count is only kept if the service
/// has the limit.
struct ServiceGauge: ~Copyable {
    let connections = Atomic(0)
    let requests = Atomic(0)
    let bytes = Atomic(0)
    /// The numbers of requests and connections that were refused, by the limit.
    let refusedConnections = Atomic<UInt64>(0)
    let refusedRequests = Atomic<UInt64>(0)
    let refusedBytes = Atomic<UInt64>(0)
}

typealias Gauge = UnsafeMutablePointer<ServiceGauge>

/// The gauges of all services since the start. They are never removed: a connection may outlive the plan that named its
/// service, and a gauge takes only a few bytes.
final class ServiceGauges: @unchecked Sendable {
    private struct Entry: @unchecked Sendable { var gauge: Gauge }
    private let entries = Mutex<[String: Entry]>([:])

    func of(_ service: String) -> Gauge {
        entries.withLock { entries in
            if let known = entries[service] { return known }
            let gauge = Gauge.allocate(capacity: 1)
            gauge.initialize(to: ServiceGauge())
            entries[service] = Entry(gauge: gauge)
            return Entry(gauge: gauge)
        }.gauge
    }

    deinit {
        entries.withLock { entries in
            for entry in entries.values {
                entry.gauge.deinitialize(count: 1)
                entry.gauge.deallocate()
            }
        }
    }
}

/// The settings of `TrafficLimits` as plain numbers; `Int.max` for no limit.
struct LimitPlan {
    var gauge: Gauge
    var connections = Int.max
    var requests = Int.max
    var bytes = Int.max

    init(_ limits: TrafficLimits, _ gauge: Gauge) {
        self.gauge = gauge
        connections = limits.connections ?? .max
        requests = limits.requests ?? .max
        bytes = limits.buffer ?? .max
    }
}

/// What a service uses of its limits now, over all loops, and what was refused since the agent started.
public struct ServiceUsage: Hashable, Sendable {
    public var connections: Int
    public var requests: Int
    /// The number of bytes in buffers.
    public var bytes: Int
    public var refusedConnections: UInt64
    public var refusedRequests: UInt64
    public var refusedBytes: UInt64
}
