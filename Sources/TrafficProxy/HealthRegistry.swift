import CLinuxEngine
import Glibc
import PolicyModel
import Synchronization

/// What the agent knows about servers from outside the loops: the addresses of their names, and the results of their
/// probes. The resolver and the prober write to the registry on their threads and then notify the loops, which copy
/// what concerns their servers. No request reads the registry.
final class HealthRegistry: Sendable {
    struct Content {
        var addresses: [Endpoint: ce_address] = [:]
        /// The reasons of look-ups that failed last. A server that has an address keeps it.
        var unresolved: [Endpoint: String] = [:]
        /// The servers that fail their probes, with the reason.
        var unhealthy: [ProbeKey: String] = [:]
    }

    private let content = Mutex(Content())

    /// A copy of the present content.
    var snapshot: Content { content.withLock { $0 } }

    func write(_ body: (inout Content) -> Void) { content.withLock { body(&$0) } }
}

/// A server with one health check. Two versions may probe the same server in different ways.
struct ProbeKey: Hashable, Sendable {
    var endpoint: Endpoint
    var check: HealthCheck
}

extension ce_address {
    func isSame(as other: ce_address) -> Bool {
        var a = self
        var b = other
        return a.length == b.length && memcmp(&a.storage, &b.storage, Int(a.length)) == 0
    }
}
