/// Evidence for a promotion: against the null hypothesis that the candidate's odds are at least `margin` times the
/// baseline's and that its rate is at least `floor`. A candidate is sound if either is false, so under the null both
/// hold, each of the two processes is valid, and so is their weighted average. There are no restarts and there is no
/// running maximum, because the proof has to hold at the moment of promotion; it starts again with each step.
public struct NonInferiorityProcess: Hashable, Codable, Sendable {
    private var relative: OddsRatioProcess?
    private var absolute: BetaBinomialMixture?

    /// - Parameters:
    ///   - margin: ψ_m > 1, the odds ratio that must be excluded; nil if there is no baseline to compare with.
    ///   - floor: a rate below this is acceptable whatever the baseline's, 0 < floor < 1; nil for no floor.
    public init(margin: Double?, floor: Double?) {
        precondition(margin != nil || floor != nil, "a proof needs something to exclude")
        relative = margin.map {
            OddsRatioProcess(bound: $0, alternatives: Alternatives.better, restarts: .never, cap: nil)
        }
        absolute = floor.map { BetaBinomialMixture(bound: $0, null: .atLeast, a: 0.5, b: 0.5 / $0) }
    }

    /// The fewest recent hits of the baseline in an incident that stays out of proofs (`IncidentWatch`).
    public static let incidentHits = 2.0

    /// Takes one stratum.
    /// - Parameter isIncident: whether the baseline alone shows an incident. Such a stratum is left out. Both arms fail
    ///   alike in it, which would prove equal odds within seconds and say nothing about normal operation; and the
    ///   candidate's failures in it would undo what was proven about its rate before. As the rule looks at the
    ///   baseline's failures only, and leaves out strata that have many of them, it never makes the candidate look
    ///   better in those that remain.
    public mutating func observe(_ stratum: Stratum, discount: Double = 1, isIncident: Bool = false) {
        guard !isIncident else { return }
        relative?.observe(stratum, discount: discount)
        absolute?.observe(stratum.candidate, discount: discount)
    }

    /// The share of the wealth that is bet on the floor. A larger share would prove equal arms sooner, and later those
    /// candidates that went through an outage, for which only the odds can show that it was not their fault.
    static let absoluteShare = 0.5

    public var logEvidence: Double {
        switch (relative?.logEvidence, absolute?.logEvidence) {
        case (let x?, let y?): logAddExp(x + ln(1 - Self.absoluteShare), y + ln(Self.absoluteShare))
        case (let x?, nil): x
        case (nil, let y?): y
        case (nil, nil): 0
        }
    }

    /// The odds ratio that must be excluded; nil if there is no comparison with the baseline.
    public var margin: Double? { relative?.bound }
    /// The rate below which a candidate is acceptable whatever the baseline's rate; nil for no floor.
    public var floor: Double? { absolute?.bound }

    /// The expected number of further requests of the candidate until the evidence reaches the threshold if both arms
    /// continue as described; nil if it never does.
    /// - Parameters:
    ///   - rate: the baseline's rate of hits.
    ///   - share: the candidate's share of the requests, 0 < share < 1.
    ///   - odds: the candidate's true odds as multiples of the baseline's.
    public func requestsNeeded(
        logThreshold: Double, rate: Double, share: Double, odds: Double = 1, discount: Double
    ) -> Double? {
        if logEvidence >= logThreshold { return 0 }
        // A process that reaches the threshold alone has only its share of the wealth.
        let hasBoth = relative != nil && absolute != nil
        func target(_ share: Double) -> Double { hasBoth ? logThreshold - ln(share) : logThreshold }
        let ways = [
            relative?.requestsNeeded(
                logThreshold: target(1 - Self.absoluteShare), rate: rate, share: share, odds: odds, discount: discount),
            absolute?.trialsNeeded(
                logThreshold: target(Self.absoluteShare), rate: RateCeiling.shifted(rate, oddsBy: odds),
                discount: discount),
        ]
        return ways.compactMap { $0 }.min()
    }
}
