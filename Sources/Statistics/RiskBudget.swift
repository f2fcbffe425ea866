/// The division of the risk of a false revert among the checks: process i reverts when E_i ≥ 1/(w_i α). By the union
/// bound the risk over the whole rollout is then at most Σ w_i α ≤ α, however the processes depend on each other.
public struct RiskBudget: Hashable, Codable, Sendable {
    public enum Source: String, CaseIterable, Codable, Sendable {
        case errors
        case clientErrors
        case latency
        case quality
    }

    /// α, the risk of a false revert over a whole rollout, 0 < α < 1.
    public let alpha: Double

    public init(alpha: Double) {
        precondition(alpha > 0 && alpha < 1, "a risk lies between 0 and 1")
        self.alpha = alpha
    }

    /// The weight w_i of each check. Errors get half of the budget, latency and quality a quarter each, rescaled to the
    /// sources that occur. Client errors get an eighth, which is taken from errors. Within one source the checks divide
    /// it by their shares. The weights sum to 1, unless there are no checks.
    public func weights(_ checks: [(source: Source, share: Double)]) -> [Double] {
        let sources = Set(checks.map(\.source))
        func portion(_ source: Source) -> Double {
            switch source {
            case .errors: sources.contains(.clientErrors) ? 0.375 : 0.5
            case .clientErrors: 0.125
            case .latency, .quality: 0.25
            }
        }
        var shares: [Source: Double] = [:]
        for check in checks { shares[check.source, default: 0] += check.share }
        // Summed in the order of the cases: a sum in dictionary order would differ from run to run in its last bit.
        let present = Source.allCases.filter { shares[$0] != nil }.reduce(0) { $0 + portion($1) }
        return checks.map { portion($0.source) / present * $0.share / shares[$0.source]! }
    }

    /// ln 1/(w α), the log evidence at which a check with this weight reverts.
    public func logThreshold(weight: Double) -> Double { -ln(weight * alpha) }
}
