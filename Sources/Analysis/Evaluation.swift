import PolicyModel
import Vocabulary

/// The results of all checks of a rollout at one moment, the condition of both arms, and whether the data can be relied
/// on. The state machine decides on nothing else.
public struct Evaluation: Hashable, Codable, Sendable {
    /// The results in the order of the policies and their checks.
    public var results: [CheckResult]
    public var baseline: ArmCondition
    public var candidate: ArmCondition
    /// True if judged requests arrived recently. Only then does time count toward a step's hold.
    public var isDataFlowing: Bool
    /// The reason why the agent cannot rely on its own observations now; nil if it can.
    public var blindness: String?
    /// The number of items of the rollout's recording behind its evidence; nil if the judge keeps no recording.
    public var items: Int?
    /// The arguments of the policies; nil if they have none.
    public var arguments: [ParameterizedPolicy]?

    /// A policy with the values of its arguments by which results were found.
    public struct ParameterizedPolicy: Hashable, Codable, Sendable {
        public var policy: String
        public var arguments: [PolicyArgument]
    }

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

    /// Records the arguments of the policies by which the results were found.
    public mutating func recordArguments(of policies: [Policy]) {
        let known = policies.filter { !$0.arguments.isEmpty }
        guard !known.isEmpty else { return }
        arguments = known.map { ParameterizedPolicy(policy: $0.name, arguments: $0.arguments) }
    }

    /// The most severe verdict of the required checks, in the order fail, error, inconclusive, noData, pass. The noData
    /// of a check that only the promotion waits for does not count.
    public var verdict: Verdict { verdict(accepting: []) }

    /// The upper bound on the candidate's failures beyond the baseline's; nil if the service limits no harm.
    public var mostExcessFailures: Double? { results.lazy.compactMap(\.mostExcessFailures).first }

    /// The most severe verdict as in `verdict`, without failures that an operator has accepted.
    /// - Parameter accepted: the paths, `policy/check`, of checks whose failure does not count if their action is
    ///   `pause`.
    public func verdict(accepting accepted: [String]) -> Verdict {
        let required = results.filter {
            $0.isRequired && !($0.verdict == .fail && $0.action == .pause && accepted.contains($0.path))
        }
        for verdict in [Verdict.fail, .error, .inconclusive] where required.contains(where: { $0.verdict == verdict }) {
            return verdict
        }
        return required.contains { $0.verdict == .noData && !$0.waitsOnlyForPromotion } ? .noData : .pass
    }

    /// The required checks with a verdict.
    public func required(_ verdict: Verdict) -> [CheckResult] {
        results.filter { $0.isRequired && $0.verdict == verdict }
    }

    /// The first check that fails and whose failure has this consequence.
    public func failing(_ action: CheckAction) -> CheckResult? {
        results.first { $0.action == action && $0.verdict == .fail }
    }

    /// The required checks that the promotion still waits for.
    public var unproven: [CheckResult] { results.filter { $0.isRequired && !$0.proven } }

    /// True if every proof that is missing may be waived. Proofs of errors and of latency may be, because excess failures
    /// are counted. Quality is not counted, and checks on scraped data have no proof that could be waived.
    public var missesOnlyWaivableProofs: Bool {
        unproven.allSatisfy { $0.evidence != nil && !$0.waitsOnlyForPromotion }
    }
}

/// The condition of an arm at one moment, independent of any policy.
public struct ArmCondition: Hashable, Codable, Sendable {
    public var servers: Int
    public var reachable: Int
    /// Judged requests since the rollout began.
    public var requests: UInt64
    public var errors: UInt64
    /// Judged requests and errors of the last `recentSpan`.
    public var recentRequests: UInt64
    public var recentErrors: UInt64

    /// The length of the recent past.
    public static let recentSpan: Duration = .seconds(30)
    /// The fewest recent requests from which an error rate is computed.
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

    /// The share of errors among recent requests, 0 ... 1; nil if there are too few to tell.
    public var recentErrorRate: Double? {
        recentRequests < Self.fewestRecent ? nil : Double(recentErrors) / Double(recentRequests)
    }

    /// True if no server takes connections, or if at least half of the recent requests failed.
    public var isDown: Bool {
        (servers > 0 && reachable == 0) || (recentErrorRate.map { $0 >= 0.5 } ?? false)
    }

    /// The reason why the arm counts as down, as text.
    public var downReason: String {
        guard servers > 0 && reachable == 0 else {
            return "\(recentErrors) of its last \(recentRequests) requests failed"
        }
        return servers == 1 ? "its server cannot be reached" : "none of its \(servers) servers can be reached"
    }

    /// True if sending traffic to this arm instead of the other would not help: this one is down, and the other is up
    /// or fails no more than this one.
    public func isNoBetter(than other: ArmCondition) -> Bool {
        guard isDown else { return false }
        guard other.isDown else { return true }
        return failing >= other.failing
    }

    /// The probability that the next request fails: 1 if no server takes connections, or if the rate is unknown.
    private var failing: Double { servers > 0 && reachable == 0 ? 1 : recentErrorRate ?? 1 }
}
