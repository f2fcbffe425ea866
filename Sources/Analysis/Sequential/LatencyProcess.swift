import PolicyModel
import Statistics

/// The evidence, for a revert and for a promotion, about bounds on a quantile of latency or on the whole distribution.
struct LatencyProcess: Hashable, Codable, Sendable {
    /// The number of seconds between two updates of the baseline's quantiles.
    static let refresh: Int64 = 10

    let check: LatencyCheck
    /// The evidence against the ceiling.
    private var ceiling: RateProcess?
    /// The evidence that the candidate is slower than the baseline allows.
    private var ratio: LatencyRatioProcess?
    /// The evidence from the order of all requests, for a check of the distribution, where it and `ratio` have half of
    /// the wealth each. Nil for a check of a quantile, and in the mode `ticks`.
    private var order: LatencyOrderProcess?
    /// The evidence that replaces that of `ratio` if the mode is `ticks`, because slow requests cluster strongly.
    private var ratioByTick: TickProcess?
    /// A summand of ln E, at most 0: what was lost before the mode of betting changed, or, under sticky routing, the
    /// logarithm of the present cohort's share of the risk.
    private var carried = 0.0
    /// The interval of the ratio of the arms' quantiles; nil if traffic is assigned by key, and without `maxIncrease`.
    private var interval: QuantileInterval?
    /// The buckets at which `interval` compares the arms: that of the baseline's quantile, and those of its multiples
    /// by `QuantileInterval.ratios` for the candidate.
    private var intervalPoint: Int?
    private var intervalLimits: [Int]?
    private(set) var mode: CountingMode
    private var proof: LatencyProof
    private var step: UInt16?
    private var second: Int64?
    private var refreshedAt: Int64?
    /// The points at which the arms are compared, from the baseline's quantiles in earlier seconds; empty until these
    /// are known.
    private var points: [Point] = []
    /// The requests that were judged in the step, and as hits those slower than the point that is shown or, without a
    /// bound on the increase, than the ceiling.
    private(set) var sinceStep = Stratum()
    private(set) var secondsInStep: Int64 = 0

    /// A quantile of the baseline, and the thresholds that the candidate's requests are compared with there, as
    /// buckets.
    private struct Point: Hashable, Codable, Sendable {
        var baseline: Int
        /// The bound rounded up: for a revert, a tie counts in the candidate's favor.
        var revert: Int
        /// The bound rounded down: for a promotion, a tie counts against the candidate.
        var proof: Int
    }

    init(_ check: LatencyCheck, mode: CountingMode, isKeyed: Bool = false) {
        self.check = check
        interval = isKeyed || check.maxIncrease == nil ? nil : QuantileInterval()
        self.mode = mode
        ceiling = check.max.map { _ in
            RateProcess(RateBounds(ceiling: ErrorsProcess.clamp(1 - check.quantile)), mode: mode)
        }
        if check.maxIncrease != nil {
            ratio = Self.makeRatio(check)
            if case .ticks = mode { ratioByTick = Self.makeTickProcess() }
            if check.isDistribution, ratioByTick == nil { order = LatencyOrderProcess() }
        }
        proof = LatencyProof(check)
    }

    private static func makeRatio(_ check: LatencyCheck) -> LatencyRatioProcess {
        check.isDistribution
            ? LatencyRatioProcess()
            : LatencyRatioProcess(alternatives: [LatencyRatioProcess.odds(at: check.quantile)])
    }

    private static func makeTickProcess() -> TickProcess { TickProcess(factor: 1, clip: 0.5) }

    /// The quantiles at which the arms are compared.
    static func quantiles(_ check: LatencyCheck) -> [Double] {
        check.isDistribution ? LatencyRatioProcess.quantiles : [check.quantile]
    }

    private var ceilingBucket: Int {
        let microseconds = (check.max?.nanoseconds ?? 0) / 1000
        return LatencyBuckets.index(UInt32(clamping: microseconds))
    }

    /// The longest latency that a request is compared with, in seconds.
    var longestThreshold: Double {
        let increase = points.map(\.revert).filter { $0 < LatencyBuckets.count }.max().map {
            Double(LatencyBuckets.upperBound($0)) / 1e6
        }
        return max(check.max?.seconds ?? 0, increase ?? 0)
    }

    /// Begins another cohort of keys. Its keys may be the same as those before, so it bets anew, with its own share of
    /// the risk.
    mutating func beginCohort(shareOfRisk: Double) {
        carried = ln(shareOfRisk)
        if ceiling != nil {
            ceiling = RateProcess(RateBounds(ceiling: ErrorsProcess.clamp(1 - check.quantile)), mode: mode)
        }
        guard ratio != nil else { return }
        ratio = Self.makeRatio(check)
        if ratioByTick != nil { ratioByTick = Self.makeTickProcess() }
        if order != nil { order = LatencyOrderProcess() }
    }

    /// - Parameters:
    ///   - counts: the tick's counts of the check's measure.
    ///   - proofCounts: the tick's counts for the proof, which under sticky routing takes each key once per step.
    mutating func observe(
        _ tick: LatencyTick, _ counts: LatencyCounts, proof proofCounts: LatencyCounts, _ profile: BaselineProfile
    ) {
        if step != tick.step {
            ceiling?.weightChanged()
            ratio?.weightChanged()
            order?.weightChanged()
            interval?.weightChanged()
            proof.restart(check)
            step = tick.step
            sinceStep = Stratum()
            secondsInStep = 0
        }
        let gap = Int(max(1, tick.second - (second ?? tick.second - 1)))
        second = tick.second
        secondsInStep += Int64(gap)
        updatePoints(profile[check.of], at: tick.second)
        var absolute: Stratum?
        if ceiling != nil {
            // Requests in the ceiling's own bucket may be on either side of it. For a revert they count as below.
            let beyond = counts.beyond(candidate: ceilingBucket + 1, baseline: ceilingBucket + 1)
            ceiling?.observe(beyond, seconds: gap)
            if check.maxIncrease == nil { sinceStep += beyond }
            absolute = proofCounts.beyond(candidate: ceilingBucket, baseline: ceilingBucket)
        }
        if check.maxIncrease != nil, !points.isEmpty {
            let strata = points.map { counts.beyond(candidate: $0.revert, baseline: $0.baseline) }
            let shown = min(strata.count - 1, Self.shown)
            sinceStep += strata[shown]
            if ratioByTick != nil {
                ratioByTick?.observe(strata[shown])
            } else {
                ratio?.observe(strata, seconds: gap, discount: mode.proofDiscount)
                observeOrder(counts, seconds: gap)
            }
        }
        observeInterval(counts, seconds: gap)
        guard check.maxIncrease == nil || !points.isEmpty else { return }
        let relative = points.prefix(Self.proven).map {
            proofCounts.beyond(candidate: $0.proof, baseline: $0.baseline, censored: $0.baseline)
        }
        proof.observe(relative, absolute, seconds: gap, discount: mode.proofDiscount)
    }

    private mutating func observeOrder(_ counts: LatencyCounts, seconds: Int) {
        guard order != nil, let increase = check.maxIncrease, points.count == 3 else { return }
        var baseline: [UInt16] = []
        var candidate: [UInt16] = []
        func append(_ bucket: Int, _ requests: Int, to places: inout [UInt16]) {
            places += repeatElement(bucket < LatencyBuckets.count ? UInt16(bucket) : .max, count: requests)
        }
        // A request of which only a lower bound is known counts in the candidate's favor: the candidate's as that fast,
        // the baseline's as slower than all others. Within a bucket the baseline's requests count as slower as well.
        counts.forEachBucket(.candidate, censored: false) { append($0, $1, to: &candidate) }
        let known = candidate.count
        counts.forEachBucket(.candidate, censored: true) { append($0, $1, to: &candidate) }
        if candidate.count > known { candidate.sort() }
        counts.forEachBucket(.baseline, censored: false) { append(place(ofBaseline: $0, increase), $1, to: &baseline) }
        counts.forEachBucket(.baseline, censored: true) { append(LatencyBuckets.count, $1, to: &baseline) }
        order?.observe(
            baseline: baseline, candidate: candidate, knots: points.map { UInt16($0.revert) }, seconds: seconds,
            discount: mode.proofDiscount)
    }

    /// The place of the baseline's requests in a bucket: that of the longest latency that the candidate may have instead
    /// of any of them.
    func place(ofBaseline bucket: Int, _ increase: Double) -> Int {
        bucket + 1 < LatencyBuckets.count ? limit(of: bucket + 1, increase) : LatencyBuckets.count
    }

    private mutating func observeInterval(_ counts: LatencyCounts, seconds: Int) {
        guard let between = interval?.isBetweenStrata, !points.isEmpty else { return }
        let point = points[min(points.count - 1, Self.shown)].baseline
        if between, point != intervalPoint {
            intervalPoint = point
            let microseconds = Double(LatencyBuckets.lowerBound(point))
            intervalLimits = QuantileInterval.ratios.map {
                LatencyBuckets.index(UInt32(saturating: (microseconds * $0).rounded(.down)))
            }
        }
        guard let baseline = intervalPoint, let limits = intervalLimits else { return }
        let theirs = counts.tally(.baseline, baseline)
        interval?.observe(seconds: seconds, discount: mode.proofDiscount) {
            // Requests in the bucket of a point may be on either side of it.
            let limit = limits[$0]
            return (
                Stratum(candidate: counts.tally(.candidate, limit + 1), baseline: theirs),
                Stratum(candidate: counts.tally(.candidate, limit), baseline: theirs)
            )
        }
    }

    /// The interval of the candidate's quantile less the baseline's, in seconds, at the quantile that the check names
    /// or by which a distribution is shown.
    /// - Parameter seconds: the baseline's quantile.
    func difference(baseline seconds: Double?) -> DifferenceInterval? {
        guard let interval, let seconds, seconds.isFinite else { return nil }
        let (low, high) = (interval.lowest ?? 0, interval.highest ?? .infinity)
        guard low > 0 || high < .infinity else { return nil }
        return DifferenceInterval((low - 1) * seconds...max(high - 1, low - 1) * seconds)
    }

    /// The index of the quantile of a distribution that is shown, and that the mode `ticks` judges.
    private static let shown = LatencyRatioProcess.quantiles.firstIndex(of: LatencyCheck.shownOfDistribution) ?? 0
    /// The number of a distribution's quantiles that have to be proven. The last is left out, since too few requests
    /// are beyond it.
    static let proven = 2

    /// Updates the points from the baseline's requests before this tick. Points move only between strata, since all
    /// requests of a stratum have to be counted at the same points.
    private mutating func updatePoints(_ profile: LatencyProfile, at second: Int64) {
        guard let increase = check.maxIncrease, refreshedAt.map({ second < $0 || second - $0 >= Self.refresh }) ?? true,
            profile.total >= BaselineProfile.fewestSamples, ratio?.isBetweenStrata ?? true, proof.isBetweenStrata
        else { return }
        // If so many requests fail that the check's own quantile is an error, there is no speed to compare. Quantiles
        // of a distribution are those of successes: after an outage the tail would consist of errors, which would then
        // be compared without the floor of an errors check.
        guard let own = profile.quantile(check.quantile) else { return }
        refreshedAt = second
        let buckets =
            check.isDistribution ? LatencyRatioProcess.quantiles.compactMap(profile.quantileOfSuccesses) : [own]
        points = buckets.map { bucket in
            let limit = limit(of: bucket, increase)
            return Point(baseline: bucket, revert: limit + 1, proof: limit)
        }
    }

    /// The bucket of the longest latency that the candidate may have if the baseline's quantile is the lower bound of
    /// `bucket`.
    private func limit(of bucket: Int, _ increase: Double) -> Int {
        let microseconds = Double(LatencyBuckets.lowerBound(bucket))
        let floor = Double(check.floor.nanoseconds) / 1000
        let value = max(microseconds * (1 + increase), microseconds + floor)
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
                ratio = Self.makeRatio(check)
                ratioByTick = Self.makeTickProcess()
                order = nil
            }
        }
        mode = new
    }

    /// ln E for a revert, and the bound that it comes from: the larger of the two, each of which has half of the risk.
    var evidence: (value: Double, part: String) {
        let half = ceiling != nil && ratio != nil ? -ln(2) : 0
        var best = (value: -Double.infinity, part: "increase")
        if let ceiling { best = (ceiling.logEvidence + half, "ceiling") }
        if let ratio {
            let both = order.map { logAddExp(ratio.logEvidence, $0.logEvidence) - ln(2) } ?? ratio.logEvidence
            let value = (ratioByTick?.logEvidence ?? both) + half
            if value > best.value { best = (value, "increase") }
        }
        return (best.value + carried, best.part)
    }

    /// The quantile at which the evidence for an increase of a distribution is strongest; for other checks, their own.
    var strongestQuantile: Double {
        guard check.isDistribution, let ratio, ratioByTick == nil, evidence.value > 0 else { return check.quantile }
        return LatencyRatioProcess.quantiles[ratio.strongestPoint]
    }

    var proofEvidence: Double { proof.logEvidence }
    /// The bound with the weakest proof.
    var leastProven: Bound { proof.leastProven }
    /// See `ErrorsProcess.isBaselineNearCeiling`.
    var isBaselineNearCeiling: Bool {
        proof.baselineAboveCeiling.map { $0 > ErrorsProcess.nearCeiling * (1 - check.quantile) } ?? false
    }
    /// False until the baseline's quantiles are known.
    var isReady: Bool { check.maxIncrease == nil || !points.isEmpty }

    /// See `ErrorsProcess.requestsNeeded`.
    func requestsNeeded(logThreshold: Double) -> Double? {
        let n = sinceStep.candidate.trials + sinceStep.baseline.trials
        guard n > 0 else { return nil }
        let share = min(max(Double(sinceStep.candidate.trials) / Double(n), 0.001), 0.999)
        return proof.requestsNeeded(logThreshold: logThreshold, share: share, discount: mode.proofDiscount)
    }
}

/// The evidence for a promotion. Against the baseline: the odds of being slower than the bound at its quantile are
/// below those of the baseline for being slower than the quantile. For a ceiling: the share of requests above it is
/// below what the quantile allows. All have to be proven.
private struct LatencyProof: Hashable, Codable, Sendable {
    private var relative: [OddsRatioProcess]
    private var absolute: BetaBinomialMixture?
    /// The counts of the open stratum: at each proven quantile, then at the ceiling.
    private var builder: StratumBuilder
    /// Watches for the baseline's incidents, which are left out of both proofs. They continue from step to step.
    private var incidents: [IncidentWatch]
    private var isIncident = false
    /// The requests of this step, counted at the points of `builder`.
    private var sinceStep: [Stratum]

    init(_ check: LatencyCheck) {
        let points = check.maxIncrease == nil ? 0 : LatencyProcess.quantiles(check).prefix(LatencyProcess.proven).count
        let process = OddsRatioProcess(bound: 1, alternatives: Alternatives.better, restarts: .never, cap: nil)
        relative = [OddsRatioProcess](repeating: process, count: points)
        absolute = check.provenMax.map { _ in
            let bound = ErrorsProcess.clamp(1 - check.quantile)
            return BetaBinomialMixture(bound: bound, null: .atLeast, a: 0.5, b: 0.5 / bound)
        }
        let all = points + (absolute == nil ? 0 : 1)
        builder = StratumBuilder(points: all)
        incidents = [IncidentWatch](repeating: IncidentWatch(), count: all)
        sinceStep = [Stratum](repeating: Stratum(), count: all)
    }

    /// Starts the proof again, for the next step.
    mutating func restart(_ check: LatencyCheck) {
        let watches = incidents
        self = LatencyProof(check)
        incidents = watches
    }

    var isBetweenStrata: Bool { builder.isEmpty }

    /// - Parameters:
    ///   - points: at each proven quantile, the candidate's requests beyond the bound and the baseline's beyond the
    ///     quantile.
    ///   - ceiling: the requests beyond the ceiling; nil without a ceiling.
    mutating func observe(_ points: [Stratum], _ ceiling: Stratum?, seconds: Int, discount: Double) {
        let tick = absolute == nil ? points : points + [ceiling ?? Stratum()]
        for i in tick.indices {
            incidents[i].observe(tick[i].baseline, seconds: seconds)
            isIncident = isIncident || incidents[i].isIncident(fewestHits: NonInferiorityProcess.incidentHits)
            sinceStep[i] += tick[i]
        }
        guard builder.add(tick, seconds: seconds, discount: discount) else { return }
        if !isIncident {
            for i in relative.indices { relative[i].observe(builder.open[i], discount: builder.discount) }
            absolute?.observe(builder.open[tick.count - 1].candidate, discount: builder.discount)
        }
        builder.clear()
        isIncident = false
    }

    /// ln E of the weakest proof.
    var logEvidence: Double {
        let least = relative.map(\.logEvidence).min() ?? .infinity
        return min(least, absolute?.logEvidence ?? .infinity)
    }

    /// The bound with the weakest proof.
    var leastProven: Bound {
        guard let absolute else { return .increase }
        return absolute.logEvidence < relative.map(\.logEvidence).min() ?? .infinity ? .ceiling : .increase
    }

    /// The share of the baseline's requests above the ceiling in this step; nil without a ceiling to be proven.
    var baselineAboveCeiling: Double? {
        absolute == nil ? nil : sinceStep[relative.count].baseline.smoothedRate
    }

    /// See `NonInferiorityProcess.requestsNeeded`: the number for the bound that needs most; nil if one is never
    /// proven.
    func requestsNeeded(logThreshold: Double, share: Double, discount: Double) -> Double? {
        var most = 0.0
        for (i, process) in relative.enumerated() {
            let (rate, seen) = (sinceStep[i].baseline.smoothedRate, sinceStep[i].candidate.smoothedRate)
            let odds = (seen / (1 - min(seen, 0.999))) / (rate / (1 - min(rate, 0.999)))
            guard
                let needed = process.requestsNeeded(
                    logThreshold: logThreshold, rate: min(rate, 0.99), share: share, odds: min(max(odds, 0.05), 20),
                    discount: discount)
            else { return nil }
            most = max(most, needed)
        }
        guard let absolute else { return most }
        let seen = sinceStep[relative.count].candidate.smoothedRate
        return absolute.trialsNeeded(logThreshold: logThreshold, rate: seen, discount: discount).map { max($0, most) }
    }
}
