/// Evidence against the null hypothesis that nowhere in the upper part of the distribution the candidate's latency is
/// more than r times the baseline's, where r is the ratio that the check allows. It is a bank of odds-ratio bets at
/// several quantiles at once.
///
/// For each quantile q, x_q is the baseline's quantile in *earlier* data. A stratum compares the candidate's requests
/// slower than r·x_q with the baseline's requests slower than x_q, and tests an odds ratio of at most 1. The test is
/// therefore one of stochastic order at these points and not of the quantile itself. The position of x_q affects power
/// only: any points fixed before the stratum are valid, stale ones included, because both arms are counted at the same
/// points.
///
/// There are several points because regressions differ: a general slow-down shows best near the median, where most
/// requests are; a slow-down of a few requests shows only in the tail. Betting on several points at once costs each of
/// them ln(points) nats.
public struct LatencyRatioProcess: Hashable, Codable, Sendable {
    /// Odds ratios to bet on at the points that about ½, .1 and .01 of the baseline's requests exceed. A slow-down
    /// moves the odds by little near the median and by much in the tail.
    public static let odds: [[Double]] = [
        [1.15, 1.3, 1.6, 2.2, 4, 10], [1.3, 1.6, 2.2, 3.2, 5, 12], [1.6, 2.2, 3.2, 5, 10, 30],
    ]
    /// The baseline's quantiles at which `odds` are bet on.
    public static let quantiles: [Double] = [0.5, 0.9, 0.99]
    /// The odds ratios to bet on at one quantile.
    public static func odds(at quantile: Double) -> [Double] {
        odds[quantile <= 0.75 ? 0 : quantile <= 0.97 ? 1 : 2]
    }

    /// The odds ratios that are bet on at each point.
    public let alternatives: [[Double]]
    private var bank: Bank
    private var builder: StratumBuilder

    /// - Parameter alternatives: a list of odds ratios for each point; all lists have the same length.
    public init(
        alternatives: [[Double]] = odds, restarts: RestartWeights = .standard, cap: Double? = 10
    ) {
        let oddsPerPoint = alternatives.first?.count ?? 0
        precondition(
            oddsPerPoint > 0 && alternatives.allSatisfy { $0.count == oddsPerPoint },
            "as many odds ratios at each point")
        self.alternatives = alternatives
        builder = StratumBuilder(points: alternatives.count)
        bank = Bank(BankSettings(alternatives: alternatives.count * oddsPerPoint, restarts: restarts, cap: cap))
    }

    public var logEvidence: Double { bank.logEvidence }
    public var strata: Int { bank.strata }
    /// True between two strata, when the points may move.
    public var isBetweenStrata: Bool { builder.isEmpty }
    /// The index of the point at which the evidence is strongest.
    public var strongestPoint: Int { (bank.strongestAlternative ?? 0) / alternatives[0].count }

    /// Takes one tick.
    /// - Parameter slower: for each point, the requests of either arm that were slower than it.
    ///   The trials are the same at each point.
    public mutating func observe(_ slower: [Stratum], seconds: Int = 1, discount: Double = 1) {
        if builder.add(slower, seconds: seconds, discount: discount) { close() }
    }

    /// Ends the open stratum because the split changed; it is dropped if an arm has no requests in it.
    public mutating func weightChanged() {
        if builder.isWhole { close() } else { builder.clear() }
    }

    private mutating func close() {
        bet(builder.open, discount: builder.discount)
        builder.clear()
    }

    private mutating func bet(_ slower: [Stratum], discount: Double) {
        guard slower.contains(where: \.isInformative) else { return }
        let values = zip(slower, alternatives).map { OddsRatio.eValues($0, against: 1, $1) }
        let oddsPerPoint = alternatives[0].count
        bank.observe(discount: discount) { values[$0 / oddsPerPoint][$0 % oddsPerPoint] }
    }
}
