/// The one-sided beta-binomial mixture of Howard, Ramdas, McAuliffe and Sekhon (Time-uniform, nonparametric,
/// nonasymptotic confidence sequences, 2021): one process over all rates beyond a bound, without restarts. It is what
/// a bound is shown by, and the test of discordant pairs at ½.
public struct BetaBinomialMixture: Hashable, Codable, Sendable {
    /// Which rates are the null.
    public enum Null: String, Codable, Sendable {
        /// The rate is at most the bound; evidence grows with hits.
        case atMost
        /// The rate is at least the bound; evidence grows with misses.
        case atLeast
    }

    public let bound: Double
    public let null: Null
    /// The law that the rates beyond the bound are mixed by: Beta(a, b), cut off at the bound.
    public let a: Double
    public let b: Double
    /// ln of the law's mass before it was cut off and normalised.
    private let prior: Double
    /// Hits and misses so far, tempered.
    public private(set) var hits = 0.0
    public private(set) var misses = 0.0
    /// ln E.
    public private(set) var logEvidence = 0.0

    /// - Parameters:
    ///   - bound: p0, 0 < p0 < 1.
    ///   - trials: the number of trials at which the bound is to be tightest.
    ///   - alpha: the level that it is tuned for; valid at every level.
    public init(bound p0: Double, null: Null = .atMost, tightestAt trials: Double, alpha: Double) {
        precondition(p0 > 0 && p0 < 1, "a rate's bound lies between 0 and 1")
        let variance = p0 * (1 - p0)
        let spread = 2 * ln(1 / (2 * alpha))
        let rho = trials * variance / (spread + ln1p(spread))
        let r = max(rho - variance, 1e-3 * variance)
        self.init(bound: p0, null: null, a: r / (1 - p0), b: r / p0)
    }

    /// With a mixing law of one's own: Beta(a, b) for the rate's distribution, cut off at the bound.
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

    /// - Parameter temper: η; the likelihood of the stratum is raised to it, which is counting η of each request.
    public mutating func observe(_ tally: Tally, temper: Double = 1) {
        hits += temper * Double(tally.hits)
        misses += temper * Double(tally.trials - tally.hits)
        logEvidence = logEvidence(hits: hits, misses: misses)
    }

    /// ln { ∫ pˢ(1 − p)ᶠ dBeta(a, b) over the alternative, normalised } − S ln p0 − F ln(1 − p0).
    func logEvidence(hits s: Double, misses f: Double) -> Double {
        let q = 1 - bound
        let posterior =
            null == .atMost
            ? logRegularizedBeta(q, bound, b + f, a + s) : logRegularizedBeta(bound, q, a + s, b + f)
        return posterior + logBeta(a + s, b + f) - prior - s * ln(bound) - f * ln1p(-bound)
    }

    /// How many more trials bring the evidence to a threshold at this rate of hits; nil where it never gets there.
    public func trialsNeeded(logThreshold: Double, rate: Double, temper: Double = 1) -> Double? {
        if logEvidence >= logThreshold { return 0 }
        func evidence(_ n: Double) -> Double {
            logEvidence(hits: hits + temper * n * rate, misses: misses + temper * n * (1 - rate))
        }
        return leastCount(from: max(hits + misses, 1), reaching: logThreshold, evidence)
    }
}
