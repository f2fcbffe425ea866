/// Evidence against «the candidate's rate is at most `rateBound`, or its odds are at most `oddsBound` times the
/// baseline's»: it has to be beyond both at once.
///
/// One type for two rules. «Half as much again as the baseline, but never mind under .2 %»: the floor is the rate's
/// bound. «At most 1 %, unless the baseline is as bad»: the ceiling is the rate's bound, and the odds' bound is 1.
///
/// Inside a stratum each alternative bets the smaller of its two e-values, which is an e-value under either null. The
/// minimum of two finished processes is valid too, but useless: an outage of both arms would leave the ceiling's
/// wealth up for good. Strata have to be blocks (`BlockRule`), as in a small stratum the one bet or the other nearly
/// always loses a little.
public struct TwoNullsProcess: Hashable, Codable, Sendable {
    public let rateBound: Double
    public let oddsBound: Double
    public let alternatives: [Double]
    private var bank: Bank

    public init(
        rateBound: Double, oddsBound: Double, alternatives: [Double] = Alternatives.worse,
        restarts: RestartWeights = .standard, cap: Double? = 10
    ) {
        precondition(rateBound > 0 && rateBound < 1, "a rate's bound lies between 0 and 1")
        precondition(oddsBound > 0, "an odds ratio is positive")
        self.rateBound = rateBound
        self.oddsBound = oddsBound
        self.alternatives = alternatives
        bank = Bank(BankSettings(alternatives: alternatives.count, restarts: restarts, cap: cap))
    }

    public var logEvidence: Double { bank.logEvidence }
    public var strata: Int { bank.strata }

    /// Takes one block; one without requests in either arm changes nothing. A block without a hit counts: it says
    /// nothing of the odds, but it does of the rate, and leaving it out would be looking at outcomes.
    public mutating func observe(_ block: Stratum, temper: Double = 1) {
        guard block.candidate.trials > 0 && block.baseline.trials > 0 else { return }
        let logEValues = Self.logEValues(
            block, rateBound: rateBound, oddsBound: oddsBound, alternatives: alternatives)
        bank.observe(temper: temper) { exp(logEValues[$0]) }
    }

    static func logEValues(
        _ block: Stratum, rateBound: Double, oddsBound: Double, alternatives: [Double]
    ) -> [Double] {
        zip(alternatives, OddsRatio.eValues(block, against: oddsBound, alternatives)).map { factor, value in
            min(ln(value), RateCeiling.logLikelihoodRatio(block.candidate, oddsBy: factor, against: rateBound))
        }
    }
}
