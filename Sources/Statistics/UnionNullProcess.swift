/// Evidence against a union of two null hypotheses: that the candidate's rate is at most `rateBound`, or that its odds
/// are at most `oddsBound` times the baseline's. Evidence grows only if the candidate is beyond both bounds.
///
/// The type serves two rules. In "half as much again as the baseline, but anything under .2 % is acceptable" the floor
/// is the bound of the rate. In "at most 1 %, unless the baseline is as bad" the ceiling is the bound of the rate, and
/// the bound of the odds is 1.
///
/// Ticks are grouped into blocks. In each block two gamblers start with the same wealth. The first (e-process O) bets
/// tick by tick against the odds, the second (R) against the rate, each on all alternatives at once. The smaller of the
/// two counts, and both start the next block with it, divided among the alternatives as each gambler has learned. Each
/// tick is capped; the split may change within a block; a restart gives both gamblers the same new wealth. The two are
/// separate mixtures and not paired alternative by alternative, so that each finds its own: a candidate that fails 5 %
/// may have fifty times the baseline's odds and 25 times the odds of a floor of .2 %. (The minimum of two e-processes
/// that never share their wealth would be valid as well, but useless: an outage of both arms would raise the wealth of
/// the one on a ceiling for good.)
///
/// The evidence may be read, and acted on, while a block is open. Assume that within a block one of the two nulls holds
/// throughout. Then the evidence, min(O, R) plus the wealth that is not yet at stake, is at most D, which is O or R,
/// whichever belongs to that null, plus that same wealth. D is a supermartingale within the block and only drops, to
/// the evidence, at its end. So P(evidence ever reaches 1/α) ≤ P(D ever does) ≤ α.
///
/// The null that holds would change within a block if a candidate that is within the bound of the rate, but not within
/// that of the odds, went through an incident that both arms share. Therefore R may lose but not win while the baseline
/// alone shows an incident (`IncidentWatch`). Winning less is always valid, so the rule costs no validity. But no
/// theorem says that it notices every incident in time: what R wins in an incident before the baseline's failures show
/// it remains, and that is much where the baseline has few requests, as in a last step of 90 %. Therefore what R wins
/// in a tick is also at most `rateWinLimit` times what the tick is worth to the best alternative of O, in nats and
/// before O's discount: failures of both arms alike are worth little to O. Simulation says how little remains.
public struct UnionNullProcess: Hashable, Codable, Sendable {
    public let rateBound: Double
    public let oddsBound: Double
    public let alternatives: [Double]
    public let restarts: RestartWeights
    public let rule: BlockRule
    public let restart: BlockRule
    private let logCap: Double
    /// The log wealth, for each alternative, of the gambler who bets against the odds.
    private var odds: [Double]
    /// The log wealth, for each alternative, of the gambler who bets against the rate.
    private var rate: [Double]
    /// Seconds since the block began.
    private var seconds = 0
    /// Requests of the candidate since the block began.
    private var requests = 0
    private var secondsSinceRestart = 0
    private var requestsSinceRestart = 0
    /// The number of restarts so far, the first start included.
    private var restartCount = 0
    /// The sum of the weights of the restarts so far.
    private var spent = 0.0
    private var incidents = IncidentWatch()
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
        odds = [Double](repeating: Self.leastLogWealth, count: alternatives.count)
        rate = odds
    }

    /// The least log wealth of an alternative; no wealth would be −∞, which JSON cannot represent.
    private static let leastLogWealth = -700.0
    /// The fewest recent hits of an incident. A single hit of a service that has hardly any suspends the winnings of
    /// the gambler on the rate for some seconds, which costs little.
    static let incidentHits = 0.5
    /// The most nats that the gambler on the rate may win in one tick, as a multiple of those that the tick is worth to
    /// the best alternative of the gambler on the odds before its discount.
    static let rateWinLimit = 1.5

    /// Takes one tick. In a tick in which an arm has no requests, no bet is made; only its time and the baseline's
    /// requests, for `IncidentWatch`, are counted.
    public mutating func observe(_ tick: Stratum, seconds length: Int = 1, discount: Double = 1) {
        seconds += length
        secondsSinceRestart += length
        incidents.observe(tick.baseline, seconds: max(length, 1))
        if tick.candidate.trials > 0 && tick.baseline.trials > 0 {
            if restartCount == 0 || restart.isDue(secondsSinceRestart, requestsSinceRestart) { addRestart() }
            requests += tick.candidate.trials
            requestsSinceRestart += tick.candidate.trials
            bet(tick, discount: discount)
            updateEvidence()
        }
        if rule.isDue(seconds, requests) { closeBlock() }
    }

    private mutating func addRestart() {
        restartCount += 1
        secondsSinceRestart = 0
        requestsSinceRestart = 0
        let weight = restarts.weight(restartCount)
        guard weight > 0 else { return }
        spent += weight
        let fresh = ln(weight / Double(alternatives.count))
        for j in alternatives.indices {
            odds[j] = logAddExp(odds[j], fresh)
            rate[j] = logAddExp(rate[j], fresh)
        }
    }

    private mutating func bet(_ tick: Stratum, discount: Double) {
        let values = tick.isInformative ? OddsRatio.eValues(tick, against: oddsBound, alternatives) : []
        let worthToOdds = max(ln(values.max() ?? 1), 0)
        let rateCap =
            incidents.isIncident(fewestHits: Self.incidentHits) ? 0 : min(logCap, Self.rateWinLimit * worthToOdds)
        for j in alternatives.indices {
            let ratio = RateCeiling.logLikelihoodRatio(tick.candidate, oddsBy: alternatives[j], against: rateBound)
            rate[j] = max(rate[j] + min(discount * ratio, rateCap), Self.leastLogWealth)
        }
        guard !values.isEmpty else { return }
        for j in alternatives.indices {
            odds[j] = max(odds[j] + min(discount * ln(values[j]), logCap), Self.leastLogWealth)
        }
    }

    private mutating func updateEvidence() {
        let atStake = min(logSumExp(odds), logSumExp(rate))
        // A remainder of a few 1e-17 is a rounding error.
        let rest = 1 - spent
        logEvidence = rest > 1e-15 ? logAddExp(atStake, ln(rest)) : atStake
    }

    /// Reduces the richer gambler to the wealth of the other.
    private mutating func closeBlock() {
        let o = logSumExp(odds)
        let r = logSumExp(rate)
        for j in alternatives.indices {
            odds[j] = max(odds[j] + min(r - o, 0), Self.leastLogWealth)
            rate[j] = max(rate[j] + min(o - r, 0), Self.leastLogWealth)
        }
        seconds = 0
        requests = 0
    }
}
