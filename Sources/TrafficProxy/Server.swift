import CLinuxEngine
import PolicyModel

/// Identifies a server to a loop. A change of its rules makes it a different server, so failures that were counted
/// under the old rules do not count against it.
struct ServerKey: Hashable, Sendable {
    var endpoint: Endpoint
    var healthCheck: HealthCheck?
    var outliers: OutlierDetection?
    var upstream = UpstreamRules()
}

/// One upstream server as one loop knows it. The record lives as long as a table names it or a request is under way to
/// it.
struct Server {
    var address = ce_address()
    /// The server's name in the plan, for logs.
    var name = InlineText()
    /// A number that grows with each change of the address. Connections to an earlier address are not kept.
    var addressVersion: UInt32 = 0
    var health = ServerHealth()
    var rules = OutlierRules()
    /// True if its connections carry more than one request.
    var reusesConnections = true
    /// The number of this loop's tables that name it.
    var tables = 0
    /// The number of requests that are under way to the server.
    var outstanding = 0
    /// The kept-alive connections, the last used first.
    var idle: UnsafeMutablePointer<UpstreamRecord>?
    var idleCount = 0
}

/// The servers that one request has failed to connect to and is not sent to again.
struct TriedServers {
    /// The addresses of the servers' records; 0 for none. Three are enough, since a request has four attempts and no
    /// attempt follows the last.
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
    /// The response field `x-canary-version: NAME` with its line end.
    var versionLine: Bytes
    /// The version's name.
    var name: Bytes {
        let around = "x-canary-version: ".utf8.count
        return Bytes(start: versionLine.start + around, count: max(versionLine.count - around - 2, 0))
    }
    /// True for the baseline, whose requests have nowhere else to go: if no server is up, servers that are ejected or
    /// fail their health checks are tried. A candidate's requests fail at once instead, so that the judge sees it and
    /// the rollout is reverted.
    var isLastResort = false
    /// True if connections to its servers carry more than one request.
    var reusesConnections = true
    /// The index at which the last search started. Each search starts one further, so that equally loaded servers take
    /// turns.
    var searchStart = 0

    /// Picks the server for a request: the one with the fewest outstanding requests among those that are up. If none is
    /// up, the baseline's ejected servers come next, then those that fail their health checks. Then a server that
    /// refused connections is picked, since trying it again costs little.
    /// - Parameter tried: servers that are left out.
    /// - Returns: nil if all other servers hang or have no address.
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

    /// True if `pick` would find a server for a new request.
    func canServe(_ now: Int64) -> Bool {
        (0..<count).contains { place in
            switch servers[place].pointee.health.state(now) {
            case .up, .refusing: true
            case .ejected, .unhealthy: isLastResort
            case .hanging, .unresolved: false
            }
        }
    }

    /// The number of servers that are ejected now.
    func ejected(_ now: Int64) -> Int {
        (0..<count).reduce(0) { $0 + (servers[$1].pointee.health.ejectedUntil > now ? 1 : 0) }
    }

    func contains(_ server: UnsafeMutablePointer<Server>) -> Bool { (0..<count).contains { servers[$0] == server } }
}
