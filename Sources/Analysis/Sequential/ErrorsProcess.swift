import PolicyModel
import Statistics

/// The evidence about bounds on the share of requests that end in certain ways: for a revert, and for a promotion.
struct ErrorsProcess: Hashable, Codable, Sendable {
    let check: ErrorsCheck
    /// The endings of requests that count against an arm.
    let counted: ResponseSet
    private var rate: RateProcess
    /// The keys that failed for the first time, where traffic is assigned by key.
    private var byKey: KeyedErrors?
    /// The same against the ceiling, beside a bound on the increase.
    private var byKeyCeiling: KeyedErrors?
    /// The candidate's recent failures: hits and trials, fading.
    private var recent = Recent()
    /// ln E that an earlier way of betting had won or lost: bets may change with what is known of the baseline, the
    /// wealth goes on.
    private var carried = 0.0
    private var proof: RateProof
    private var step: UInt16?
    private var second: Int64?
    /// Since the rollout and since the step began.
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
    }

    private static func factor(_ check: ErrorsCheck) -> Double? { check.maxIncrease.map { 1 + $0 } }

    private static func bounds(_ check: ErrorsCheck) -> RateBounds {
        RateBounds(
            ceiling: check.max.map(clamp), factor: factor(check),
            floor: check.maxIncrease == nil || check.floor == 0 ? 0 : clamp(check.floor))
    }

    /// Ceilings of 0 and 1 are no odds: the nearest that are.
    static func clamp(_ rate: Double) -> Double { min(max(rate, 1e-6), 1 - 1e-6) }

    /// - Parameter firsts: under sticky routing the responses of keys that are new in this step: a proof counts keys,
    ///   one value each.
    mutating func observe(_ tick: ErrorTick, firsts: [KeyedResponse]?) {
        if step != tick.step {
            rate.weightChanged()
            byKey?.weightChanged()
            byKeyCeiling?.weightChanged()
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

    /// Changes how counts are bet on, because the baseline's failures cluster more, or less, than was known.
    mutating func adapt(to mode: CountingMode) {
        switch (rate.mode, mode) {
        case (.ticks, _): return
        case (.counts, .counts(let discount)): rate.changeDiscount(to: discount)
        case (.counts, .ticks):
            // What clustered counts have won is not to be trusted; what they lost is lost.
            carried = min(rate.logEvidence, 0)
            rate = RateProcess(Self.bounds(check), mode: .ticks)
        }
    }

    /// ln E for a revert, and what speaks.
    var evidence: (value: Double, part: String) {
        guard let byKey else {
            return (carried + rate.logEvidence, rate.strongest.part.rawValue)
        }
        // Keys give evidence about the odds only, so recent requests have to exceed the allowed rate as well. Older
        // requests do not count for that: a long clean past must not hide a breakdown.
        func gated(_ process: KeyedErrors, _ allowed: Double) -> Double {
            recent.hits > allowed * recent.trials ? process.logEvidence : min(process.logEvidence, 0)
        }
        guard let byKeyCeiling else {
            return (gated(byKey, check.maxIncrease == nil ? check.max ?? 0 : check.floor), "keys")
        }
        return (max(gated(byKey, check.floor), gated(byKeyCeiling, check.max ?? 0)) - ln(2), "keys")
    }

    /// What counts as lately.
    private static let recentTrials = 2000.0

    var proofEvidence: Double { proof.logEvidence }
    /// The bound that is proven least.
    var leastProven: Bound { proof.leastProven }
    /// True if the baseline is so close to the ceiling, or beyond it, that an equal candidate is hardly ever proven.
    var isBaselineNearCeiling: Bool {
        check.provenMax.map { sinceStart.baseline.smoothedRate > Self.nearCeiling * $0 } ?? false
    }
    /// The share of a ceiling from which on a proof takes so long.
    static let nearCeiling = 0.8
    var mode: CountingMode { rate.mode }

    /// True if the candidate fails clearly more often in this step than is allowed over a baseline of this rate, so
    /// that more of the same proves nothing.
    private func isBeyond(_ rate: Double) -> Bool {
        let candidate = sinceStep.candidate
        let allowed = Self.factor(check).map { max($0 * rate, check.floor) } ?? check.max ?? 1
        let expected = allowed * Double(candidate.trials)
        return Double(candidate.hits) > expected + 3 * (expected + 1).squareRoot()
    }

    /// About how many more requests of the candidate prove it at this pace; nil where it never is.
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

/// Errors by key: a key that failed once is one error, for ever.
struct KeyedErrors: Hashable, Codable, Sendable {
    /// Requests that a stratum of keys holds at least.
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

    /// Ends the open stratum because the split changed. A stratum across the change would compare keys that were assigned
    /// by different splits: if an incident began with the change, only keys of the new split would fail.
    mutating func weightChanged() { if open > 0 { close() } }

    private mutating func close() {
        process.observe(counter.close())
        open = 0
    }

    var logEvidence: Double { process.logEvidence }
}

extension CountingMode {
    /// η of a proof: where counts cluster beyond discounting, a tenth of them counts.
    var proofDiscount: Double {
        switch self {
        case .counts(let discount): discount
        case .ticks: 0.1
        }
    }

    /// One line for people.
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
            return "\(phi): failures cluster, bets are raised to \(Measurement.decimals(discount, 2))"
        case .ticks: return "\(phi): failures come in bursts, each second counts once"
        }
    }
}
