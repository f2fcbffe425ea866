/// The one-sided beta-binomial mixture of Howard, Ramdas, McAuliffe and Sekhon (Time-uniform, nonparametric,
/// nonasymptotic confidence sequences, 2021): one e-process that averages over all rates beyond a bound, without
/// restarts. It proves that a rate is within its bound and, with a bound of ½, tests discordant pairs.
public struct BetaBinomialMixture: Hashable, Codable, Sendable {
    /// The side of the bound on which the null hypothesis lies.
    public enum Null: String, Codable, Sendable {
        /// The rate is at most the bound; evidence grows with hits.
        case atMost
        /// The rate is at least the bound; evidence grows with misses.
        case atLeast
    }

    /// p0, the bound of the rate, 0 < p0 < 1.
    public let bound: Double
    public let null: Null
    /// The parameters of the mixing distribution over the rates beyond the bound: Beta(a, b), truncated at the bound.
    public let a: Double
    public let b: Double
    /// The logarithm of the mixing distribution's normalizing constant.
    private let prior: Double
    /// Hits and misses so far, each multiplied by the `discount` of its stratum.
    public private(set) var hits = 0.0
    public private(set) var misses = 0.0
    /// ln E.
    public private(set) var logEvidence = 0.0

    /// Uses the mixing distribution Beta(a, b), truncated at the bound.
    public init(bound: Double, null: Null, a: Double, b: Double) {
        self.bound = bound
        self.null = null
        self.a = a
        self.b = b
        prior =
            logBeta(a, b)
            + (null == .atMost
                ? logRegularizedBeta(1 - bound, bound, b, a) : logRegularizedBeta(bound, 1 - bound, a, b))
    }

    /// Takes one stratum.
    /// - Parameter discount: η, the discount for clustered data: the stratum's likelihood is raised to this power,
    ///   which is the same as counting each request η times.
    public mutating func observe(_ tally: Tally, discount: Double = 1) {
        hits += discount * Double(tally.hits)
        misses += discount * Double(tally.trials - tally.hits)
        logEvidence = logEvidence(hits: hits, misses: misses)
    }

    /// The log evidence after S hits and F misses: ln { ∫ pˢ(1 − p)ᶠ dBeta(a, b) over the alternative, normalized }
    /// − S ln p0 − F ln(1 − p0).
    func logEvidence(hits s: Double, misses f: Double) -> Double {
        let q = 1 - bound
        let posterior =
            null == .atMost
            ? logRegularizedBeta(q, bound, b + f, a + s) : logRegularizedBeta(bound, q, a + s, b + f)
        return posterior + logBeta(a + s, b + f) - prior - s * ln(bound) - f * ln1p(-bound)
    }

    /// The number of further trials after which the evidence is expected to reach a threshold if hits occur at this
    /// rate; nil if it never does.
    public func trialsNeeded(logThreshold: Double, rate: Double, discount: Double = 1) -> Double? {
        if logEvidence >= logThreshold { return 0 }
        func evidence(_ n: Double) -> Double {
            logEvidence(hits: hits + discount * n * rate, misses: misses + discount * n * (1 - rate))
        }
        return leastCount(from: max(hits + misses, 1), reaching: logThreshold, evidence)
    }
}
