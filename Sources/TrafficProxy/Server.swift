import CLinuxEngine
import PolicyModel

/// One upstream server as one loop sees it. Lives as long as a table names it or a request is under way to it.
struct Server {
    var address = ce_address()
    /// As the plan names it, for people.
    var name = InlineText()
    /// False where the name did not resolve.
    var isResolved = false
    /// How many tables of this loop name it.
    var tables = 0
    var outstanding = 0
    /// Kept-alive connections, the last used first.
    var idle: UnsafeMutablePointer<UpstreamRecord>?
    var idleCount = 0
    /// In a row.
    var failures = 0
    /// Not tried before, while another server of the version can be.
    var downUntil: Int64 = 0
    /// It did not refuse, it hung: trying it again costs a client its patience.
    var hangs = false
    /// When it last sent anything.
    var lastHeard: Int64 = .min / 2

    private static let firstBackoff: Int64 = 100_000_000
    private static let longestBackoff: Int64 = 2_000_000_000
    /// A server that was heard of within this time is there: a connection that it did not take in time says that its
    /// backlog is full, not that it is gone.
    private static let freshness: Int64 = 2_000_000_000

    @inline(__always) func isDown(_ now: Int64) -> Bool { downUntil > now }

    /// Whether it counts as reachable: what failed and was not tried for long is unknown, not bad.
    func isReachable(_ now: Int64) -> Bool {
        isResolved && (failures == 0 || now > downUntil + 5 * Self.longestBackoff)
    }

    @inline(__always) func isHeard(_ now: Int64) -> Bool { now - lastHeard < Self.freshness }

    /// Doubles from 100 ms to 2 s, a quarter of it random, so that loops do not try together.
    mutating func failed(_ now: Int64, hangs: Bool, _ random: inout LoopRandom) {
        if hangs, isHeard(now) { return }
        failures += 1
        self.hangs = hangs
        let backoff = min(Self.firstBackoff << min(failures - 1, 6), Self.longestBackoff)
        downUntil = now + backoff - Int64(random.next() % UInt64(backoff / 4))
    }

    @inline(__always) mutating func connected() {
        guard failures > 0 else { return }
        failures = 0
        downUntil = 0
        hangs = false
    }
}

/// The servers that one request has failed to connect to: it does not meet them again.
struct TriedServers {
    /// One less than a request has attempts, of which the last needs no note; 0: none.
    private var servers: (Int, Int, Int) = (0, 0, 0)

    @inline(__always) func contains(_ server: UnsafeMutablePointer<Server>) -> Bool {
        let address = Int(bitPattern: server)
        return servers.0 == address || servers.1 == address || servers.2 == address
    }

    mutating func add(_ server: UnsafeMutablePointer<Server>) {
        servers = (Int(bitPattern: server), servers.0, servers.1)
    }
}

/// One arm of a service in one table.
struct ArmPlan {
    var servers: UnsafeMutablePointer<UnsafeMutablePointer<Server>>
    var count = 0
    /// `x-canary-version: NAME` with its line end.
    var versionLine: Bytes
    /// The version's name.
    var name: Bytes {
        let around = "x-canary-version: ".utf8.count
        return Bytes(start: versionLine.start + around, count: max(versionLine.count - around - 2, 0))
    }
    /// Where the next search starts, so that equals take turns.
    var turn = 0

    /// Least outstanding requests among those that are up. Where all are down: one that refused, since asking it again
    /// costs nothing; none where all hang.
    /// - Parameter tried: are left out.
    mutating func pick(_ now: Int64, besides tried: TriedServers) -> UnsafeMutablePointer<Server>? {
        var best: UnsafeMutablePointer<Server>?
        var refused: UnsafeMutablePointer<Server>?
        turn = turn + 1 < count ? turn + 1 : 0
        for i in 0..<count {
            let at = turn + i < count ? turn + i : turn + i - count
            let server = servers[at]
            guard server.pointee.isResolved, !tried.contains(server) else { continue }
            if server.pointee.isDown(now) {
                if !server.pointee.hangs, refused == nil || server.pointee.downUntil < refused!.pointee.downUntil {
                    refused = server
                }
            } else if best == nil || server.pointee.outstanding < best!.pointee.outstanding {
                best = server
            }
        }
        return best ?? refused
    }
}
