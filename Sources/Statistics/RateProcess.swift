/// The bounds of a rate such as that of errors; at least one of `ceiling` and `factor`.
public struct RateBounds: Hashable, Codable, Sendable {
    /// The candidate's rate may be at most this, or else at most the baseline's. 0 < ceiling < 1.
    public var ceiling: Double?
    /// The candidate's odds may be at most this many times the baseline's. ≥ 1.
    public var factor: Double?
    /// A rate at or below this is fine whatever the baseline's; 0 for none. Belongs to `factor`.
    public var floor: Double

    public init(ceiling: Double? = nil, factor: Double? = nil, floor: Double = 0) {
        precondition(ceiling != nil || factor != nil, "a rate needs a bound")
        self.ceiling = ceiling
        self.factor = factor
        self.floor = floor
    }
}

/// Evidence that a rate is beyond its bounds, from ticks of both arms: several processes that each have a share s_i of
/// the first wealth. What is held against the threshold is Σ s_i E_i, an e-process as they are.
public struct RateProcess: Hashable, Codable, Sendable {
    /// What speaks: for an explanation of a decision.
    public enum Part: String, Codable, Sendable {
        case increase, ceiling
    }

    /// One of the three is set: an enum would be copied, arrays and all, at each tick.
    private struct Member: Hashable, Codable, Sendable {
        var part: Part
        var share: Double
        var odds: OddsRatioProcess?
        var byBlock: TwoNullsByBlock?
        var lane: TickLane?

        var logEvidence: Double { odds?.logEvidence ?? byBlock?.logEvidence ?? lane?.logEvidence ?? 0 }
    }

    public let bounds: RateBounds
    /// How the counts clump.
    public private(set) var lane: Lane
    private var members: [Member] = []
    private var builder = StratumBuilder()
    /// Seconds since the last stratum.
    private var age = 0

    public init(
        _ bounds: RateBounds, lane: Lane,
        alternatives: [Double] = Alternatives.regressions,
        restarts: RestartWeights = .inverseSquare(early: 0.95)
    ) {
        self.bounds = bounds
        self.lane = lane
        func byBlock(_ rate: Double, _ odds: Double) -> TwoNullsByBlock {
            TwoNullsByBlock(rateBound: rate, oddsBound: odds, alternatives: alternatives, restarts: restarts)
        }
        // A tick's rate has to be able to show beyond the bound.
        func clip(_ bound: Double) -> Double { min(1, max(0.2, 2 * bound)) }
        switch lane {
        case .ticks:
            if let factor = bounds.factor {
                let lane = TickLane(
                    factor: factor, floor: bounds.floor, clip: clip(bounds.floor), restarts: restarts)
                members.append(Member(part: .increase, share: 1, lane: lane))
            }
            if let ceiling = bounds.ceiling {
                let lane = TickLane(factor: 1, floor: ceiling, clip: clip(ceiling), restarts: restarts)
                members.append(Member(part: .ceiling, share: 1, lane: lane))
            }
        case .counts:
            if let factor = bounds.factor {
                if bounds.floor > 0 {
                    members.append(Member(part: .increase, share: 30, byBlock: byBlock(bounds.floor, factor)))
                } else {
                    let process = OddsRatioProcess(bound: factor, alternatives: alternatives, restarts: restarts)
                    members.append(Member(part: .increase, share: 30, odds: process))
                }
            }
            if let ceiling = bounds.ceiling {
                // Beside a bound on the increase it only adds what lies between once and `factor` times the baseline.
                members.append(Member(part: .ceiling, share: 1, byBlock: byBlock(ceiling, 1)))
            }
        }
        let sum = members.reduce(0) { $0 + $1.share }
        for i in members.indices { members[i].share /= sum }
    }

    /// Takes one tick.
    public mutating func observe(_ tick: Stratum, seconds: Int = 1) {
        age += seconds
        let temper: Double = if case .counts(let temper) = lane { temper } else { 1 }
        if builder.add([tick], seconds: seconds, temper: temper) { close() }
    }

    /// From the next stratum on bets are raised to another power: counts clump more, or less, than was thought. Valid as
    /// long as it follows from what is past. Nothing changes in the lane of ticks.
    public mutating func retemper(_ temper: Double) {
        if case .counts = lane { lane = .counts(temper: temper) }
    }

    /// The split changed.
    public mutating func weightChanged() {
        if builder.isWhole { close() } else { builder.clear() }
    }

    private mutating func close() {
        let stratum = builder.open[0]
        for i in members.indices {
            members[i].odds?.observe(stratum, temper: builder.temper)
            members[i].byBlock?.observe(stratum, seconds: age, temper: builder.temper)
            members[i].lane?.observe(stratum)
        }
        builder.clear()
        age = 0
    }

    /// ln Σ s_i E_i.
    public var logEvidence: Double { logSumExp(members.lazy.map { $0.logEvidence + ln($0.share) }) }

    /// The part that speaks loudest, and how loud.
    public var strongest: (part: Part, logEvidence: Double) {
        var best: (part: Part, logEvidence: Double) = (members[0].part, -.infinity)
        for member in members {
            let value = member.logEvidence + ln(member.share)
            if value > best.logEvidence { best = (member.part, value) }
        }
        return best
    }
}
