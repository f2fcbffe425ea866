/// An upper bound on the number of requests that failed on the candidate and would not have failed on the baseline. It
/// may be read at any time: over a whole rollout it is too low with a probability of at most α.
///
/// A request that would fail on the baseline goes to the baseline with probability 1 − π, and fails there, or with
/// probability π to the candidate. For β > 0 and a = ln((1 − π e^−β)/(1 − π)), the mean of e^(a·[goes to the baseline] −
/// β·[goes to the candidate]) is (1 − π) e^a + π e^−β = 1, also if π changes between requests. So e^(Σ a − β M) is a
/// nonnegative martingale that starts at 1, where the sum is over the baseline's failures and M counts those requests on
/// the candidate. By Ville's inequality M ≥ (Σ a − ln 1/α)/β at all times, except with probability α. With several β at
/// once, each has its part of α. The bound is the number of the candidate's failures less the largest of these.
///
/// This needs only that requests are assigned at random, one by one, and nothing of how failures come. If a server fails
/// whole batches of requests, a baseline's failure says less: as elsewhere, ln 1/α is divided by the discount η.
public struct ExcessFailures: Hashable, Codable, Sendable {
    /// The values of β. A smaller one is better for more failures.
    private static let exponents = [2.4, 1.2, 0.6, 0.3, 0.15, 0.07, 0.03, 0.014, 0.007, 0.003]

    /// The number of the candidate's requests that failed.
    public private(set) var failures = 0.0
    /// An estimate, without bias, of how many of the candidate's requests would have failed on the baseline.
    public private(set) var expected = 0.0
    /// Σ a for each of `exponents`.
    private var sums = [Double](repeating: 0, count: exponents.count)

    public init() {}

    public mutating func observe(candidate failures: Int) {
        self.failures += Double(failures)
    }

    /// - Parameter share: π, the candidate's share of the requests from which these failures come. With 0 or 1 there is
    ///   nothing to compare.
    public mutating func observe(baseline failures: Int, share: Double) {
        guard failures > 0, share > 0, share < 1, sums.count == Self.exponents.count else { return }
        expected += Double(failures) * share / (1 - share)
        for (i, exponent) in Self.exponents.enumerated() {
            sums[i] += Double(failures) * ln((1 - share * exp(-exponent)) / (1 - share))
        }
    }

    /// The upper bound, at most `failures`; below 0 if the candidate failed less often.
    /// - Parameters:
    ///   - alpha: the probability that the bound is ever too low.
    ///   - discount: η, 0 < η ≤ 1.
    public func upperBound(alpha: Double, discount: Double) -> Double {
        let price = -ln(alpha / Double(Self.exponents.count)) / discount
        let least = zip(Self.exponents, sums).map { ($1 - price) / $0 }.max() ?? 0
        return failures - max(least, 0)
    }
}
