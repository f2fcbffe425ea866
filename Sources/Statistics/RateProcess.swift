/// The bounds of a rate such as the error rate. At least one of `ceiling` and `factor` is set.
public struct RateBounds: Hashable, Codable, Sendable {
    /// The largest acceptable rate of the candidate, 0 < ceiling < 1; a higher rate is accepted if it is at most the
    /// baseline's.
    public var ceiling: Double?
    /// The largest acceptable ratio of the candidate's odds to the baseline's, ≥ 1.
    public var factor: Double?
    /// A rate at or below this does not violate `factor`, whatever the baseline's rate; 0 for no floor.
    public var floor: Double

    public init(ceiling: Double? = nil, factor: Double? = nil, floor: Double = 0) {
        precondition(ceiling != nil || factor != nil, "a rate needs a bound")
        self.ceiling = ceiling
        self.factor = factor
        self.floor = floor
    }
}

/// Evidence that a rate is beyond its bounds, from ticks of both arms. There is an e-process E_i for each bound, with a
/// share s_i of the initial wealth; the evidence is Σ s_i E_i, which is an e-process itself.
public struct RateProcess: Hashable, Codable, Sendable {
    /// The bound that evidence is about, for the explanation of a decision.
    public enum Part: String, Codable, Sendable {
        case increase, ceiling
    }

    /// The process of one bound. Exactly one of `odds`, `byBlock` and `byTick` is set. They are optionals and not an
    /// enum so that a tick changes them in place, without copies of their arrays.
    private struct Member: Hashable, Codable, Sendable {
        var part: Part
        var share: Double
        var odds: OddsRatioProcess?
        var byBlock: UnionNullProcess?
        var byTick: TickProcess?

        var logEvidence: Double { odds?.logEvidence ?? byBlock?.logEvidence ?? byTick?.logEvidence ?? 0 }
    }

    public let bounds: RateBounds
    /// The mode in which counts are bet on.
    public private(set) var mode: CountingMode
    private var members: [Member] = []
    private var builder = StratumBuilder()
    /// Seconds since the last stratum was closed.
    private var age = 0

    public init(
        _ bounds: RateBounds, mode: CountingMode,
        alternatives: [Double] = Alternatives.regressions,
        restarts: RestartWeights = .inverseSquare(early: 0.95)
    ) {
        self.bounds = bounds
        self.mode = mode
        func byBlock(_ rate: Double, _ odds: Double) -> UnionNullProcess {
            UnionNullProcess(rateBound: rate, oddsBound: odds, alternatives: alternatives, restarts: restarts)
        }
        // The clip leaves room for a tick's rate to exceed the bound.
        func clip(_ bound: Double) -> Double { min(1, max(0.2, 2 * bound)) }
        switch mode {
        case .ticks:
            if let factor = bounds.factor {
                let process = TickProcess(
                    factor: factor, floor: bounds.floor, clip: clip(bounds.floor), restarts: restarts)
                members.append(Member(part: .increase, share: 1, byTick: process))
            }
            if let ceiling = bounds.ceiling {
                let process = TickProcess(factor: 1, floor: ceiling, clip: clip(ceiling), restarts: restarts)
                members.append(Member(part: .ceiling, share: 1, byTick: process))
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
                // Next to a bound on the increase, the ceiling only adds the cases between 1 and `factor` times the
                // baseline, hence the small share.
                members.append(Member(part: .ceiling, share: 1, byBlock: byBlock(ceiling, 1)))
            }
        }
        let sum = members.reduce(0) { $0 + $1.share }
        for i in members.indices { members[i].share /= sum }
    }

    /// Takes one tick.
    public mutating func observe(_ tick: Stratum, seconds: Int = 1) {
        age += seconds
        let discount: Double = if case .counts(let discount) = mode { discount } else { 1 }
        if builder.add([tick], seconds: seconds, discount: discount) { close() }
    }

    /// Changes the discount of bets from the next stratum on, because counts are more, or less, clustered than was
    /// assumed. The evidence stays valid as long as the discount depends on past data only. The mode `ticks` has no
    /// discount and does not change.
    public mutating func changeDiscount(to discount: Double) {
        if case .counts = mode { mode = .counts(discount: discount) }
    }

    /// Ends the open stratum because the split changed; an incomplete one is dropped.
    public mutating func weightChanged() {
        if builder.isWhole { close() } else { builder.clear() }
    }

    private mutating func close() {
        let stratum = builder.open[0]
        for i in members.indices {
            members[i].odds?.observe(stratum, discount: builder.discount)
            members[i].byBlock?.observe(stratum, seconds: age, discount: builder.discount)
            members[i].byTick?.observe(stratum)
        }
        builder.clear()
        age = 0
    }

    /// The evidence of all bounds together, ln Σ s_i E_i.
    public var logEvidence: Double { logSumExp(members.lazy.map { $0.logEvidence + ln($0.share) }) }

    /// The bound with the strongest evidence, and that evidence, ln s_i E_i.
    public var strongest: (part: Part, logEvidence: Double) {
        var best: (part: Part, logEvidence: Double) = (members[0].part, -.infinity)
        for member in members {
            let value = member.logEvidence + ln(member.share)
            if value > best.logEvidence { best = (member.part, value) }
        }
        return best
    }
}
