import PolicyModel
import Statistics
import Vocabulary

extension ThresholdMeasurement {
    func measure(_ errors: ErrorsCheck) -> [Measurement] {
        guard errors.from == .proxy else { return measureScraped(errors) }
        return compare(
            errors, candidate: share(.candidate, errors.counted), baseline: share(.baseline, errors.counted))
    }

    func measure(_ clientErrors: ClientErrorsCheck) -> [Measurement] {
        let bounds = ErrorsCheck(maxIncrease: clientErrors.maxIncrease, floor: clientErrors.floor)
        let responses = outcomes(.candidate).responses
        return ClientErrorSets.Part.allCases.flatMap { part in
            let set = sets[part]
            return compare(bounds, candidate: share(.candidate, set), baseline: share(.baseline, set)).map { m in
                var m = m
                m.subject = part.rawValue
                if m.notes.isEmpty { m.notes = responses.statuses(set) }
                return m
            }
        }
    }

    private func outcomes(_ arm: Arm) -> OutcomeCounts {
        startedFrom == nil
            ? snapshot.observations.counts(arm, since: since)
            : snapshot.observations.summary(arm, since: since).outcomes
    }

    /// The share of judged requests whose response code is in a set.
    private func share(_ arm: Arm, _ set: ResponseSet) -> Proportion {
        let outcomes = outcomes(arm)
        return Proportion(outcomes.count(set), of: outcomes.judged)
    }

    /// True if a latency check has the requests that it needs, but too few of their responses can be timed.
    var hasNothingToTime: Bool { [Arm.candidate, .baseline].contains { untimed($0) != nil } }

    /// The reason why too few of an arm's responses can be timed; nil if enough can.
    private func untimed(_ arm: Arm) -> MeasurementNote? {
        guard case .latency(let latency) = check.kind, latency.from == .proxy else { return nil }
        let outcomes = snapshot.observations.summary(arm, since: since).outcomes
        let timed = outcomes.judged - outcomes.clientError
        guard outcomes.judged >= need, timed < need else { return nil }
        return .untimedResponses(outcomes.responses.untimed(of: outcomes.judged, arm: arm))
    }

    func compare(_ errors: ErrorsCheck, candidate: Proportion, baseline: Proportion) -> [Measurement] {
        var measurements: [Measurement] = []
        if let ceiling = errors.max {
            var m = measurement("ceiling", .ratio, candidate, baseline, bound: ceiling)
            if let few = fewSamples(candidate.trials, nil) {
                m.notes = [few]
            } else {
                decide(
                    &m, isBeyond: candidate.rate ?? 0 > ceiling, isSurely: candidate.lowerBound() > ceiling,
                    baselineBeyond: baseline.lowerBound() > ceiling && !candidate.isAbove(baseline, times: 1))
            }
            measurements.append(m)
        }
        if let increase = errors.maxIncrease {
            let bound = max((baseline.rate ?? 0) * (1 + increase), errors.floor)
            var m = measurement("increase", .ratio, candidate, baseline, bound: bound)
            if let few = fewSamples(candidate.trials, baseline.trials) {
                m.notes = [few]
            } else {
                decide(
                    &m, isBeyond: candidate.rate ?? 0 > bound,
                    isSurely: candidate.isAbove(baseline, times: 1 + increase)
                        && candidate.lowerBound() > errors.floor)
            }
            measurements.append(m)
        }
        return measurements
    }

    func measure(_ latency: LatencyCheck) -> [Measurement] {
        guard latency.from == .proxy else { return measureScraped(latency) }
        // After a counted failure each request is counted once, when it is known whether it was slower than the bound.
        let until = age > 0 ? now - age : .max
        let from = after.map { max(now - check.limits.window.nanoseconds, $0.startedUpTo) } ?? since
        func sample(_ arm: Arm) -> ProxyLatency {
            ProxyLatency(summary: snapshot.observations.summary(arm, since: from, until: until), measure: latency.of)
        }
        return compare(latency, candidate: sample(.candidate), baseline: sample(.baseline))
    }

    func compare(_ latency: LatencyCheck, candidate c: some LatencySample, baseline b: some LatencySample)
        -> [Measurement]
    {
        let p = latency.quantile
        let candidate = c.quantile(p)
        let baseline = b.quantile(p)
        var measurements: [Measurement] = []
        if let ceiling = latency.max?.seconds {
            var m = measurement("ceiling", candidate, baseline, bound: ceiling)
            // Requests are counted against the bound, since an open request that is older than the bound is known to be
            // slower.
            let mine = c.exceeding(ceiling)
            let theirs = b.exceeding(ceiling)
            m.candidateSamples = mine.trials
            m.baselineSamples = theirs.trials
            let span = c.span(around: ceiling)
            let isBeyond = c.isBeyond(ceiling, quantile: p)
            if let note = fewSamples(mine.trials, nil) {
                m.notes = [untimed(.candidate) ?? note]
            } else if let span, !isBeyond, c.exceeding(span: span).rate ?? 0 > 1 - p {
                m.verdict = .inconclusive
                m.notes = [between(ceiling, span, c)]
            } else {
                decide(
                    &m, isBeyond: isBeyond, isSurely: mine.lowerBound() > 1 - p,
                    baselineBeyond: theirs.lowerBound() > 1 - p && !mine.isAbove(theirs, times: 1))
            }
            measurements.append(m)
        }
        if latency.maxIncrease != nil {
            measurements += LatencyProcess.quantiles(latency).map { increase(latency, at: $0, c, b) }
        }
        return measurements
    }

    /// Compares the arms at one quantile.
    private func increase(
        _ latency: LatencyCheck, at p: Double, _ c: some LatencySample, _ b: some LatencySample
    ) -> Measurement {
        let (candidate, baseline) = (c.quantile(p), b.quantile(p))
        let theirValue = baseline?.value ?? 0
        let bound = max(theirValue * (1 + (latency.maxIncrease ?? 0)), theirValue + latency.floor.seconds)
        let subject = latency.isDistribution ? MeasurementNote.name(ofQuantile: p) : "increase"
        var m = measurement(subject, candidate, baseline, bound: bound)
        let mine = c.exceeding(bound)
        m.candidateSamples = mine.trials
        if let note = fewSamples(mine.trials, baseline?.samples ?? 0) {
            m.notes = [untimed(.candidate) ?? untimed(.baseline) ?? note]
        } else if let span = c.span(around: bound), span.upper == nil, c.exceeding(span: span).rate ?? 0 > 1 - p {
            m.verdict = .inconclusive
            m.notes = [between(bound, span, c)]
        } else if bound.isFinite {
            let theirs = b.exceeding(theirValue)
            decide(
                &m, isBeyond: c.isBeyond(bound, quantile: p) || candidate.map { $0.value > bound } ?? false,
                isSurely: mine.isAbove(theirs, times: 1))
            if m.verdict == .inconclusive, let span = c.span(around: bound), mine.rate ?? 0 <= theirs.rate ?? 0 {
                m.notes = [between(bound, span, c)]
            }
        } else {
            m.verdict = .inconclusive
            m.notes = [.baselineQuantileIsError(MeasurementNote.name(ofQuantile: p))]
        }
        return m
    }

    private func between(_ bound: Double, _ span: BucketSpan, _ sample: some LatencySample) -> MeasurementNote {
        func share(_ proportion: Proportion) -> String { Measurement.format(proportion.rate ?? 0, .ratio) }
        var note = "\(Measurement.format(bound, .seconds)) lies \(span.words(.seconds))"
        if let lower = span.lower {
            note += "; \(share(sample.exceeding(span: span))) took longer than \(Measurement.format(lower, .seconds))"
        }
        if let upper = span.upper {
            note += "; \(share(sample.exceeding(upper))) longer than \(Measurement.format(upper, .seconds))"
        }
        return .boundBetweenEdges("\(note); \(span.advice(.seconds))")
    }

    /// Sets the verdict of a measurement.
    /// - Parameters:
    ///   - isBeyond: true if the value is beyond the bound.
    ///   - isSurely: true if it is so by more than two standard errors.
    ///   - baselineBeyond: true if the baseline is surely beyond the bound as well, and the candidate is not worse.
    func decide(_ m: inout Measurement, isBeyond: Bool, isSurely: Bool, baselineBeyond: Bool = false) {
        if !isBeyond {
            m.verdict = .pass
        } else if baselineBeyond {
            m.verdict = .inconclusive
            m.notes = [.baselineBeyondBound]
        } else if isSurely {
            m.verdict = .fail
        } else {
            m.verdict = .inconclusive
            m.notes = [.withinError]
        }
    }

    func measurement(
        _ subject: String, _ unit: MeasureUnit, _ candidate: Proportion, _ baseline: Proportion, bound: Double
    ) -> Measurement {
        Measurement(
            subject: subject, unit: unit, candidate: candidate.rate, baseline: baseline.rate,
            candidateSamples: candidate.trials, baselineSamples: baseline.trials, bound: bound, value: candidate.rate,
            verdict: .noData)
    }

    func measurement(
        _ subject: String, _ candidate: (value: Double, samples: UInt64)?,
        _ baseline: (value: Double, samples: UInt64)?, bound: Double
    ) -> Measurement {
        Measurement(
            subject: subject, unit: .seconds, candidate: candidate?.value, baseline: baseline?.value,
            candidateSamples: candidate?.samples ?? 0, baselineSamples: baseline?.samples ?? 0, bound: bound,
            value: candidate?.value, verdict: .noData)
    }
}

/// Latencies that the proxy measured.
struct ProxyLatency: LatencySample {
    let summary: ArmSummary
    let measure: LatencyMeasure

    func quantile(_ p: Double) -> (value: Double, samples: UInt64)? { summary.quantile(p, of: measure) }

    func isBeyond(_ seconds: Double, quantile p: Double) -> Bool { quantile(p).map { $0.value > seconds } ?? false }

    /// Always nil: the proxy's buckets are so fine that any bound counts as an edge.
    func span(around seconds: Double) -> BucketSpan? { nil }

    func exceeding(span: BucketSpan) -> Proportion { Proportion(0, of: 0) }

    func exceeding(_ seconds: Double) -> Proportion {
        let (slower, of) = summary.exceedances(measure, atOrAbove: Self.bucketAbove(seconds))
        return Proportion(slower, of: of)
    }

    /// The lowest bucket all of which is above the threshold.
    private static func bucketAbove(_ seconds: Double) -> Int {
        let microseconds = UInt32(saturating: (seconds * 1e6).rounded(.up))
        let bucket = LatencyBuckets.index(microseconds)
        return LatencyBuckets.lowerBound(bucket) >= UInt64(microseconds) ? bucket : bucket + 1
    }
}

extension LatencyCheck {
    /// The name of the check's quantile, such as `P95` or `P99.9`.
    public var quantileName: String {
        let hundredths = Int(saturating: quantile * 10_000)
        let rest = hundredths % 100
        if rest == 0 { return "P\(hundredths / 100)" }
        return "P\(hundredths / 100)." + (rest % 10 == 0 ? "\(rest / 10)" : rest < 10 ? "0\(rest)" : "\(rest)")
    }
}
