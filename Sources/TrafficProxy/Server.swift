import CLinuxEngine
import PolicyModel

/// The identity of a server to a loop. A server under other rules is another one: nothing is held against it that
/// was counted by rules which are no longer in force.
struct ServerKey: Hashable, Sendable {
    var endpoint: Endpoint
    var healthCheck: HealthCheck?
    var outliers: OutlierDetection?
    var upstream = UpstreamRules()
}

/// One upstream server as one loop sees it. Lives as long as a table names it or a request is under way to it.
struct Server {
    var address = ce_address()
    /// The server's name in the plan, for people.
    var name = InlineText()
    /// Grows with each change of the address: connections to another one are not kept.
    var addressVersion: UInt32 = 0
    var health = ServerHealth()
    var rules = OutlierRules()
    /// Whether its connections carry more than one request.
    var reusesConnections = true
    /// The number of this loop's tables that name it.
    var tables = 0
    var outstanding = 0
    /// Kept-alive connections, the last used first.
    var idle: UnsafeMutablePointer<UpstreamRecord>?
    var idleCount = 0
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
    /// True if there is no better place for its requests: where no server is up, those that were ejected or fail their
    /// probes are tried. A candidate's requests fail instead, at once: that is what the judge has to see, and the way
    /// back to the baseline is short.
    var isLastResort = false
    /// Whether connections to its servers carry more than one request.
    var reusesConnections = true
    /// The place at which the next search starts, so that equals take turns.
    var searchStart = 0

    /// Least outstanding requests among those that are up. Where none is: for the last resort those that were ejected,
    /// then those that fail their probes; then one that refused, since asking it again costs nothing; none where all
    /// hang.
    /// - Parameter tried: are left out.
    mutating func pick(_ now: Int64, besides tried: TriedServers) -> UnsafeMutablePointer<Server>? {
        var best: UnsafeMutablePointer<Server>?
        var rank = ServerHealth.State.unresolved
        searchStart = searchStart + 1 < count ? searchStart + 1 : 0
        for i in 0..<count {
            let at = searchStart + i < count ? searchStart + i : searchStart + i - count
            let server = servers[at]
            guard !tried.contains(server) else { continue }
            let state = server.pointee.health.state(now)
            switch state {
            case .up, .refusing: break
            case .ejected, .unhealthy: guard isLastResort else { continue }
            case .hanging, .unresolved: continue
            }
            guard let other = best, state >= rank else {
                best = server
                rank = state
                continue
            }
            guard state == rank else { continue }
            let isBetter =
                state == .refusing
                ? server.pointee.health.downUntil < other.pointee.health.downUntil
                : server.pointee.outstanding < other.pointee.outstanding
            if isBetter { best = server }
        }
        return best
    }

    /// Says whether `pick` would find a server for a new request.
    func canServe(_ now: Int64) -> Bool {
        (0..<count).contains { place in
            switch servers[place].pointee.health.state(now) {
            case .up, .refusing: true
            case .ejected, .unhealthy: isLastResort
            case .hanging, .unresolved: false
            }
        }
    }

    /// Servers that are ejected now.
    func ejected(_ now: Int64) -> Int {
        (0..<count).reduce(0) { $0 + (servers[$1].pointee.health.ejectedUntil > now ? 1 : 0) }
    }

    func contains(_ server: UnsafeMutablePointer<Server>) -> Bool { (0..<count).contains { servers[$0] == server } }
}
