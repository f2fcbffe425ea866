/// How the risk of a false revert is divided: revert when a process i reaches E_i ≥ 1/(w_i α). By the union bound the
/// risk over the whole rollout is then at most Σ w_i α ≤ α, however the processes depend on each other.
public struct RiskBudget: Hashable, Codable, Sendable {
    public enum Source: String, CaseIterable, Codable, Sendable {
        case errors
        case latency
        case quality
    }

    /// The risk of a whole rollout, 0 < α < 1.
    public let alpha: Double

    public init(alpha: Double) {
        precondition(alpha > 0 && alpha < 1, "a risk lies between 0 and 1")
        self.alpha = alpha
    }

    /// w_i for checks of these sources with these shares: half to errors, a quarter each to latency and quality,
    /// spread over the sources that are there; within one by share. Sums to 1 where there is a check.
    public func weights(_ checks: [(source: Source, share: Double)]) -> [Double] {
        func part(_ source: Source) -> Double {
            switch source {
            case .errors: 0.5
            case .latency, .quality: 0.25
            }
        }
        var shares: [Source: Double] = [:]
        for check in checks { shares[check.source, default: 0] += check.share }
        // In the order of the cases: a sum in a set's order would differ from run to run in its last bit.
        let present = Source.allCases.filter { shares[$0] != nil }.reduce(0) { $0 + part($1) }
        return checks.map { part($0.source) / present * $0.share / shares[$0.source]! }
    }

    /// ln 1/(w α): the evidence that reverts.
    public func logThreshold(weight: Double) -> Double { -ln(weight * alpha) }
}

/// Which of several hypotheses are refuted, by the e-BH procedure (Wang and Ramdas 2022), for a report: the false ones
/// among them are at most a share `alpha` on average. Not a rule for decisions.
public func refuted(logEvidence: [Double], alpha: Double) -> [Int] {
    let order = logEvidence.indices.sorted { logEvidence[$0] > logEvidence[$1] }
    let n = Double(logEvidence.count)
    let last = order.indices.last { logEvidence[order[$0]] >= ln(n / (alpha * Double($0 + 1))) }
    return last.map { Array(order[0...$0]) } ?? []
}
