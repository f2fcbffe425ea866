/// Evidence against «the candidate's latency, divided by r, is nowhere in the upper part of the distribution longer
/// than the baseline's»: a bank of odds-ratio bets at several quantiles at once.
///
/// For each quantile q, x_q is the baseline's quantile from *earlier* data; a stratum counts the candidate's requests
/// slower than r·x_q against the baseline's slower than x_q, and tests an odds ratio of at most 1. So it tests
/// stochastic order at these points, not the quantile itself. Where x_q lies matters for power alone: any points fixed
/// before the stratum are valid, stale ones too, as both arms are counted at the same.
///
/// Several points, as regressions differ: a general slow-down shows best near the median, where there are most
/// requests; one of a few requests shows only in the tail. Each costs the others ln(points) nats.
public struct LatencyRatioProcess: Hashable, Codable, Sendable {
    /// Odds ratios to bet on where a share of about ½, of .1 and of .01 of the baseline's requests is slower: near the
    /// middle a slow-down moves the odds by little, far out by much.
    public static let odds: [[Double]] = [
        [1.15, 1.3, 1.6, 2.2, 4, 10], [1.3, 1.6, 2.2, 3.2, 5, 12], [1.6, 2.2, 3.2, 5, 10, 30],
    ]
    /// The quantiles that belong to them.
    public static let quantiles: [Double] = [0.5, 0.9, 0.99]

    /// By point.
    public let alternatives: [[Double]]
    private var bank: Bank
    private var builder: StratumBuilder

    /// - Parameter alternatives: for each point a ladder of odds ratios, all of the same length.
    public init(
        alternatives: [[Double]] = odds, restarts: RestartWeights = .standard, cap: Double? = 10
    ) {
        let rungs = alternatives.first?.count ?? 0
        precondition(rungs > 0 && alternatives.allSatisfy { $0.count == rungs }, "ladders of one length")
        self.alternatives = alternatives
        builder = StratumBuilder(points: alternatives.count)
        bank = Bank(BankSettings(alternatives: alternatives.count * rungs, restarts: restarts, cap: cap))
    }

    public var logEvidence: Double { bank.logEvidence }
    public var strata: Int { bank.strata }
    /// The point at which the arms differ most.
    public var loudestPoint: Int { (bank.loudest ?? 0) / alternatives[0].count }

    /// Takes one tick.
    /// - Parameter slower: for each point, the requests of either arm that were slower than it.
    /// - Precondition: the same requests at each point.
    public mutating func observe(_ slower: [Stratum], seconds: Int = 1, temper: Double = 1) {
        if builder.add(slower, seconds: seconds, temper: temper) { close() }
    }

    /// The split changed.
    public mutating func weightChanged() {
        if builder.isWhole { close() } else { builder.clear() }
    }

    private mutating func close() {
        bet(builder.open, temper: builder.temper)
        builder.clear()
    }

    private mutating func bet(_ slower: [Stratum], temper: Double) {
        guard slower.contains(where: \.isInformative) else { return }
        let values = zip(slower, alternatives).map { OddsRatio.eValues($0, against: 1, $1) }
        let rungs = alternatives[0].count
        bank.observe(temper: temper) { values[$0 / rungs][$0 % rungs] }
    }
}
