/// The likelihood ratio of one arm's rate against a ceiling.
public enum RateCeiling {
    /// The probability whose odds are `factor` times those of `p`.
    public static func shifted(_ p: Double, oddsBy factor: Double) -> Double {
        factor * p / (1 - p + factor * p)
    }

    /// The log likelihood ratio ℓ = S ln(p/p0) + F ln((1 − p)/(1 − p0)), where p has `factor` times the odds of p0. The
    /// mean of e^ℓ is at most 1 for every rate ≤ p0 if factor > 1, and for every rate ≥ p0 if factor < 1.
    public static func logLikelihoodRatio(_ tally: Tally, oddsBy factor: Double, against p0: Double) -> Double {
        // p/p0 = factor · (1 − p)/(1 − p0), so both logarithms follow from one.
        let logMiss = -ln1p((factor - 1) * p0)
        return Double(tally.hits) * (ln(factor) + logMiss) + Double(tally.trials - tally.hits) * logMiss
    }
}
