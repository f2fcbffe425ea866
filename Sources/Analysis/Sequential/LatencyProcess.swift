import PolicyModel
import Statistics

/// The evidence about one bound on a quantile of latency: for a revert, and for a promotion.
struct LatencyProcess: Hashable, Codable, Sendable {
    /// Seconds between two looks at where the baseline's quantiles lie.
    static let refresh: Int64 = 10

    let check: LatencyCheck
    /// The evidence against the ceiling.
    private var ceiling: RateProcess?
    /// The evidence against the baseline.
    private var ratio: LatencyRatioProcess?
    /// The evidence against the baseline where requests cluster, in place of that of `ratio`.
    private var ratioByTick: TickProcess?
    private var carried = 0.0
    private var mode: CountingMode
    private var proof: LatencyProof
    private var proofBuilder = StratumBuilder()
    private var step: UInt16?
    private var second: Int64?
    private var refreshedAt: Int64?
    /// Buckets of the baseline's quantiles from earlier seconds: those of the mixture, then the check's own; empty
    /// before they are known.
    private var points: [Int] = []
    /// The candidate's buckets that are compared with `points`: at `factor` times their latencies, rounded up for a
    /// revert. `proofPoint` is the last of them, rounded down.
    private var scaled: [Int] = []
    private var proofPoint = 0
    /// Requests judged, and those slower than the ceiling or the scaled quantile, in the step.
    private(set) var sinceStep = Stratum()
    private(set) var secondsInStep: Int64 = 0

    init(_ check: LatencyCheck, mode: CountingMode) {
        self.check = check
        self.mode = mode
        ceiling = check.max.map { _ in
            RateProcess(RateBounds(ceiling: ErrorsProcess.clamp(1 - check.quantile)), mode: mode)
        }
        if check.maxIncrease != nil {
            ratio = LatencyRatioProcess()
            if case .ticks = mode { ratioByTick = Self.makeTickProcess() }
        }
        proof = LatencyProof(check)
    }

    private static func makeTickProcess() -> TickProcess { TickProcess(factor: 1, clip: 0.5) }

    private var ceilingBucket: Int {
        let microseconds = (check.max?.nanoseconds ?? 0) / 1000
        return LatencyBuckets.index(UInt32(clamping: microseconds))
    }

    /// The longest threshold, in seconds.
    var longestThreshold: Double {
        let increase = scaled.filter { $0 < LatencyBuckets.count }.max().map {
            Double(LatencyBuckets.upperBound($0)) / 1e6
        }
        return max(check.max?.seconds ?? 0, increase ?? 0)
    }

    /// - Parameter counts: the tick's, of the check's measure.
    mutating func observe(_ tick: LatencyTick, _ counts: LatencyCounts, _ profile: BaselineProfile) {
        if step != tick.step {
            ceiling?.weightChanged()
            ratio?.weightChanged()
            proof = LatencyProof(check)
            proofBuilder = StratumBuilder()
            step = tick.step
            sinceStep = Stratum()
            secondsInStep = 0
        }
        let gap = Int(max(1, tick.second - (second ?? tick.second - 1)))
        second = tick.second
        secondsInStep += Int64(gap)
        look(profile[check.of], at: tick.second)
        if ceiling != nil {
            // Requests in the ceiling's own bucket may be on either side: for a revert they are not beyond it.
            let beyond = counts.beyond(candidate: ceilingBucket + 1, baseline: ceilingBucket + 1)
            ceiling?.observe(beyond, seconds: gap)
            if check.maxIncrease == nil {
                sinceStep += beyond
                prove(counts.beyond(candidate: ceilingBucket, baseline: ceilingBucket), gap)
            }
        }
        guard check.maxIncrease != nil, !points.isEmpty else { return }
        let own = points.count - 1
        let slower = counts.beyond(candidate: scaled[own], baseline: points[own])
        sinceStep += slower
        if ratioByTick != nil {
            ratioByTick?.observe(slower)
        } else {
            let strata = (0..<own).map { counts.beyond(candidate: scaled[$0], baseline: points[$0]) }
            ratio?.observe(strata, seconds: gap, discount: mode.proofDiscount)
        }
        prove(counts.beyond(candidate: proofPoint, baseline: points[own], outlived: points[own]), gap)
    }

    private mutating func prove(_ stratum: Stratum, _ gap: Int) {
        guard proofBuilder.add([stratum], seconds: gap, discount: mode.proofDiscount) else { return }
        proof.observe(proofBuilder.open[0], discount: proofBuilder.discount)
        proofBuilder.clear()
    }

    /// Finds where the baseline's quantiles lie, from what was before this tick.
    private mutating func look(_ profile: LatencyProfile, at second: Int64) {
        guard let increase = check.maxIncrease, refreshedAt.map({ second < $0 || second - $0 >= Self.refresh }) ?? true,
            profile.total >= BaselineProfile.fewestSamples
        else { return }
        // So many errors that the check's own quantile has no end say nothing of speed. After an outage the tail has
        // none, and errors alone would be compared there, without the floor that the check of errors has.
        guard let own = profile.quantile(check.quantile) else { return }
        refreshedAt = second
        points = LatencyRatioProcess.quantiles.compactMap(profile.quantileOfSuccesses) + [own]
        scaled = points.map { Self.scale($0, by: 1 + increase) + 1 }
        proofPoint = Self.scale(points[points.count - 1], by: 1 + increase)
    }

    /// The bucket that holds `factor` times the lower bound of a bucket.
    private static func scale(_ bucket: Int, by factor: Double) -> Int {
        let value = Double(LatencyBuckets.lowerBound(bucket)) * factor
        return LatencyBuckets.index(UInt32(saturating: value.rounded(.down)))
    }

    /// See `ErrorsProcess.adapt`.
    mutating func adapt(to new: CountingMode) {
        switch (mode, new) {
        case (.ticks, _): return
        case (.counts, .counts(let discount)): ceiling?.changeDiscount(to: discount)
        case (.counts, .ticks):
            carried = min(evidence.value, 0)
            if ceiling != nil {
                ceiling = RateProcess(RateBounds(ceiling: ErrorsProcess.clamp(1 - check.quantile)), mode: .ticks)
            }
            if ratio != nil {
                ratio = LatencyRatioProcess()
                ratioByTick = Self.makeTickProcess()
            }
        }
        mode = new
    }

    /// ln E for a revert, the larger of the two bounds' with half of the risk each, and which it is.
    var evidence: (value: Double, part: String) {
        let half = ceiling != nil && ratio != nil ? -ln(2) : 0
        var best = (value: -Double.infinity, part: "increase")
        if let ceiling { best = (ceiling.logEvidence + half, "ceiling") }
        if let ratio {
            let value = (ratioByTick?.logEvidence ?? ratio.logEvidence) + half
            if value > best.value { best = (value, "increase") }
        }
        return (best.value + carried, best.part)
    }

    /// The quantile at which the increase shows most: regressions differ, so it is looked for at several.
    var strongestQuantile: Double {
        guard let ratio, ratioByTick == nil, evidence.part == "increase", evidence.value > 0 else {
            return check.quantile
        }
        return LatencyRatioProcess.quantiles[ratio.strongestPoint]
    }

    var proofEvidence: Double { proof.logEvidence }
    /// False: the baseline's quantiles are not known yet.
    var isReady: Bool { check.maxIncrease == nil || !points.isEmpty }

    /// See `ErrorsProcess.requestsNeeded`.
    func requestsNeeded(logThreshold: Double) -> Double? {
        let n = sinceStep.candidate.trials + sinceStep.baseline.trials
        guard n > 0 else { return nil }
        let share = min(max(Double(sinceStep.candidate.trials) / Double(n), 0.001), 0.999)
        let rate = (Double(sinceStep.baseline.hits) + 0.5) / (Double(sinceStep.baseline.trials) + 1)
        let seen = (Double(sinceStep.candidate.hits) + 0.5) / (Double(sinceStep.candidate.trials) + 1)
        let odds = (seen / (1 - min(seen, 0.999))) / (rate / (1 - min(rate, 0.999)))
        return proof.requestsNeeded(
            logThreshold: logThreshold, rate: min(rate, 0.99), share: share, odds: min(max(odds, 0.05), 20),
            discount: mode.proofDiscount)
    }
}

/// Against the baseline: the odds of being slower than `factor` times its quantile are below those of the baseline for
/// being slower than the quantile. A proof against the baseline waives that of the ceiling; without it, the share of
/// requests above the ceiling is below what the quantile allows.
private struct LatencyProof: Hashable, Codable, Sendable {
    private var relative: OddsRatioProcess?
    private var absolute: BetaBinomialMixture?

    init(_ check: LatencyCheck) {
        if check.maxIncrease != nil {
            relative = OddsRatioProcess(bound: 1, alternatives: Alternatives.better, restarts: .never, cap: nil)
        } else {
            let bound = ErrorsProcess.clamp(1 - check.quantile)
            absolute = BetaBinomialMixture(bound: bound, null: .atLeast, a: 0.5, b: 0.5 / bound)
        }
    }

    mutating func observe(_ stratum: Stratum, discount: Double) {
        relative?.observe(stratum, discount: discount)
        absolute?.observe(stratum.candidate, discount: discount)
    }

    var logEvidence: Double { relative?.logEvidence ?? absolute?.logEvidence ?? 0 }

    func requestsNeeded(
        logThreshold: Double, rate: Double, share: Double, odds: Double, discount: Double
    ) -> Double? {
        relative.map {
            $0.requestsNeeded(logThreshold: logThreshold, rate: rate, share: share, odds: odds, discount: discount)
        }
            ?? absolute?.trialsNeeded(
                logThreshold: logThreshold, rate: RateCeiling.shifted(rate, oddsBy: odds), discount: discount)
    }
}
