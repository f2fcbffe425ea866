import PolicyModel
import Statistics
import Vocabulary

extension SequentialJudge {
    /// The evidence of each check, with its path `policy/check`. A replay compares these with the stored ones.
    public var evidence: [(path: String, evidence: CheckEvidence)] {
        states.compactMap { state in
            let policy = String(state.path.prefix { $0 != "/" })
            return result(of: state, policy: policy).evidence.map { (state.path, $0) }
        }
    }

    func result(of state: CheckState, policy: String) -> CheckResult {
        switch state.process {
        case .errors(let shared):
            let process = shared.value
            return result(of: state, policy, CheckProgress(process), measure(process))
        case .clientErrors(let shared):
            let process = shared.value
            return result(of: state, policy, CheckProgress(process), measure(process))
        case .latency(let shared):
            let process = shared.value
            return result(of: state, policy, CheckProgress(process), measure(process))
        case .quality(let shared): return result(of: shared.value, state, policy)
        }
    }

    private func result(
        of state: CheckState, _ policy: String, _ progress: CheckProgress, _ measurements: consuming [Measurement]
    ) -> CheckResult {
        var evidence = evidence(of: state, progress.evidence, proof: progress.proof)
        let fails = evidence.value >= evidence.revertAt
        let seen = progress.requests
        let verdict: Verdict = fails ? .fail : !progress.isReady || seen < Self.fewestInStep ? .noData : .pass
        evidence.requestsNeeded = state.needed
        if let needed = state.needed, seen > 0, progress.seconds > 0 {
            evidence.secondsNeeded = needed * Double(progress.seconds) / Double(seen)
        }
        let isProven = evidence.proof >= proofThreshold && verdict == .pass
        for i in measurements.indices {
            let isDecisive =
                measurements.count == 1 || measurements[i].subject == evidence.part || evidence.part == "keys"
            measurements[i].verdict = verdict == .fail && !isDecisive ? .pass : verdict
            if verdict == .fail, isDecisive { measurements[i].notes = notes(state, measurements[i], evidence) }
        }
        var result = CheckResult(
            policy: policy, check: state.check.name, action: state.check.action, verdict: verdict, measured: verdict,
            measurements: measurements, proven: isProven, missing: isProven ? "" : missing(state, progress, evidence))
        result.evidence = evidence
        result.needsMoreThanTraffic =
            verdict == .noData && (hasNothingToTime(state, progress) || hasNoQuantile(state, progress))
        return result
    }

    private func missing(_ state: CheckState, _ progress: CheckProgress, _ evidence: CheckEvidence) -> String {
        if !progress.isReady, let latency = state.process.latency {
            let known = profile[latency.check.of].total
            if known < BaselineProfile.fewestSamples {
                return "\(known) of \(BaselineProfile.fewestSamples) requests of the baseline"
            }
            return hasNoQuantile(state, progress)
                ? "so many of the baseline's requests fail that this quantile of it is an error"
                : "the baseline's \(latency.check.quantileName) is known, and is looked up with the next requests"
        }
        if hasNothingToTime(state, progress) { return untimed }
        guard progress.requests >= Self.fewestInStep else {
            return "\(progress.requests) of \(Self.fewestInStep) requests on the candidate in this step"
        }
        return needs(state, evidence, progress.requests)
    }

    /// True if the baseline's quantile, which a latency check compares with, lies among its errors.
    private func hasNoQuantile(_ state: CheckState, _ progress: CheckProgress) -> Bool {
        guard !progress.isReady, let latency = state.process.latency else { return false }
        let profile = profile[latency.check.of]
        return profile.total >= BaselineProfile.fewestSamples && profile.quantile(latency.check.quantile) == nil
    }

    /// True if the candidate has as many requests as a step needs, but so many of its responses are 4xx, which are not
    /// timed, that the others are too few.
    private func hasNothingToTime(_ state: CheckState, _ progress: CheckProgress) -> Bool {
        guard state.measure != nil, inStep.step == step, progress.requests < Self.fewestInStep else { return false }
        let timed = inStep.requests - inStep.responses.count(.untimed)
        return inStep.requests >= Self.fewestInStep && timed < Self.fewestInStep
    }

    private var untimed: String {
        inStep.responses.untimed(of: inStep.requests, arm: .candidate)
    }

    func evidence(
        of state: CheckState, _ strongest: (value: Double, part: String), proof: Double
    ) -> CheckEvidence {
        var evidence = CheckEvidence(
            value: strongest.value, revertAt: threshold(state), proof: proof, promoteAt: proofThreshold,
            weight: state.weight, part: strongest.part, trace: state.trace)
        switch state.process {
        case .errors(let errors):
            (evidence.mode, evidence.overdispersion) = (
                errors.value.mode, profile.overdispersion(of: errors.value.counted)
            )
        case .clientErrors(let clientErrors):
            let part = clientErrors.value[clientErrors.value.strongest]
            (evidence.mode, evidence.overdispersion) = (part.mode, profile.overdispersion(of: part.counted))
        case .latency(let latency):
            (evidence.mode, evidence.overdispersion) = (latency.value.mode, profile.latencyOverdispersion)
        case .quality: break
        }
        return evidence
    }

    /// What a proof still needs, as text, such as `about 2,300 more requests, 14 min at this rate`.
    private func needs(_ state: CheckState, _ evidence: CheckEvidence, _ seen: Int) -> String {
        guard let requests = evidence.requestsNeeded else {
            // An estimate from few requests, or from an earlier step, says nothing yet.
            if min(seen, state.neededFrom) < Self.fewestForNoEnd {
                return "\(seen) requests in this step, too few to say how many more"
            }
            return "no end in sight at this rate: " + reasonWithoutEnd(state)
        }
        let count = CheckEvidence.about(requests)
        // New keys come more and more rarely, so the time that they take cannot be estimated.
        if isKeyed { return "about \(count) more keys" }
        guard let seconds = evidence.secondsNeeded, seconds < 1e9 else { return "about \(count) more requests" }
        return "about \(count) more requests, \(Self.span(seconds)) at this rate"
    }

    /// The reason why no number of requests proves a check.
    private func reasonWithoutEnd(_ state: CheckState) -> String {
        guard let least = state.process.leastProven, least.bound == .ceiling else {
            return "what was seen is too close to the bound, or beyond it"
        }
        return least.isBaselineNear
            ? "the baseline itself is too close to 'max', or beyond it; write a higher one, or unlessBaselineExceeds: true"
            : "what was seen is too close to 'max', or beyond it"
    }

    static func span(_ seconds: Double) -> String {
        if seconds < 90 { return "\(Int(saturating: seconds.rounded(.up))) s" }
        if seconds < 5400 { return "\(Int(saturating: seconds / 60)) min" }
        if seconds < 172_800 { return "\(Measurement.decimals(seconds / 3600, 1)) h" }
        return "\(Int(saturating: seconds / 86_400)) days"
    }

    // MARK: - What was measured

    private func measure(_ errors: ErrorsProcess) -> [Measurement] {
        let (c, b) = (errors.sinceStart.candidate, errors.sinceStart.baseline)
        let difference = errors.difference
        func against(_ subject: String, _ bound: Double) -> Measurement {
            var m = Measurement(
                subject: subject, unit: .ratio, candidate: c.rate, baseline: b.rate,
                candidateSamples: UInt64(c.trials), baselineSamples: UInt64(b.trials), bound: bound, value: c.rate,
                verdict: .noData)
            m.difference = difference
            return m
        }
        var measurements: [Measurement] = []
        if let max = errors.check.max { measurements.append(against("ceiling", max)) }
        if let increase = errors.check.maxIncrease {
            measurements.append(against("increase", max((b.rate ?? 0) * (1 + increase), errors.check.floor)))
        }
        return measurements
    }

    private func measure(_ clientErrors: ClientErrorsProcess) -> [Measurement] {
        ClientErrorSets.Part.allCases.map { part in
            var m = measure(clientErrors[part])[0]
            m.subject = part.rawValue
            // The bets are on odds, which differ from shares where many requests are refused.
            let odds = 1 + (clientErrors[part].check.maxIncrease ?? 0)
            let b = m.baseline ?? 0
            m.bound = max(odds * b / (1 - b + odds * b), clientErrors[part].check.floor)
            m.notes = inStart.statuses(clientErrors[part].counted)
            return m
        }
    }

    private func measure(_ latency: LatencyProcess) -> [Measurement] {
        let check = latency.check
        let mine = candidate[check.of == .total ? 0 : 1]
        let theirs = profile[check.of]
        func against(_ subject: String, _ quantile: Double, _ bound: (Double?) -> Double) -> Measurement {
            let (c, b) = (mine.seconds(quantile), theirs.seconds(quantile))
            return Measurement(
                subject: subject, unit: .seconds, candidate: c, baseline: b, candidateSamples: UInt64(mine.total),
                baselineSamples: UInt64(theirs.total), bound: bound(b), value: c, verdict: .noData)
        }
        var measurements: [Measurement] = []
        if let max = check.max { measurements.append(against("ceiling", check.quantile) { _ in max.seconds }) }
        if let increase = check.maxIncrease {
            let quantile = latency.strongestQuantile
            var m = against("increase", quantile) { theirs in
                max((theirs ?? 0) * (1 + increase), (theirs ?? 0) + check.floor.seconds)
            }
            if quantile != check.quantile { m.notes = [.strongestAtQuantile(quantile)] }
            m.difference = latency.difference(baseline: theirs.seconds(check.quantile))
            if quantile != check.quantile { m.difference?.quantile = check.quantile }
            measurements.append(m)
        }
        return measurements
    }

    /// The notes of a measurement that fails its check.
    private func notes(_ state: CheckState, _ m: Measurement, _ evidence: CheckEvidence) -> [MeasurementNote] {
        let failures = state.measure.flatMap { self.failures($0, beyond: m.bound) }
        let others = failures != nil && m.hasNoEnd ? [] : m.notes
        return [failures].compactMap(\.self) + others
            + [.evidence(value: evidence.value, revertAt: evidence.revertAt)]
    }

    /// The counts of failed requests, if they are most of what was too slow; otherwise nil.
    private func failures(_ measure: LatencyMeasure, beyond seconds: Double) -> MeasurementNote? {
        let mine = candidate[measure == .total ? 0 : 1]
        let theirs = profile[measure]
        guard 2 * mine.failed > mine.slower(than: seconds), mine.failedShare > theirs.failedShare else { return nil }
        func count(_ arm: LatencyProfile) -> MeasurementNote.FailedRequests {
            MeasurementNote.FailedRequests(failed: UInt64(arm.failed), total: UInt64(arm.total))
        }
        return .failsMore(candidate: count(mine), baseline: count(theirs))
    }
}
