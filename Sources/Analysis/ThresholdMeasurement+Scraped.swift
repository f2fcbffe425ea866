import PolicyModel
import Vocabulary

/// Checks whose data come from the servers' own metrics.
extension ThresholdMeasurement {
    /// The growth of both arms' counters over the window. After a counted failure the candidate's is the growth since
    /// then, while the baseline's is still that of the whole window.
    private var deltas: (baseline: SeriesDelta, candidate: SeriesDelta)? {
        let start = now - check.limits.window.nanoseconds
        guard let both = snapshot.series.deltas(from: start, to: now) else { return nil }
        guard let after else { return both }
        let fresh = snapshot.series.delta(of: .candidate, from: start, to: now, after: after.scrapes)
        return fresh.map { (both.baseline, $0) }
    }

    /// The growth of the arms' counters as in `deltas`, the baseline's only for a check that compares with it.
    private func growth(for metric: MetricCheck) -> (candidate: SeriesDelta, baseline: SeriesDelta?)? {
        guard metric.maxIncrease == nil else { return deltas.map { ($0.candidate, $0.baseline) } }
        let start = now - check.limits.window.nanoseconds
        return snapshot.series.delta(of: .candidate, from: start, to: now, after: after?.scrapes ?? [:]).map {
            ($0, nil)
        }
    }

    func measureScraped(_ errors: ErrorsCheck) -> [Measurement] {
        let bound = errors.max ?? errors.maxIncrease ?? 0
        guard let (baseline, candidate) = deltas else {
            return [missingScrapes("errors", .ratio, bound: bound)]
        }
        for arm in [Arm.candidate, .baseline] {
            if let stalled = snapshot.stalledPage(of: arm) { return [unusable("errors", .ratio, bound, stalled.words)] }
        }
        var proportions: [Proportion] = []
        for (arm, delta) in [(Arm.candidate, candidate), (.baseline, baseline)] {
            guard let requests = delta.requests, let failed = delta.errors else {
                if let why = snapshot.pageWithoutRequests(of: arm) { return [unusable("errors", .ratio, bound, why)] }
                return [
                    Measurement(
                        subject: "errors", unit: .ratio, bound: bound, verdict: .noData,
                        notes: [.noCountersYet])
                ]
            }
            guard let proportion = Proportion(counted: failed, of: max(requests, failed)) else {
                return [uncountable("errors", .ratio, bound: bound, arm, max(requests, failed))]
            }
            proportions.append(proportion)
        }
        return compare(errors, candidate: proportions[0], baseline: proportions[1])
    }

    func measureScraped(_ latency: LatencyCheck) -> [Measurement] {
        let bound = latency.max?.seconds ?? 0
        guard let (baseline, candidate) = deltas else {
            return [missingScrapes("latency", .seconds, bound: bound)]
        }
        for (arm, delta) in [(Arm.candidate, candidate), (.baseline, baseline)] {
            if case .unavailable(let why) = delta.latency {
                return [unusable("latency", .seconds, bound, "\(latency.quantileName): unavailable: \(why)")]
            }
            if let stalled = snapshot.stalledPage(of: arm) {
                return [unusable("latency", .seconds, bound, stalled.words)]
            }
            let population = ScrapedLatency(delta).population
            guard Proportion(counted: 0, of: population) != nil else {
                return [uncountable("latency", .seconds, bound: bound, arm, population)]
            }
        }
        return compare(latency, candidate: ScrapedLatency(candidate), baseline: ScrapedLatency(baseline))
    }

    /// The error for counters whose growth cannot be a number of requests. The rollout is held; clamping the growth
    /// would give a false verdict.
    private func uncountable(
        _ subject: String, _ unit: MeasureUnit, bound: Double, _ arm: Arm, _ requests: Double
    ) -> Measurement {
        Measurement(
            subject: subject, unit: unit, bound: bound, verdict: .error,
            notes: [.uncountable(arm, requests: requests)])
    }

    /// Compares a scraped series with its bounds: a gauge in each of the latest scrapes, a rate or a histogram's
    /// quantile over the window. These checks have no share of the risk.
    func measure(_ metric: MetricCheck) -> [Measurement] {
        if let why = snapshot.series.unavailable(metric.query, of: .candidate) {
            return [unusable(metric, why)]
        }
        switch metric.aggregate {
        case .max, .min, .sum, .mean: return measureGauge(metric)
        case .rate: return measureRate(metric)
        case .quantile(let quantile): return measureQuantile(metric, quantile)
        }
    }

    private func measureGauge(_ metric: MetricCheck) -> [Measurement] {
        // After a counted failure at least one scrape must be new.
        if let after, !snapshot.series.hasScrapes(of: .candidate, after: after.scrapes) { return [] }
        let start = now - check.limits.window.nanoseconds
        let readings = snapshot.series.gauges(metric.query, of: .candidate, last: metric.forScrapes, since: start)
        let values = readings.compactMap { reading in
            reading.aggregated(by: metric.aggregate) ?? (metric.absent == .zero && !reading.hasNaN ? 0 : nil)
        }
        if values.count == metric.forScrapes {
            let measurements = bounds(metric, candidate: values, baseline: nil)
            if !readings.contains(where: \.hasNaN) || ThresholdJudge.worst(measurements.map(\.verdict)) == .fail {
                return measurements
            }
        }
        if readings.contains(where: \.hasNaN) {
            let (bad, all) = snapshot.series.scrapesWithoutNumber(
                metric.query, of: .candidate, last: metric.forScrapes, since: start)
            let version = snapshot.series.name(of: .candidate)
            return [
                unusable(
                    metric, "\(metric.series) is not a number (NaN) in \(bad) of the last \(all) scrapes of \(version)")
            ]
        }
        if values.isEmpty { return [absent(metric)] }
        var m = missingScrapes(metric)
        if m.verdict == .noData { m.notes = [.fewFreshScrapes(seen: values.count, needed: metric.forScrapes)] }
        return [m]
    }

    private func measureRate(_ metric: MetricCheck) -> [Measurement] {
        if let why = metric.arms.lazy.compactMap({ snapshot.stalledPage(of: $0)?.words }).first {
            return [unusable(metric, why)]
        }
        guard let growth = growth(for: metric) else { return [missingScrapes(metric)] }
        func rate(_ delta: SeriesDelta, _ arm: Arm) -> Double? {
            switch delta.series[metric.query] {
            case .counter(_, let perSecond): return perSecond
            case .noData, nil: return countsAsZero(metric, arm) ? 0 : nil
            case .histogram, .unavailable: return nil
            }
        }
        if let unusable = unusable(metric, growth.candidate, growth.baseline) { return [unusable] }
        let baseline = growth.baseline.flatMap { rate($0, .baseline) }
        guard let candidate = rate(growth.candidate, .candidate), baseline != nil || metric.maxIncrease == nil else {
            return [absent(metric)]
        }
        return bounds(metric, candidate: [candidate], baseline: baseline)
    }

    /// True if a counter that is not shown counts as 0, since many counters appear only with their first event.
    private func countsAsZero(_ metric: MetricCheck, _ arm: Arm) -> Bool {
        metric.absent == .zero || snapshot.series.isKnownFamily(metric.query, of: arm)
    }

    private func measureQuantile(_ metric: MetricCheck, _ quantile: Double) -> [Measurement] {
        guard let growth = growth(for: metric) else { return [missingScrapes(metric)] }
        if let why = metric.arms.lazy.compactMap({ snapshot.stalledPage(of: $0)?.words }).first {
            return [unusable(metric, why)]
        }
        func histogram(_ delta: SeriesDelta) -> CumulativeHistogram? {
            if case .histogram(let histogram) = delta.series[metric.query] { histogram } else { nil }
        }
        if let unusable = unusable(metric, growth.candidate, growth.baseline) { return [unusable] }
        let baseline = growth.baseline.flatMap(histogram)
        guard let candidate = histogram(growth.candidate), baseline != nil || metric.maxIncrease == nil else {
            return [absent(metric)]
        }
        let counts = [candidate.total, baseline?.total ?? 0].map { Proportion(counted: 0, of: $0)?.trials }
        guard let mine = counts[0], let theirs = counts[1] else {
            let (arm, total) = counts[0] == nil ? (Arm.candidate, candidate.total) : (.baseline, baseline?.total ?? 0)
            return [unusable(metric, "\(arm.name): \(metric.series) grew by \(total), which cannot be counted")]
        }
        let few = fewSamples(mine, metric.maxIncrease == nil ? nil : theirs)
        guard few == nil, let estimate = candidate.quantile(quantile) else {
            var m = missingScrapes(metric)
            if m.verdict == .noData { m.notes = [few ?? .noObservations] }
            return [m]
        }
        var measurements = bounds(metric, candidate: [estimate.value], baseline: baseline?.quantile(quantile)?.value)
        for i in measurements.indices {
            measurements[i].candidateSamples = mine
            measurements[i].baselineSamples = theirs
            restrict(&measurements[i], to: estimate, of: candidate)
        }
        return measurements
    }

    /// Makes a verdict inconclusive if it does not hold for the whole bucket of the quantile. A comparison with the
    /// baseline that passes is kept, since both arms' values were estimated in the same way. A quantile above the
    /// highest finite edge fails an upper bound at that edge.
    private func restrict(_ m: inout Measurement, to estimate: QuantileEstimate, of histogram: CumulativeHistogram) {
        if !m.atMost, m.verdict == .fail, estimate.upper.isFinite, histogram.span(around: m.bound) == nil,
            histogram.edge(atOrAbove: m.bound) == histogram.edge(atOrAbove: estimate.upper)
        {
            m.verdict = .inconclusive
            m.notes = [.quantileInBoundBucket]
        }
        guard m.verdict == .pass || m.verdict == .fail else { return }
        guard let span = histogram.span(around: m.bound) else {
            // The bound is the highest edge, and the quantile is above it.
            if m.atMost, estimate.isLowerBound, estimate.lower >= m.bound { m.verdict = .fail }
            return
        }
        let isInside =
            estimate.upper > m.bound && (span.lower ?? -.infinity) <= estimate.lower && estimate.lower < m.bound
        guard isInside, m.verdict == .fail || m.subject != Self.increase || estimate.isLowerBound else { return }
        m.verdict = .inconclusive
        let bound = Measurement.format(m.bound, m.unit)
        m.notes = [
            .boundBetweenEdges("\(bound) lies \(span.words(m.unit)), as the quantile does; \(span.advice(m.unit))")
        ]
    }

    static let increase = "increase"

    private func bounds(_ metric: MetricCheck, candidate: [Double], baseline: Double?) -> [Measurement] {
        func measurement(_ subject: String, _ bound: Double, atMost: Bool, _ isBeyond: (Double) -> Bool) -> Measurement
        {
            let isBad = candidate.allSatisfy(isBeyond)
            // An infinite number of seconds would be shown as an error's latency.
            let isFinite = (candidate.first ?? 0).isFinite && (baseline ?? 0).isFinite
            var m = Measurement(
                subject: subject, unit: isFinite ? metric.shownUnit : .plain, candidate: candidate.first,
                baseline: baseline, bound: bound,
                value: candidate.first, atMost: atMost, verdict: isBad ? .fail : .pass)
            // The values are those of as many scrapes; a quantile has its observations instead.
            m.candidateSamples = UInt64(candidate.count)
            return m
        }
        var measurements: [Measurement] = []
        if let max = metric.max { measurements.append(measurement(metric.series, max, atMost: true) { $0 > max }) }
        if let min = metric.min { measurements.append(measurement(metric.series, min, atMost: false) { $0 < min }) }
        if let increase = metric.maxIncrease {
            if let baseline {
                let bound = max(baseline + abs(baseline) * increase, metric.floor ?? -.infinity)
                var m = measurement(Self.increase, bound, atMost: true) { $0 > bound }
                // Policy files must set a floor for a rate, but not for a quantile, and a rollout that an older canaryd
                // started may have none.
                if m.verdict == .fail, baseline == 0, metric.floor == nil {
                    m.verdict = .inconclusive
                    m.notes = [.baselineIsZero]
                }
                measurements.append(m)
            } else {
                measurements.append(missingScrapes(Self.increase, metric.shownUnit, bound: 0))
            }
        }
        return measurements
    }

    /// The error of a series that is shown but cannot be measured.
    private func unusable(_ metric: MetricCheck, _ why: String) -> Measurement {
        unusable(metric.series, metric.shownUnit, metric.shownBound, why)
    }

    /// The error if the growth of an arm's series cannot be measured; nil if it can.
    private func unusable(_ metric: MetricCheck, _ candidate: SeriesDelta, _ baseline: SeriesDelta?) -> Measurement? {
        for (arm, delta) in [(Arm.candidate, candidate as SeriesDelta?), (.baseline, baseline)] {
            if case .unavailable(let why) = delta?.series[metric.query] {
                return unusable(metric, "\(arm.name): \(why)")
            }
        }
        return nil
    }

    private func unusable(_ subject: String, _ unit: MeasureUnit, _ bound: Double, _ why: String) -> Measurement {
        Measurement(subject: subject, unit: unit, bound: bound, verdict: .error, notes: [.unusableSeries(why)])
    }

    /// The result without a value: an arm does not show the series, or scrapes are still to come.
    private func absent(_ metric: MetricCheck) -> Measurement {
        var m = missingScrapes(metric)
        guard m.verdict == .noData,
            let missing = metric.arms.lazy.compactMap({ snapshot.series.missing(metric.query, of: $0) }).first
        else { return m }
        m.notes = [.missingSeries(missing.words)]
        if missing.scrapes >= MissingSeries.scrapesUntilMissing { m.verdict = .error }
        return m
    }

    private func missingScrapes(_ metric: MetricCheck) -> Measurement {
        missingScrapes(metric.series, metric.shownUnit, bound: metric.shownBound, of: metric.arms)
    }

    /// The result without scrapes of these arms: noData if they are still to come, an error if they fail.
    private func missingScrapes(
        _ subject: String, _ unit: MeasureUnit, bound: Double, of arms: [Arm] = [.candidate, .baseline]
    ) -> Measurement {
        for arm in arms {
            let servers = snapshot.series.freshness(of: arm)
            if servers.isEmpty {
                return Measurement(
                    subject: subject, unit: unit, bound: bound, verdict: .error,
                    notes: [.notScraped(arm)])
            }
            let isStale = servers.allSatisfy { ($0.lastSuccess ?? .min) < since && $0.consecutiveFailures > 0 }
            if isStale, let server = servers.first {
                return Measurement(
                    subject: subject, unit: unit, bound: bound, verdict: .error,
                    notes: [.scrapesFail(server: "\(server.server)", reason: server.lastFailure ?? "")])
            }
        }
        return Measurement(
            subject: subject, unit: unit, bound: bound, verdict: .noData, notes: [.fewScrapes])
    }
}

extension MetricCheck {
    /// The arms whose series the check measures: the baseline's only if it compares with it. Gauges are never compared.
    fileprivate var arms: [Arm] { maxIncrease == nil ? [.candidate] : [.candidate, .baseline] }

    /// The bound that is shown where nothing was measured.
    fileprivate var shownBound: Double { max ?? min ?? floor ?? 0 }

    fileprivate var shownUnit: MeasureUnit { unit ?? .plain }
}
