import PolicyModel
import Synchronization

/// The counts of what a service holds now, over all loops: shared, because shares of a small limit would be too small
/// for a loop that the kernel happens to give more connections. Touched only where the service has the limit.
struct ServiceGauge: ~Copyable {
    let connections = Atomic(0)
    let requests = Atomic(0)
    let bytes = Atomic(0)
    /// Requests and connections that were refused, by the limit that refused them.
    let refusedConnections = Atomic<UInt64>(0)
    let refusedRequests = Atomic<UInt64>(0)
    let refusedBytes = Atomic<UInt64>(0)
}

typealias Gauge = UnsafeMutablePointer<ServiceGauge>

/// The gauges of all services that ever were: a connection may outlive the plan that named its service, and they are a
/// few bytes each.
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

/// `TrafficLimits` as plain numbers; `Int.max`: none.
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

/// The use that a service makes of its limits now, in the whole agent, and what was refused since the agent started.
public struct ServiceUsage: Hashable, Sendable {
    public var connections: Int
    public var requests: Int
    /// Bytes of buffers.
    public var bytes: Int
    public var refusedConnections: UInt64
    public var refusedRequests: UInt64
    public var refusedBytes: UInt64
}
