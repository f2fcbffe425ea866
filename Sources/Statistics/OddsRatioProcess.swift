/// Delta: evidence against «the candidate's odds are at most `bound` times the baseline's» (a revert), as a bank of
/// `OddsRatio` bets.
public struct OddsRatioProcess: Hashable, Codable, Sendable {
    /// ψ0, > 0.
    public let bound: Double
    /// As multiples of the bound.
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

    /// Takes one stratum. One that is not informative changes nothing and is not counted: whether it is follows from
    /// its margins, which the test is conditional on, so leaving it out is not looking at outcomes. A service with
    /// few errors so pays for few restarts.
    public mutating func observe(_ stratum: Stratum, temper: Double = 1) {
        guard stratum.isInformative else { return }
        let values = OddsRatio.eValues(stratum, against: bound, alternatives)
        bank.observe(temper: temper) { values[$0] }
    }

    /// How many more requests of the candidate bring the evidence to a threshold; nil where it never gets there. In
    /// small strata a hit falls to the candidate like a coin that shows ψq/(ψq + 1 − q), which is reckoned with here.
    /// - Parameters:
    ///   - rate: the baseline's rate of hits.
    ///   - share: q, the candidate's share of the requests, 0 < q < 1.
    ///   - odds: the candidate's true odds as multiples of the baseline's.
    public func requestsNeeded(
        logThreshold: Double, rate: Double, share q: Double, odds truth: Double = 1, temper: Double = 1
    ) -> Double? {
        func coin(_ odds: Double) -> Double { odds * q / (odds * q + 1 - q) }
        let p = coin(truth)
        let null = coin(bound)
        let hitsByRequest = rate * (truth * q + 1 - q) / q
        let hits = bank.strataNeeded(logThreshold: logThreshold) { j in
            let bet = coin(bound * alternatives[j])
            return temper * (p * ln(bet / null) + (1 - p) * ln((1 - bet) / (1 - null)))
        }
        guard let hits else { return nil }
        return hits == 0 ? 0 : hitsByRequest > 0 ? hits / hitsByRequest : nil
    }
}
