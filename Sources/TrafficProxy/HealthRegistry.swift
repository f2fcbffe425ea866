import CLinuxEngine
import Glibc
import PolicyModel
import Synchronization

/// The knowledge of servers that comes from outside the loops: where their names lead, and what their probes found.
/// Look-ups and probes write it from their threads and then tell the loops, which read it and keep what concerns them:
/// a request never does.
final class HealthRegistry: Sendable {
    struct Content {
        var addresses: [Endpoint: ce_address] = [:]
        /// Why the last look-up failed. A server that also has an address keeps it.
        var unresolved: [Endpoint: String] = [:]
        /// Servers that fail their probes, and how.
        var unhealthy: [ProbeKey: String] = [:]
    }

    private let content = Mutex(Content())

    /// The content as it is now; a copy that is not touched any more.
    var snapshot: Content { content.withLock { $0 } }

    func write(_ body: (inout Content) -> Void) { content.withLock { body(&$0) } }
}

/// A server, asked in one way.
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
