/// When something ends or begins: a rule that looks at time and at the numbers of requests, never at outcomes.
public struct BlockRule: Hashable, Codable, Sendable {
    public var seconds: Int
    /// Of the candidate.
    public var requests: Int

    /// After `seconds` in which the candidate had a request, or as soon as it had `requests`.
    public init(seconds: Int, requests: Int) {
        self.seconds = seconds
        self.requests = requests
    }

    func isDue(_ seconds: Int, _ requests: Int) -> Bool {
        requests > 0 && (seconds >= self.seconds || requests >= self.requests)
    }

    /// Between two restarts.
    public static let restart = BlockRule(seconds: 300, requests: 1000)

    /// A block. The smaller of two bets loses about half a standard deviation of their difference in each block, so that
    /// a small excess shows in long ones alone: they are as long as it takes to see 40 hits at the bound. Within an
    /// hour the kind of the null is taken to stay what it is.
    public static func block(rateBound: Double) -> BlockRule {
        BlockRule(seconds: 3600, requests: max(1000, Int(min(40 / rateBound, 1e6))))
    }
}

/// Evidence against «the candidate's rate is at most `rateBound`, or its odds are at most `oddsBound` times the
/// baseline's», as `TwoNullsProcess`, over blocks that are built from ticks.
///
/// In a block two gamblers begin with the same wealth. The one's e-process O bets tick by tick against the odds, the
/// other's R against the rate, each on all alternatives at once; what counts is the smaller of the two, and both begin
/// the next block with it, spread over the alternatives as each has learnt. Ticks' caps hold inside a block, the split
/// may change in the middle of it, and a restart may bring both gamblers the same fresh wealth. That they are two
/// mixtures, and not paired alternative by alternative, lets each find its own: a candidate that fails 5 % has fifty
/// times the baseline's odds, and 25 times a floor of .2 %.
///
/// The evidence may be looked at, and acted on, while a block is open. Let the null be of one kind within a block (the
/// odds are fine, or the rate is). Then what is shown, min(O, R) and what is not yet at stake, is at most D = O or R and
/// the rest, whichever kind it is: a supermartingale within the block, which only drops, to what is shown, at its end.
/// So P(shown ever reaches 1/α) ≤ P(D ever does) ≤ α.
///
/// The kind would change within a block when a candidate that is under the rate's bound, but not under the odds', meets
/// an outage of both arms. So in a tick in which the baseline mostly fails, unlike before, R may lose but wins nothing,
/// which is always fair.
public struct TwoNullsByBlock: Hashable, Codable, Sendable {
    public let rateBound: Double
    public let oddsBound: Double
    public let alternatives: [Double]
    public let restarts: RestartWeights
    public let rule: BlockRule
    public let restart: BlockRule
    private let logCap: Double
    /// ln of the wealth by alternative, of the gambler on the odds and of that on the rate; in blocks of one length.
    private var odds: [Double]
    private var rate: [Double]
    /// Seconds and requests since the block and since the last restart began.
    private var seconds = 0
    private var requests = 0
    private var secondsSinceRestart = 0
    private var requestsSinceRestart = 0
    /// Restarts so far, and Σ of their weights.
    public private(set) var begins = 0
    private var spent = 0.0
    /// The baseline so far.
    private var usual = Tally()
    public private(set) var logEvidence = 0.0

    public init(
        rateBound: Double, oddsBound: Double, rule: BlockRule? = nil, restart: BlockRule = .restart,
        alternatives: [Double] = Alternatives.worse, restarts: RestartWeights = .standard, cap: Double = 10
    ) {
        precondition(rateBound > 0 && rateBound < 1, "a rate's bound lies between 0 and 1")
        precondition(oddsBound > 0, "an odds ratio is positive")
        self.rateBound = rateBound
        self.oddsBound = oddsBound
        self.alternatives = alternatives
        self.restarts = restarts
        self.rule = rule ?? .block(rateBound: rateBound)
        self.restart = restart
        logCap = ln(cap)
        odds = [Double](repeating: Self.ruin, count: alternatives.count)
        rate = odds
    }

    /// Ruin would be −∞, which JSON cannot hold; e^−700 is as lost.
    private static let ruin = -700.0
    /// A tick with at least so many hits of the baseline's, …
    static let outageHits = 3
    /// … in at least this share of its requests, …
    static let outageShare = 0.2
    /// … and so many times as often as before, is no tick in which the rate says anything against the candidate.
    static let outageFactor = 3.0

    /// Takes one tick; one without requests in either arm adds its time alone.
    public mutating func observe(_ tick: Stratum, seconds length: Int = 1, temper: Double = 1) {
        seconds += length
        secondsSinceRestart += length
        if tick.candidate.trials > 0 && tick.baseline.trials > 0 {
            if begins == 0 || restart.isDue(secondsSinceRestart, requestsSinceRestart) { begin() }
            requests += tick.candidate.trials
            requestsSinceRestart += tick.candidate.trials
            bet(tick, temper: temper)
            show()
        }
        if rule.isDue(seconds, requests) { end() }
    }

    private mutating func begin() {
        begins += 1
        secondsSinceRestart = 0
        requestsSinceRestart = 0
        let weight = restarts.weight(begins)
        guard weight > 0 else { return }
        spent += weight
        let fresh = ln(weight / Double(alternatives.count))
        for j in alternatives.indices {
            odds[j] = logAddExp(odds[j], fresh)
            rate[j] = logAddExp(rate[j], fresh)
        }
    }

    private mutating func bet(_ tick: Stratum, temper: Double) {
        let most = isOutage(tick.baseline) ? 0 : logCap
        for j in alternatives.indices {
            let ratio = RateCeiling.logLikelihoodRatio(tick.candidate, oddsBy: alternatives[j], against: rateBound)
            rate[j] = max(rate[j] + min(temper * ratio, most), Self.ruin)
        }
        guard tick.isInformative else { return }
        let values = OddsRatio.eValues(tick, against: oddsBound, alternatives)
        for j in alternatives.indices {
            odds[j] = max(odds[j] + min(temper * ln(values[j]), logCap), Self.ruin)
        }
    }

    private mutating func isOutage(_ baseline: Tally) -> Bool {
        let expected = (Double(usual.hits) + 0.5) / (Double(usual.trials) + 1)
        usual += baseline
        let rate = Double(baseline.hits) / Double(baseline.trials)
        return baseline.hits >= Self.outageHits && rate >= max(Self.outageShare, Self.outageFactor * expected)
    }

    private mutating func show() {
        let atStake = min(logSumExp(odds), logSumExp(rate))
        // Rounding leaves a few 1e-17 of the rest: as good as none.
        let rest = 1 - spent
        logEvidence = rest > 1e-15 ? logAddExp(atStake, ln(rest)) : atStake
    }

    private mutating func end() {
        let o = logSumExp(odds)
        let r = logSumExp(rate)
        for j in alternatives.indices {
            odds[j] = max(odds[j] + min(r - o, 0), Self.ruin)
            rate[j] = max(rate[j] + min(o - r, 0), Self.ruin)
        }
        seconds = 0
        requests = 0
    }
}
