import PolicyModel

/// A server's health as one loop knows it from three sources, and the state that follows from it. Pure: times are
/// arguments, in monotonic nanoseconds.
///
/// Each source has a consequence of its own, so that no failure is counted twice:
/// - A failed connection starts a back-off, which doubles from 100 ms to 2 s.
/// - A failed response, or a connection on which none came, counts toward ejection as an outlier.
/// - Probes are counted by `ProbeCount`, once for the whole agent; only their verdict arrives here.
struct ServerHealth {
    /// The state of a server. States are in the order of preference: a request goes to a server with the lowest.
    enum State: UInt8, Comparable {
        /// The server takes requests. Exits: all other states.
        case up
        /// The server failed requests repeatedly. Exit: `up` when the ejection is over.
        case ejected
        /// The server fails its health check. Exit: `up` when its probes succeed.
        case unhealthy
        /// The server refuses connections. Exit: `up` when its back-off is over, until the next connection fails.
        case refusing
        /// The server does not take connections in time. Exit: `up`, as from `refusing`.
        case hanging
        /// The server's name has no address. Exit: `up` when it gets one.
        case unresolved

        static func < (a: State, b: State) -> Bool { a.rawValue < b.rawValue }
    }

    /// The result of a request that was sent to the server.
    enum RequestResult {
        case good
        /// A 5xx other than 502 to 504.
        case serverError
        /// A 502 to 504, or no complete response.
        case gatewayFailure

        @inline(__always) init(status: Int) {
            self = status < 500 ? .good : (502...504).contains(status) ? .gatewayFailure : .serverError
        }
    }

    var isResolved = false
    /// True if the server fails its health check.
    var isUnhealthy = false
    /// True if the last connection was not refused but timed out. Trying such a server again would keep a client
    /// waiting.
    private(set) var hangs = false
    /// The number of failed connections in a row.
    private(set) var failures: UInt16 = 0
    /// The number of failed responses in a row, and that of gateway failures.
    private var errors: UInt16 = 0
    private var gatewayFailures: UInt16 = 0
    /// The length of the last ejection, as a multiple of the base time.
    private(set) var ejections: UInt16 = 0
    /// The end of the back-off after failed connections.
    private(set) var downUntil: Int64 = 0
    private(set) var ejectedUntil: Int64 = 0
    /// The time at which the server last sent anything.
    var lastHeard: Int64 = .min / 2

    static let firstBackoff: Int64 = 100_000_000
    static let longestBackoff: Int64 = 2_000_000_000
    /// The time in nanoseconds for which a server counts as alive after it sent anything. If a connection to such a
    /// server times out, its backlog is full.
    private static let freshness: Int64 = 2_000_000_000
    /// The time in nanoseconds after an ejection in which `ejections` decreases by one (Envoy's `interval`).
    static let forgiveness: Int64 = 10_000_000_000

    @inline(__always) func state(_ now: Int64) -> State {
        if !isResolved { return .unresolved }
        if downUntil > now { return hangs ? .hanging : .refusing }
        if isUnhealthy { return .unhealthy }
        return ejectedUntil > now ? .ejected : .up
    }

    /// The state that is reported. Unlike `state`, it stays `refusing` or `hanging` after the back-off until a
    /// connection succeeds, or until the server was not tried for so long that its state is unknown.
    func reported(_ now: Int64) -> State {
        let state = state(now)
        guard isResolved, failures > 0, now <= downUntil + 5 * Self.longestBackoff else { return state }
        return max(state, hangs ? .hanging : .refusing)
    }

    @inline(__always) func isHeard(_ now: Int64) -> Bool { now - lastHeard < Self.freshness }

    // MARK: Connections

    /// Records a failed connection.
    /// - Parameters:
    ///   - hangs: true if it timed out.
    ///   - jitter: any number. It shortens the back-off by up to a quarter, so that loops do not try together.
    mutating func connectFailed(_ now: Int64, hangs: Bool, jitter: UInt64) {
        if hangs, isHeard(now) { return }
        failures += failures < .max ? 1 : 0
        self.hangs = hangs
        let backoff = min(Self.firstBackoff << min(Int64(failures) - 1, 6), Self.longestBackoff)
        downUntil = now + backoff - Int64(jitter % UInt64(backoff / 4))
    }

    /// Starts a trial of a server whose connections failed: one request connects to it, and others are sent elsewhere
    /// until the deadline.
    mutating func isTried(until deadline: Int64) {
        if failures > 0 { downUntil = max(downUntil, deadline) }
    }

    @inline(__always) mutating func connected() {
        guard failures > 0 else { return }
        failures = 0
        downUntil = 0
        hangs = false
    }

    // MARK: Outliers

    /// Records the result of a request.
    /// - Returns: true if the server is an outlier now, to be ejected if its version can spare it.
    mutating func record(_ result: RequestResult, _ rules: OutlierRules, _ now: Int64) -> Bool {
        switch result {
        case .good:
            errors = 0
            gatewayFailures = 0
            return false
        case .serverError:
            errors += errors < .max ? 1 : 0
            gatewayFailures = 0
        case .gatewayFailure:
            errors += errors < .max ? 1 : 0
            gatewayFailures += gatewayFailures < .max ? 1 : 0
        }
        guard ejectedUntil <= now else { return false }
        return rules.errors > 0 && errors >= rules.errors
            || rules.gatewayFailures > 0 && gatewayFailures >= rules.gatewayFailures
    }

    mutating func eject(_ rules: OutlierRules, _ now: Int64) {
        let forgiven = ejections == 0 ? 0 : max(now - ejectedUntil, 0) / Self.forgiveness
        ejections = UInt16(clamping: Int64(ejections) - min(forgiven, Int64(ejections)) + 1)
        let (time, overflow) = rules.baseTime.multipliedReportingOverflow(by: Int64(ejections))
        ejectedUntil = now + (overflow ? rules.longestTime : min(time, rules.longestTime))
        errors = 0
        gatewayFailures = 0
    }

    /// Applies an ejection that another loop decided.
    mutating func eject(until: Int64, ejections: UInt16) {
        ejectedUntil = max(ejectedUntil, until)
        self.ejections = max(self.ejections, ejections)
        errors = 0
        gatewayFailures = 0
    }
}

/// The settings of `OutlierDetection` as plain numbers.
struct OutlierRules {
    /// The numbers of failures in a row that make an outlier; 0 if they do not count.
    var errors: UInt16 = 0
    var gatewayFailures: UInt16 = 0
    /// The length of the first ejection and the longest, in nanoseconds.
    var baseTime: Int64 = 0
    var longestTime: Int64 = 0
    var percent = 0

    init() {}

    init(_ rules: OutlierDetection) {
        errors = UInt16(clamping: rules.consecutive5xx)
        gatewayFailures = UInt16(clamping: rules.consecutiveGatewayFailure)
        baseTime = rules.baseEjectionTime.nanoseconds
        longestTime = max(rules.maxEjectionTime, rules.baseEjectionTime).nanoseconds
        percent = rules.maxEjectionPercent
    }

    @inline(__always) var isOn: Bool { errors | gatewayFailures != 0 }

    /// True if one more of `count` servers may be ejected while `out` are. One always may.
    func spares(_ out: Int, of count: Int) -> Bool { out == 0 || (out + 1) * 100 <= percent * count }
}

/// Counts the probes of one server in a row. Pure.
struct ProbeCount {
    /// The verdict; nil before the first probe ended.
    private(set) var isHealthy: Bool?
    private var run = 0

    /// Records a probe.
    /// - Returns: true if the verdict changed. The first probe decides alone; if it succeeds nothing changes, since
    ///   servers count as healthy before.
    mutating func ended(isGood: Bool, _ rules: HealthCheck) -> Bool {
        guard let known = isHealthy else {
            isHealthy = isGood
            return !isGood
        }
        guard isGood != known else {
            run = 0
            return false
        }
        run += 1
        guard run >= (isGood ? rules.healthyThreshold : rules.unhealthyThreshold) else { return false }
        isHealthy = isGood
        run = 0
        return true
    }
}
