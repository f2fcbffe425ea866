@testable import Statistics

/// Evidence against the null hypothesis that a rate is at most `bound`: the simplest process on a `Bank`.
struct CeilingProcess {
    private let bound: Double
    private var bank: Bank

    init(bound: Double, restarts: RestartWeights = .standard, cap: Double? = 10) {
        self.bound = bound
        bank = Bank(BankSettings(alternatives: Alternatives.worse.count, restarts: restarts, cap: cap))
    }

    var logEvidence: Double { bank.logEvidence }

    mutating func observe(_ tally: Tally) {
        bank.observe { [bound] j in
            exp(RateCeiling.logLikelihoodRatio(tally, oddsBy: Alternatives.worse[j], against: bound))
        }
    }
}
