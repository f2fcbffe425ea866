import PolicyModel

/// A server's health as one loop knows it from every source, and the one result that follows from it: how it stands.
/// Pure: times are given, in monotonic nanoseconds, and nothing is called.
///
/// Three sources, each with its own consequence, so that no failure is counted twice:
/// - Connections that fail are a matter of seconds: a back-off that doubles from 100 ms to 2 s.
/// - Responses that fail, and connections on which none came, are counted for the ejection of outliers.
/// - Probes are counted by `ProbeCount`, once for the whole agent; here only their verdict arrives.
struct ServerHealth {
    /// Ordered: where several can be had, the lowest is taken.
    enum State: UInt8, Comparable {
        /// Can transition to any other.
        case up
        /// To `up` when its time is over.
        case ejected
        /// To `up` when probes say so.
        case unhealthy
        /// Refuses connections. To `up` when its back-off is over, and then to here again or not.
        case refusing
        /// Does not take connections in time. As `refusing`.
        case hanging
        /// To `up` when its name gets an address.
        case unresolved

        static func < (a: State, b: State) -> Bool { a.rawValue < b.rawValue }
    }

    /// The result of a request that the server had taken.
    enum RequestResult {
        case good
        /// 5xx.
        case serverError
        /// 502 to 504, or no whole answer.
        case gatewayFailure

        @inline(__always) init(status: Int) {
            self = status < 500 ? .good : (502...504).contains(status) ? .gatewayFailure : .serverError
        }
    }

    var isResolved = false
    /// The verdict of its probes.
    var isUnhealthy = false
    /// The server did not refuse the connection, it hung: trying it again costs a client its patience.
    private(set) var hangs = false
    /// Failed connections in a row.
    private(set) var failures: UInt16 = 0
    /// Failed responses in a row.
    private var errors: UInt16 = 0
    private var gatewayFailures: UInt16 = 0
    /// The length of the last ejection, in base times.
    private(set) var ejections: UInt16 = 0
    /// The time before which the server is not tried while another of its version can be.
    private(set) var downUntil: Int64 = 0
    private(set) var ejectedUntil: Int64 = 0
    /// The time at which it last sent anything.
    var lastHeard: Int64 = .min / 2

    static let firstBackoff: Int64 = 100_000_000
    static let longestBackoff: Int64 = 2_000_000_000
    /// A server that was heard of within this time is there: a connection that it did not take in time says that its
    /// backlog is full, not that it is gone.
    private static let freshness: Int64 = 2_000_000_000
    /// A server that is back takes one ejection off its count for each such time (Envoy's `interval`).
    static let forgiveness: Int64 = 10_000_000_000

    @inline(__always) func state(_ now: Int64) -> State {
        if !isResolved { return .unresolved }
        if downUntil > now { return hangs ? .hanging : .refusing }
        if isUnhealthy { return .unhealthy }
        return ejectedUntil > now ? .ejected : .up
    }

    /// Returns how the server is reported: a server whose connections failed stays so until one succeeds; one that was
    /// not tried for long is unknown, not bad.
    func reported(_ now: Int64) -> State {
        let state = state(now)
        guard isResolved, failures > 0, now <= downUntil + 5 * Self.longestBackoff else { return state }
        return max(state, hangs ? .hanging : .refusing)
    }

    @inline(__always) func isHeard(_ now: Int64) -> Bool { now - lastHeard < Self.freshness }

    // MARK: Connections

    /// - Parameter jitter: any number; a quarter of the back-off hangs on it, so that loops do not try together.
    mutating func connectFailed(_ now: Int64, hangs: Bool, jitter: UInt64) {
        if hangs, isHeard(now) { return }
        failures += failures < .max ? 1 : 0
        self.hangs = hangs
        let backoff = min(Self.firstBackoff << min(Int64(failures) - 1, 6), Self.longestBackoff)
        downUntil = now + backoff - Int64(jitter % UInt64(backoff / 4))
    }

    /// One request finds out whether it is back; the others need not wait with it.
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

    /// True: it is an outlier now, to be ejected where its version can spare it.
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

    /// Takes over an ejection that another loop decided.
    mutating func eject(until: Int64, ejections: UInt16) {
        ejectedUntil = max(ejectedUntil, until)
        self.ejections = max(self.ejections, ejections)
        errors = 0
        gatewayFailures = 0
    }
}

/// `OutlierDetection` as plain numbers.
struct OutlierRules {
    /// The failures in a row that make an outlier; 0: not counted.
    var errors: UInt16 = 0
    var gatewayFailures: UInt16 = 0
    /// Nanoseconds.
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

    /// Whether one more of so many servers may go, where `out` are out already. One always may.
    func spares(_ out: Int, of count: Int) -> Bool { out == 0 || (out + 1) * 100 <= percent * count }
}

/// Probes of one server in a row. Pure.
struct ProbeCount {
    /// The verdict; nil before the first probe ended.
    private(set) var isHealthy: Bool?
    private var run = 0

    /// - Returns: whether the verdict changed. The first probe decides by itself, and where it finds the server well
    ///   nothing changes: until then it was taken for well.
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
