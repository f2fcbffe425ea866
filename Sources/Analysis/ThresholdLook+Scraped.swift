import PolicyModel

/// Checks whose data come from the servers' own metrics.
extension ThresholdLook {
    /// How both arms' counters grew; after a counted failure the candidate's since then, beside the baseline's over the
    /// whole window.
    private var deltas: (baseline: SeriesDelta, candidate: SeriesDelta)? {
        let start = now - check.limits.window.nanoseconds
        guard let both = snapshot.series.deltas(from: start, to: now) else { return nil }
        guard let after else { return both }
        let fresh = snapshot.series.delta(of: .candidate, from: start, to: now, after: after.scrapes)
        return fresh.map { (both.baseline, $0) }
    }

    func measureScraped(_ errors: ErrorsCheck) -> [Measurement] {
        let bound = errors.max ?? errors.maxIncrease ?? 0
        guard let (baseline, candidate) = deltas else {
            return [missingScrapes("errors", .ratio, bound: bound)]
        }
        var proportions: [Proportion] = []
        for (arm, delta) in [(Arm.candidate, candidate), (.baseline, baseline)] {
            guard let requests = delta.requests, let failed = delta.errors else {
                return [
                    Measurement(
                        subject: "errors", unit: .ratio, bound: bound, verdict: .noData,
                        note: "the servers show no requests and errors yet")
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
                return [
                    Measurement(
                        subject: "latency", unit: .seconds, bound: bound, verdict: .error,
                        note: "\(latency.quantileName): unavailable: \(why)")
                ]
            }
            let population = ScrapedLatency(delta).population
            guard Proportion(counted: 0, of: population) != nil else {
                return [uncountable("latency", .seconds, bound: bound, arm, population)]
            }
        }
        return compare(latency, candidate: ScrapedLatency(candidate), baseline: ScrapedLatency(baseline))
    }

    /// Evidence that is no count is an error, which holds the rollout; a number cut to what fits would give a verdict.
    private func uncountable(
        _ subject: String, _ unit: MeasureUnit, bound: Double, _ arm: Arm, _ requests: Double
    ) -> Measurement {
        Measurement(
            subject: subject, unit: unit, bound: bound, verdict: .error,
            note: "the \(arm.name)'s metrics grew by \(requests) requests within the window, which cannot be counted: "
                + "check what the servers show")
    }

    /// A gauge as a plain bound over fresh scrapes in a row; a rate or a histogram's quantile over the window, of both
    /// arms. Not part of any risk budget: one value is one value.
    func measure(_ metric: MetricCheck) -> [Measurement] {
        if let why = snapshot.series.unavailable(metric.query, of: .candidate) {
            return [Measurement(subject: metric.series, unit: .plain, bound: 0, verdict: .error, note: why)]
        }
        let values: (candidate: [Double], baseline: [Double])
        switch metric.aggregate {
        case .max, .min, .sum, .mean:
            // After a counted failure at least one scrape must be new.
            if let after, !snapshot.series.hasScrapes(of: .candidate, after: after.scrapes) { return [] }
            let start = now - check.limits.window.nanoseconds
            func recent(_ arm: Arm) -> [Double] {
                snapshot.series.gauges(metric.query, of: arm, last: metric.forScrapes, since: start).compactMap {
                    $0.aggregated(by: metric.aggregate)
                }
            }
            values = (recent(.candidate), recent(.baseline))
        case .rate, .quantile:
            func grown(_ delta: SeriesDelta?) -> [Double] { delta.flatMap { increase($0, metric) }.map { [$0] } ?? [] }
            values = (grown(deltas?.candidate), grown(deltas?.baseline))
        }
        let needed = isGauge(metric) ? metric.forScrapes : 1
        guard values.candidate.count >= needed else {
            var m = missingScrapes(metric.series, .plain, bound: metric.max ?? metric.min ?? 0)
            if m.verdict == .noData, !values.candidate.isEmpty {
                m.note = "\(values.candidate.count) of \(needed) fresh scrapes"
            }
            return [m]
        }
        return bounds(metric, candidate: values.candidate, baseline: values.baseline.first)
    }

    private func bounds(_ metric: MetricCheck, candidate: [Double], baseline: Double?) -> [Measurement] {
        func measurement(_ subject: String, _ bound: Double, atMost: Bool, _ isBeyond: (Double) -> Bool) -> Measurement
        {
            let isBad = candidate.allSatisfy(isBeyond)
            return Measurement(
                subject: subject, unit: .plain, candidate: candidate.first, baseline: baseline, bound: bound,
                value: candidate.first, atMost: atMost, verdict: isBad ? .fail : .pass)
        }
        var measurements: [Measurement] = []
        if let max = metric.max { measurements.append(measurement(metric.series, max, atMost: true) { $0 > max }) }
        if let min = metric.min { measurements.append(measurement(metric.series, min, atMost: false) { $0 < min }) }
        if let increase = metric.maxIncrease {
            if let baseline {
                let bound = max(baseline + abs(baseline) * increase, metric.floor ?? -.infinity)
                var m = measurement("increase", bound, atMost: true) { $0 > bound }
                // The loader asks for a floor; plans that were pinned before it did have none.
                if m.verdict == .fail, baseline == 0, metric.floor == nil {
                    m.verdict = .inconclusive
                    m.note = "the baseline is at 0, which nothing can be compared with: give the check a floor"
                }
                measurements.append(m)
            } else {
                measurements.append(missingScrapes("increase", .plain, bound: 0))
            }
        }
        return measurements
    }

    private func isGauge(_ metric: MetricCheck) -> Bool {
        switch metric.aggregate {
        case .max, .min, .sum, .mean: true
        case .rate, .quantile: false
        }
    }

    private func increase(_ delta: SeriesDelta, _ metric: MetricCheck) -> Double? {
        switch (delta.series[metric.query], metric.aggregate) {
        case (.counter(_, let perSecond), .rate): perSecond
        case (.histogram(let histogram), .quantile(let p)): histogram.quantile(p)?.value
        default: nil
        }
    }

    /// No data where scrapes are still to come; an error where they fail.
    private func missingScrapes(_ subject: String, _ unit: MeasureUnit, bound: Double) -> Measurement {
        for arm in [Arm.candidate, .baseline] {
            let servers = snapshot.series.freshness(of: arm)
            if servers.isEmpty {
                return Measurement(
                    subject: subject, unit: unit, bound: bound, verdict: .error,
                    note: "the \(arm.name) is not scraped: give its version metrics: {preset: …} in the service's file")
            }
            let isStale = servers.allSatisfy { ($0.lastSuccess ?? .min) < since && $0.consecutiveFailures > 0 }
            if isStale, let worst = servers.first {
                return Measurement(
                    subject: subject, unit: unit, bound: bound, verdict: .error,
                    note: "\(worst.server) could not be scraped: \(worst.lastFailure ?? "")")
            }
        }
        return Measurement(
            subject: subject, unit: unit, bound: bound, verdict: .noData, note: "too few scrapes of both arms yet")
    }
}

/// Latencies of one arm, wherever they come from.
protocol LatencySample {
    /// The p-quantile in seconds and how many samples it rests on; nil without samples.
    func quantile(_ p: Double) -> (value: Double, samples: UInt64)?
    /// How many were slower than a threshold in seconds, counted in the candidate's favour where buckets are coarse.
    func exceeding(_ seconds: Double) -> Proportion
}

struct ScrapedLatency: LatencySample {
    let delta: SeriesDelta

    init(_ delta: SeriesDelta) { self.delta = delta }

    private var histogram: CumulativeHistogram? {
        if case .histogram(let histogram) = delta.latency { histogram } else { nil }
    }

    /// Answered and failed requests; 0 without a histogram. It may be more than can be counted.
    var population: Double { histogram.map { $0.total + delta.slower } ?? 0 }

    func quantile(_ p: Double) -> (value: Double, samples: UInt64)? {
        guard let estimate = delta.latencyQuantile(p), let all = Proportion(counted: 0, of: population) else {
            return nil
        }
        return (estimate.value, all.trials)
    }

    func exceeding(_ seconds: Double) -> Proportion {
        guard let histogram else { return Proportion(0, of: 0) }
        let edge = histogram.bounds.firstIndex { $0 >= seconds } ?? histogram.bounds.count - 1
        let within = edge < histogram.counts.count ? histogram.counts[edge] : 0
        return Proportion(counted: max(population - within, 0), of: population) ?? Proportion(0, of: 0)
    }
}
