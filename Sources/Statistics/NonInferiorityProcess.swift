/// Evidence for a promotion: against «the candidate's odds are at least `margin` times the baseline's, and its rate is
/// at least `floor`». Where one of the two is enough to be fine, the null says that both are missed, each of two
/// processes is valid under it, and so is their weighted average. Without restarts and without a running maximum: the proof has
/// to stand at the moment of promotion, and begins anew with each step.
public struct NonInferiorityProcess: Hashable, Codable, Sendable {
    private var relative: OddsRatioProcess?
    private var absolute: BetaBinomialMixture?

    /// - Parameters:
    ///   - margin: ψ_m > 1, the odds ratio that must be excluded; nil where there is no baseline to compare with.
    ///   - floor: a rate below this is fine whatever the baseline's, 0 < floor < 1.
    public init(margin: Double?, floor: Double?) {
        precondition(margin != nil || floor != nil, "a proof needs something to exclude")
        relative = margin.map {
            OddsRatioProcess(bound: $0, alternatives: Alternatives.better, restarts: .never, cap: nil)
        }
        absolute = floor.map { BetaBinomialMixture(bound: $0, null: .atLeast, a: 0.5, b: 0.5 / $0) }
    }

    /// A stratum in which more of both arms' requests than this hit is an outage. That both arms fail alike in it would
    /// prove equal odds within seconds, and nothing of usual days.
    public static let outage = 0.2

    /// Takes one stratum. Leaving an outage out of the comparison follows from the margins, which it is conditional on.
    public mutating func observe(_ stratum: Stratum, temper: Double = 1) {
        let all = stratum.candidate + stratum.baseline
        if Double(all.hits) <= Self.outage * Double(all.trials) { relative?.observe(stratum, temper: temper) }
        absolute?.observe(stratum.candidate, temper: temper)
    }

    /// Of the wealth, on the floor. More would find equals sooner, and those that met an outage, of which only the odds
    /// can say that it was none of theirs, later.
    static let absoluteShare = 0.5

    public var logEvidence: Double {
        switch (relative?.logEvidence, absolute?.logEvidence) {
        case (let x?, let y?): logAddExp(x + ln(1 - Self.absoluteShare), y + ln(Self.absoluteShare))
        case (let x?, nil): x
        case (nil, let y?): y
        case (nil, nil): 0
        }
    }

    /// The margin to exclude, and the floor.
    public var margin: Double? { relative?.bound }
    public var floor: Double? { absolute?.bound }

    /// About how many more requests of the candidate prove it, if both arms go on like this; nil where they never do.
    /// - Parameters:
    ///   - rate: the baseline's rate of hits.
    ///   - share: the candidate's share of the requests, 0 < share < 1.
    ///   - odds: the candidate's true odds as multiples of the baseline's.
    public func requestsNeeded(
        logThreshold: Double, rate: Double, share: Double, odds: Double = 1, temper: Double
    ) -> Double? {
        if logEvidence >= logThreshold { return 0 }
        // Each alone has to make up for its share.
        let isBoth = relative != nil && absolute != nil
        func target(_ share: Double) -> Double { isBoth ? logThreshold - ln(share) : logThreshold }
        let ways = [
            relative?.requestsNeeded(
                logThreshold: target(1 - Self.absoluteShare), rate: rate, share: share, odds: odds, temper: temper),
            absolute?.trialsNeeded(
                logThreshold: target(Self.absoluteShare), rate: RateCeiling.shifted(rate, oddsBy: odds), temper: temper),
        ]
        return ways.compactMap { $0 }.min()
    }
}
