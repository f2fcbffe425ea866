/// When a block of ticks is closed: a rule that looks at time and at the numbers of requests, never at outcomes.
public struct BlockRule: Hashable, Codable, Sendable {
    public var seconds: Int
    /// Of the candidate.
    public var requests: Int

    /// What the judge uses. In simulation an error rate of 1 % at 10 requests/s was found after 5,450 requests of the
    /// candidate with blocks of 30 s or 50 requests, after 1,290 with these.
    public static let standard = BlockRule(seconds: 300, requests: 500)

    /// A block ends after `seconds`, or as soon as it holds `requests` of the candidate.
    public init(seconds: Int, requests: Int) {
        self.seconds = seconds
        self.requests = requests
    }
}

/// `TwoNullsProcess` over blocks that are built from ticks: each of the two bets is made tick by tick, so that a tick's
/// cap holds inside the block and the split may change in the middle of it, and the smaller of the two products is
/// taken for the block.
///
/// The evidence may be looked at, and acted on, while a block is open. Let the null be of one kind within a block (the
/// odds are fine, or the rate is). Then what is shown, W · min(O, R) with W the wealth at the block's begin and O and R
/// the two products so far, is at most D = W · O or W · R, whichever kind it is: a supermartingale within the block,
/// which only drops, to W · min(O, R), at its end. So P(shown ever reaches 1/α) ≤ P(D ever does) ≤ α. Blocks need
/// not be short to be quick; they are short so that a regression that begins in the middle of one has little to win
/// back, and so that the kind of the null hardly ever changes within one.
public struct TwoNullsByBlock: Hashable, Codable, Sendable {
    public let rateBound: Double
    public let oddsBound: Double
    public let alternatives: [Double]
    public let rule: BlockRule
    private let logCap: Double
    private var bank: Bank
    /// ℓ of the odds and of the rate so far in the open block, by alternative.
    private var oddsSums: [Double]
    private var rateSums: [Double]
    private var seconds = 0
    private var requests = 0

    public init(
        rateBound: Double, oddsBound: Double, rule: BlockRule = .standard,
        alternatives: [Double] = Alternatives.worse, restarts: RestartWeights = .standard, cap: Double = 10
    ) {
        precondition(rateBound > 0 && rateBound < 1, "a rate's bound lies between 0 and 1")
        precondition(oddsBound > 0, "an odds ratio is positive")
        self.rateBound = rateBound
        self.oddsBound = oddsBound
        self.rule = rule
        self.alternatives = alternatives
        logCap = ln(cap)
        bank = Bank(BankSettings(alternatives: alternatives.count, restarts: restarts, cap: nil))
        oddsSums = [Double](repeating: 0, count: alternatives.count)
        rateSums = oddsSums
    }

    /// With the open block as it stands.
    public var logEvidence: Double {
        requests == 0 ? bank.logEvidence : bank.logEvidence(adding: { min(oddsSums[$0], rateSums[$0]) })
    }
    public var strata: Int { bank.strata }

    /// Takes one tick; one without requests in either arm adds its time alone.
    public mutating func observe(_ tick: Stratum, seconds length: Int = 1, temper: Double = 1) {
        seconds += length
        if tick.candidate.trials > 0 && tick.baseline.trials > 0 {
            requests += tick.candidate.trials
            for j in alternatives.indices {
                rateSums[j] += min(
                    temper
                        * RateCeiling.logLikelihoodRatio(tick.candidate, oddsBy: alternatives[j], against: rateBound),
                    logCap)
            }
            if tick.isInformative {
                let margins = Margins(tick)
                let logNull = margins.logNormalizer(oddsBound)
                for j in alternatives.indices {
                    oddsSums[j] += min(
                        temper
                            * margins.logLikelihoodRatio(
                                oddsBound * alternatives[j], against: oddsBound, logNull: logNull), logCap)
                }
            }
        }
        guard requests > 0 && (seconds >= rule.seconds || requests >= rule.requests) else { return }
        bank.observe { min(oddsSums[$0], rateSums[$0]) }
        for j in alternatives.indices {
            oddsSums[j] = 0
            rateSums[j] = 0
        }
        seconds = 0
        requests = 0
    }
}
