/// The likelihood ratio of a rate against the bound of a ceiling.
public enum RateCeiling {
    /// The probability whose odds are `factor` times those of `p`.
    public static func shifted(_ p: Double, oddsBy factor: Double) -> Double {
        factor * p / (1 - p + factor * p)
    }

    /// S ln(p/p0) + F ln((1 − p)/(1 − p0)), p with odds `factor` times those of p0. e^ℓ is at most 1 on average for
    /// every rate ≤ p0 if factor > 1, for every rate ≥ p0 if factor < 1.
    public static func logLikelihoodRatio(_ tally: Tally, oddsBy factor: Double, against p0: Double) -> Double {
        // p/p0 = ψ(1 − p)/(1 − p0), so that both logarithms come from one.
        let logMiss = -ln1p((factor - 1) * p0)
        return Double(tally.hits) * (ln(factor) + logMiss) + Double(tally.trials - tally.hits) * logMiss
    }
}

/// Evidence against «the candidate's rate is at most `bound`» (a revert), as a bank.
public struct CeilingProcess: Hashable, Codable, Sendable {
    /// p0, 0 < p0 < 1.
    public let bound: Double
    /// Odds as multiples of those of the bound.
    public let alternatives: [Double]
    private var bank: Bank

    public init(
        bound: Double, alternatives: [Double] = Alternatives.worse, restarts: RestartWeights = .standard,
        cap: Double? = 10
    ) {
        precondition(bound > 0 && bound < 1, "a rate's bound lies between 0 and 1")
        self.bound = bound
        self.alternatives = alternatives
        bank = Bank(BankSettings(alternatives: alternatives.count, restarts: restarts, cap: cap))
    }

    public var logEvidence: Double { bank.logEvidence }
    public var strata: Int { bank.strata }

    /// Takes one stratum of the candidate; an empty one changes nothing.
    public mutating func observe(_ tally: Tally, temper: Double = 1) {
        guard tally.trials > 0 else { return }
        bank.observe(temper: temper) { [bound, alternatives] j in
            exp(RateCeiling.logLikelihoodRatio(tally, oddsBy: alternatives[j], against: bound))
        }
    }
}
