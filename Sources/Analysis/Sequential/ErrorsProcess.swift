import PolicyModel
import Statistics

/// The evidence, for a revert and for a promotion, about bounds on the share of requests whose response code is in a
/// set.
struct ErrorsProcess: Hashable, Codable, Sendable {
    let check: ErrorsCheck
    /// The response codes that count as hits.
    let counted: ResponseSet
    private var rate: RateProcess
    /// The evidence about the increase, by keys that fail for the first time; nil unless traffic is assigned by key.
    private var byKey: KeyedErrors?
    /// The evidence by keys about the ceiling, if there is a bound on the increase as well.
    private var byKeyCeiling: KeyedErrors?
    /// The candidate's recent hits and trials, in which older ones fade.
    private var recent = Recent()
    /// ln E from before the mode of betting changed, at most 0. The mode follows the baseline's profile.
    private var carried = 0.0
    private var proof: RateProof
    /// The interval of the difference of the arms; nil if traffic is assigned by key, since requests of one key are not
    /// independent observations.
    private var odds: OddsInterval?
    private var step: UInt16?
    private var second: Int64?
    /// The requests that were judged in the rollout, and those in the current step.
    private(set) var sinceStart = Stratum()
    private(set) var sinceStep = Stratum()
    private(set) var secondsInStep: Int64 = 0

    private struct Recent: Hashable, Codable, Sendable {
        var hits = 0.0
        var trials = 0.0
    }

    init(_ check: ErrorsCheck, counted: ResponseSet, mode: CountingMode, isKeyed: Bool) {
        self.check = check
        self.counted = counted
        rate = RateProcess(Self.bounds(check), mode: mode)
        if isKeyed {
            byKey = KeyedErrors(bound: Self.factor(check) ?? 1)
            if check.max != nil, check.maxIncrease != nil { byKeyCeiling = KeyedErrors(bound: 1) }
        }
        proof = RateProof(check)
        odds = isKeyed ? nil : OddsInterval()
    }

    private static func factor(_ check: ErrorsCheck) -> Double? { check.maxIncrease.map { 1 + $0 } }

    private static func bounds(_ check: ErrorsCheck) -> RateBounds {
        RateBounds(
            ceiling: check.max.map(clamp), factor: factor(check),
            floor: check.maxIncrease == nil || check.floor == 0 ? 0 : clamp(check.floor))
    }

    /// A rate moved into 1e-6 ... 1 − 1e-6, since rates of 0 and 1 have no finite odds.
    static func clamp(_ rate: Double) -> Double { min(max(rate, 1e-6), 1 - 1e-6) }

    /// - Parameter firsts: under sticky routing, the responses of keys that are new in this step, because a proof
    ///   counts each key once; otherwise nil.
    mutating func observe(_ tick: ErrorTick, firsts: [KeyedResponse]?) {
        if step != tick.step {
            rate.weightChanged()
            byKey?.weightChanged()
            byKeyCeiling?.weightChanged()
            odds?.weightChanged()
            proof.restart(check)
            step = tick.step
            sinceStep = Stratum()
            secondsInStep = 0
        }
        let gap = max(1, tick.second - (second ?? tick.second - 1))
        second = tick.second
        secondsInStep += gap
        let stratum = tick.stratum(counted)
        sinceStart += stratum
        sinceStep += stratum
        rate.observe(stratum, seconds: Int(gap))
        odds?.observe(stratum, seconds: Int(gap), discount: rate.mode.proofDiscount)
        byKey?.observe(tick.keys, counted)
        byKeyCeiling?.observe(tick.keys, counted)
        recent.hits += Double(stratum.candidate.hits)
        recent.trials += Double(stratum.candidate.trials)
        if recent.trials > Self.recentTrials { recent = Recent(hits: recent.hits / 2, trials: recent.trials / 2) }
        if let firsts {
            proof.observe(firsts.stratum(counted), seconds: Int(gap), discount: 1)
        } else {
            proof.observe(stratum, seconds: Int(gap), discount: rate.mode.proofDiscount)
        }
    }

    /// Changes the mode of betting, because the baseline's failures cluster more, or less, than was assumed.
    mutating func adapt(to mode: CountingMode) {
        switch (rate.mode, mode) {
        case (.ticks, _): return
        case (.counts, .counts(let discount)): rate.changeDiscount(to: discount)
        case (.counts, .ticks):
            // Evidence that was won from clustered counts is not trusted; what was lost stays lost.
            carried = min(rate.logEvidence, 0)
            rate = RateProcess(Self.bounds(check), mode: .ticks)
        }
    }

    /// ln E for a revert, and the part that it comes from: a bound, or `keys`.
    var evidence: (value: Double, part: String) {
        guard let byKey else {
            return (carried + rate.logEvidence, rate.strongest.part.rawValue)
        }
        // Keys give evidence about the odds only, so the recent requests have to exceed the allowed rate as well. Older
        // requests do not count for that: a long past without failures must not hide a breakdown.
        func gated(_ process: KeyedErrors, _ allowed: Double) -> Double {
            recent.hits > allowed * recent.trials ? process.logEvidence : min(process.logEvidence, 0)
        }
        guard let byKeyCeiling else {
            return (gated(byKey, check.maxIncrease == nil ? check.max ?? 0 : check.floor), "keys")
        }
        return (max(gated(byKey, check.floor), gated(byKeyCeiling, check.max ?? 0)) - ln(2), "keys")
    }

    /// The number of the candidate's requests after which its recent hits and trials are halved.
    private static let recentTrials = 2000.0

    /// The interval of the candidate's rate less the baseline's.
    var difference: DifferenceInterval? {
        odds?.difference.map { DifferenceInterval($0) }
    }

    var proofEvidence: Double { proof.logEvidence }
    /// The bound with the weakest proof.
    var leastProven: Bound { proof.leastProven }
    /// True if the baseline is so close to the ceiling, or beyond it, that an equal candidate is hardly ever proven.
    var isBaselineNearCeiling: Bool {
        check.provenMax.map { sinceStart.baseline.smoothedRate > Self.nearCeiling * $0 } ?? false
    }
    /// The share of the ceiling above which the baseline's rate counts as too close to it.
    static let nearCeiling = 0.8
    var mode: CountingMode { rate.mode }

    /// True if the candidate's rate in this step is clearly above what is allowed for a baseline with this rate, so
    /// that more requests like these prove nothing.
    private func isBeyond(_ rate: Double) -> Bool {
        let candidate = sinceStep.candidate
        let allowed = Self.factor(check).map { max($0 * rate, check.floor) } ?? check.max ?? 1
        let expected = allowed * Double(candidate.trials)
        return Double(candidate.hits) > expected + 3 * (expected + 1).squareRoot()
    }

    /// An estimate of how many more requests of the candidate its proof needs; nil if no number suffices.
    func requestsNeeded(logThreshold: Double) -> Double? {
        let n = sinceStep.candidate.trials + sinceStep.baseline.trials
        guard n > 0 else { return nil }
        let share = min(max(Double(sinceStep.candidate.trials) / Double(n), 0.001), 0.999)
        let rate = sinceStart.baseline.smoothedRate
        if isBeyond(rate) { return nil }
        return proof.requestsNeeded(
            logThreshold: logThreshold, rate: min(rate, 0.99), share: share, discount: mode.proofDiscount)
    }
}

/// The evidence about errors by key: a key counts as failed once in a rollout, however many of its requests fail.
struct KeyedErrors: Hashable, Codable, Sendable {
    /// The smallest number of requests in a stratum of keys.
    static let requests = 20
    private var counter = FirstFailures()
    private var process: OddsRatioProcess
    private var open = 0

    init(bound: Double) { process = OddsRatioProcess(bound: bound) }

    mutating func observe(_ keys: [KeyedResponse], _ counted: ResponseSet) {
        for response in keys {
            counter.observe(
                key: UInt64(response.key), isCandidate: response.arm == .candidate,
                isHit: counted.contains(response.code))
        }
        open += keys.count
        if open >= Self.requests { close() }
    }

    /// Ends the open stratum because the split changed. A stratum across the change would mix keys of two splits, and
    /// if an incident began with the change, all failing keys would be of the new split.
    mutating func weightChanged() { if open > 0 { close() } }

    private mutating func close() {
        process.observe(counter.close())
        open = 0
    }

    var logEvidence: Double { process.logEvidence }
}

extension CountingMode {
    /// η, the discount of a proof: 0.1 if counts cluster so strongly that the mode is `ticks`.
    var proofDiscount: Double {
        switch self {
        case .counts(let discount): discount
        case .ticks: 0.1
        }
    }

    /// The mode as one line of text.
    func words(_ overdispersion: Double?) -> String {
        guard let overdispersion else {
            return switch self {
            case .counts(let discount):
                "φ̂ not known yet, too few were seen: bets are raised to \(Measurement.decimals(discount, 2)) until it is"
            case .ticks: "φ̂ not known yet, and the baseline has had bursts: each second counts once"
            }
        }
        let phi = "φ̂ \(Measurement.decimals(overdispersion, 1))"
        switch self {
        case .counts(let discount) where discount >= 1: return "\(phi): requests fail independently, each counts"
        case .counts(let discount):
            let bets = "bets are raised to \(Measurement.decimals(discount, 2))"
            return overdispersion < CountingMode.independent
                ? "\(phi), of too few to be sure: \(bets) until more are seen" : "\(phi): failures cluster, \(bets)"
        case .ticks: return "\(phi): failures come in bursts, each second counts once"
        }
    }
}
