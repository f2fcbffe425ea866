import PolicyModel
import Vocabulary

/// All checks of a rollout at one look, and what the look itself was worth. The only thing that the state machine
/// learns of the world.
public struct Evaluation: Hashable, Codable, Sendable {
    /// The results in the order of the policies and their checks.
    public var results: [CheckResult]
    public var baseline: ArmCondition
    public var candidate: ArmCondition
    /// Judged requests came in lately: time may count as held.
    public var isDataFlowing: Bool
    /// Why the agent cannot trust its own view now; nil where it can.
    public var blindness: String?
    /// Items of the rollout's recording that its evidence rests on; nil where the judge keeps none.
    public var items: Int?

    public init(
        results: [CheckResult] = [], baseline: ArmCondition = ArmCondition(), candidate: ArmCondition = ArmCondition(),
        isDataFlowing: Bool = true, blindness: String? = nil
    ) {
        self.results = results
        self.baseline = baseline
        self.candidate = candidate
        self.isDataFlowing = isDataFlowing
        self.blindness = blindness
    }

    /// Over the enforced checks: fail before error before inconclusive before noData before pass. A check that only
    /// promotion waits for does not make it noData.
    public var verdict: Verdict {
        let enforced = results.filter(\.isEnforced)
        for verdict in [Verdict.fail, .error, .inconclusive] where enforced.contains(where: { $0.verdict == verdict }) {
            return verdict
        }
        return enforced.contains { $0.verdict == .noData && !$0.waitsOnlyForPromotion } ? .noData : .pass
    }

    /// Enforced checks with this verdict.
    public func enforced(_ verdict: Verdict) -> [CheckResult] {
        results.filter { $0.isEnforced && $0.verdict == verdict }
    }

    /// Enforced checks that promotion still waits for.
    public var unproven: [CheckResult] { results.filter { $0.isEnforced && !$0.proven } }
}

/// How an arm does at this moment, whatever the policies say.
public struct ArmCondition: Hashable, Codable, Sendable {
    public var servers: Int
    public var reachable: Int
    /// Judged requests since the rollout began.
    public var requests: UInt64
    public var errors: UInt64
    /// Judged requests and errors of the last `recentSpan`.
    public var recentRequests: UInt64
    public var recentErrors: UInt64

    /// What counts as recent.
    public static let recentSpan: Duration = .seconds(30)
    /// Fewer recent requests say nothing of an arm's condition.
    static let fewestRecent: UInt64 = 10

    public init(
        servers: Int = 1, reachable: Int = 1, requests: UInt64 = 0, errors: UInt64 = 0, recentRequests: UInt64 = 0,
        recentErrors: UInt64 = 0
    ) {
        self.servers = servers
        self.reachable = reachable
        self.requests = requests
        self.errors = errors
        self.recentRequests = recentRequests
        self.recentErrors = recentErrors
    }

    /// Nil where there are too few recent requests to tell.
    public var recentErrorRate: Double? {
        recentRequests < Self.fewestRecent ? nil : Double(recentErrors) / Double(recentRequests)
    }

    /// No server takes connections, or at least half of what it got lately failed.
    public var isDown: Bool {
        (servers > 0 && reachable == 0) || (recentErrorRate.map { $0 >= 0.5 } ?? false)
    }

    /// The reason for which the arm is taken to be down, in words.
    public var downReason: String {
        guard servers > 0 && reachable == 0 else {
            return "\(recentErrors) of its last \(recentRequests) requests failed"
        }
        return servers == 1 ? "its server cannot be reached" : "none of its \(servers) servers can be reached"
    }

    /// Whether this arm is no better a place for traffic than the other: both are down, and this one fails as much.
    public func isNoBetter(than other: ArmCondition) -> Bool {
        guard isDown else { return false }
        guard other.isDown else { return true }
        return failing >= other.failing
    }

    /// The share of a next request's chances to fail: certain where no server takes connections.
    private var failing: Double { servers > 0 && reachable == 0 ? 1 : recentErrorRate ?? 1 }
}
