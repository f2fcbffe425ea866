/// Evidence for a revert: against the null hypothesis that the candidate's odds are at most `bound` times the
/// baseline's, as a bank of `OddsRatio` bets.
public struct OddsRatioProcess: Hashable, Codable, Sendable {
    /// ψ0 > 0, the bound of the odds ratio.
    public let bound: Double
    /// The odds ratios that are bet on, as multiples of the bound.
    public let alternatives: [Double]
    private var bank: Bank

    public init(
        bound: Double, alternatives: [Double] = Alternatives.worse, restarts: RestartWeights = .standard,
        cap: Double? = 10
    ) {
        precondition(bound > 0, "an odds ratio is positive")
        self.bound = bound
        self.alternatives = alternatives
        bank = Bank(BankSettings(alternatives: alternatives.count, restarts: restarts, cap: cap))
    }

    public var logEvidence: Double { bank.logEvidence }
    public var strata: Int { bank.strata }

    /// Takes one stratum. A stratum that is not informative changes nothing and is not counted. The margins alone, on
    /// which the test is conditional, decide whether a stratum is informative, so skipping one does not select by
    /// outcome. This way a service with few errors pays for few restarts.
    public mutating func observe(_ stratum: Stratum, discount: Double = 1) {
        guard stratum.isInformative else { return }
        let values = OddsRatio.eValues(stratum, against: bound, alternatives)
        bank.observe(discount: discount) { values[$0] }
    }

    /// The expected number of further requests of the candidate until the evidence reaches a threshold; nil if it never
    /// does. In small strata a hit belongs to the candidate with probability ψq/(ψq + 1 − q), which is what this
    /// estimate assumes.
    /// - Parameters:
    ///   - rate: the baseline's rate of hits.
    ///   - share: q, the candidate's share of the requests, 0 < q < 1.
    ///   - odds: the candidate's true odds as multiples of the baseline's.
    public func requestsNeeded(
        logThreshold: Double, rate: Double, share q: Double, odds truth: Double = 1, discount: Double = 1
    ) -> Double? {
        func candidateShareOfHits(_ odds: Double) -> Double { odds * q / (odds * q + 1 - q) }
        let p = candidateShareOfHits(truth)
        let null = candidateShareOfHits(bound)
        let hitsPerRequest = rate * (truth * q + 1 - q) / q
        let hits = bank.strataNeeded(logThreshold: logThreshold) { j in
            let bet = candidateShareOfHits(bound * alternatives[j])
            return discount * (p * ln(bet / null) + (1 - p) * ln((1 - bet) / (1 - null)))
        }
        guard let hits else { return nil }
        return hits == 0 ? 0 : hitsPerRequest > 0 ? hits / hitsPerRequest : nil
    }
}
