import PolicyModel
import Statistics

extension SequentialJudge {
    /// What each check holds, `policy/check` with it: what a replay is compared by.
    public var evidence: [(path: String, evidence: CheckEvidence)] {
        states.compactMap { state in
            let policy = String(state.path.prefix { $0 != "/" })
            return result(of: state, policy: policy).evidence.map { (state.path, $0) }
        }
    }

    func result(of state: CheckState, policy: String) -> CheckResult {
        if let quality = state.quality { return result(of: quality, state, policy) }
        let measurements = measure(state)
        var evidence = evidence(of: state, proof: state.proof)
        let fails = evidence.value >= evidence.revertAt
        let seen = state.sinceStep.candidate.trials
        let verdict: Verdict = fails ? .fail : !state.isReady || seen < Self.fewestInStep ? .noData : .pass
        evidence.requestsNeeded = state.needed
        if let needed = state.needed, seen > 0, state.secondsInStep > 0 {
            evidence.secondsNeeded = needed * Double(state.secondsInStep) / Double(seen)
        }
        let isProven = evidence.proof >= proofThreshold && verdict == .pass
        let missing = isProven ? "" : missing(state, evidence, seen)
        var result = finish(state, policy, verdict, measurements, evidence, isProven, missing)
        result.needsMoreThanTraffic = verdict == .noData && (hasNothingToTime(state) || hasNoQuantile(state))
        return result
    }

    private func missing(_ state: CheckState, _ evidence: CheckEvidence, _ seen: Int) -> String {
        if let latency = state.latency, !latency.isReady {
            let known = profile[latency.check.of].total
            if known < BaselineProfile.fewestSamples {
                return "\(known) of \(BaselineProfile.fewestSamples) requests of the baseline"
            }
            return hasNoQuantile(state)
                ? "so many of the baseline's requests fail that this quantile of it is an error"
                : "the baseline's \(latency.check.quantileName) is known, and is looked up with the next requests"
        }
        if hasNothingToTime(state) { return untimed }
        guard seen >= Self.fewestInStep else {
            return "\(seen) of \(Self.fewestInStep) requests on the candidate in this step"
        }
        return needs(state, evidence, seen)
    }

    /// The baseline's own quantile, which a check compares with, lies among its errors.
    private func hasNoQuantile(_ state: CheckState) -> Bool {
        guard let latency = state.latency, !latency.isReady else { return false }
        let profile = profile[latency.check.of]
        return profile.total >= BaselineProfile.fewestSamples && profile.quantile(latency.check.quantile) == nil
    }

    /// The candidate has the requests of a step, but so many of its responses are 4xx, which are not timed, that the
    /// others are too few.
    private func hasNothingToTime(_ state: CheckState) -> Bool {
        guard state.latency != nil, inStep.step == step, state.sinceStep.candidate.trials < Self.fewestInStep else {
            return false
        }
        let timed = inStep.requests - inStep.responses.count(.untimed)
        return inStep.requests >= Self.fewestInStep && timed < Self.fewestInStep
    }

    private var untimed: String {
        inStep.responses.untimed(of: inStep.requests, arm: .candidate)
    }

    func evidence(of state: CheckState, proof: Double) -> CheckEvidence {
        let speaking = state.evidence
        var evidence = CheckEvidence(
            value: speaking.value, revertAt: threshold(state), proof: proof, promoteAt: proofThreshold,
            weight: state.weight, part: speaking.part, trace: state.trace)
        if let errors = state.errors {
            (evidence.mode, evidence.overdispersion) = (errors.mode, profile.overdispersion(of: errors.counted))
        } else if let clientErrors = state.clientErrors {
            let strongest = clientErrors[clientErrors.strongest]
            (evidence.mode, evidence.overdispersion) = (strongest.mode, profile.overdispersion(of: strongest.counted))
        } else if state.latency != nil {
            (evidence.mode, evidence.overdispersion) = (profile.latencyMode, profile.latencyOverdispersion)
        }
        return evidence
    }

    private func finish(
        _ state: CheckState, _ policy: String, _ verdict: Verdict, _ measurements: [Measurement],
        _ evidence: CheckEvidence, _ isProven: Bool, _ missing: String
    ) -> CheckResult {
        var measurements = measurements
        for i in measurements.indices {
            let speaks = measurements.count == 1 || measurements[i].subject == evidence.part || evidence.part == "keys"
            measurements[i].verdict = verdict == .fail && !speaks ? .pass : verdict
            if verdict == .fail, speaks { measurements[i].note = notes(state, measurements[i], evidence) }
        }
        var result = CheckResult(
            policy: policy, check: state.check.name, mode: state.check.mode, verdict: verdict, measured: verdict,
            measurements: measurements, proven: isProven, missing: missing)
        result.evidence = evidence
        return result
    }

    /// `about 2,300 more requests, 14 min at this rate`.
    private func needs(_ state: CheckState, _ evidence: CheckEvidence, _ seen: Int) -> String {
        guard let requests = evidence.requestsNeeded else {
            // What was estimated from few, or in an earlier step, says nothing yet.
            if min(seen, state.neededFrom) < Self.fewestToTell {
                return "\(seen) requests in this step, too few to say how many more"
            }
            return "no end in sight at this rate: what was seen is too close to the bound, or beyond it"
        }
        let count = CheckEvidence.about(requests)
        guard let seconds = evidence.secondsNeeded, seconds < 1e9 else { return "about \(count) more requests" }
        return "about \(count) more requests, \(Self.span(seconds)) at this rate"
    }

    static func span(_ seconds: Double) -> String {
        if seconds < 90 { return "\(Int(saturating: seconds.rounded(.up))) s" }
        if seconds < 5400 { return "\(Int(saturating: seconds / 60)) min" }
        if seconds < 172_800 { return "\(Measurement.decimals(seconds / 3600, 1)) h" }
        return "\(Int(saturating: seconds / 86_400)) days"
    }

    // MARK: - What was measured

    private func measure(_ state: CheckState) -> [Measurement] {
        if let errors = state.errors { return measure(errors) }
        if let clientErrors = state.clientErrors { return measure(clientErrors) }
        if let latency = state.latency { return measure(latency) }
        return []
    }

    private func measure(_ errors: ErrorsProcess) -> [Measurement] {
        let (c, b) = (errors.sinceStart.candidate, errors.sinceStart.baseline)
        func against(_ subject: String, _ bound: Double) -> Measurement {
            Measurement(
                subject: subject, unit: .ratio, candidate: c.rate, baseline: b.rate,
                candidateSamples: UInt64(c.trials), baselineSamples: UInt64(b.trials), bound: bound, value: c.rate,
                verdict: .noData)
        }
        var measurements: [Measurement] = []
        if let max = errors.check.max { measurements.append(against("ceiling", max)) }
        if let increase = errors.check.maxIncrease {
            measurements.append(against("increase", max((b.rate ?? 0) * (1 + increase), errors.check.floor)))
        }
        return measurements
    }

    private func measure(_ clientErrors: ClientErrorsProcess) -> [Measurement] {
        ClientErrorsProcess.Part.allCases.map { part in
            var m = measure(clientErrors[part])[0]
            m.subject = part.rawValue
            // What is bet on are odds; where many requests are refused, they differ from the shares.
            let odds = 1 + (clientErrors[part].check.maxIncrease ?? 0)
            let b = m.baseline ?? 0
            m.bound = max(odds * b / (1 - b + odds * b), clientErrors[part].check.floor)
            m.note = inStart.words(clientErrors[part].counted)
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
            var m = against("increase", quantile) { ($0 ?? 0) * (1 + increase) }
            if quantile != check.quantile { m.note = "shows most at P\(Measurement.decimals(quantile * 100, 2))" }
            measurements.append(m)
        }
        return measurements
    }

    /// What a failed measurement needs beside its numbers.
    private func notes(_ state: CheckState, _ m: Measurement, _ evidence: CheckEvidence) -> String {
        let failures = state.latency.map { self.failures($0.check.of, beyond: m.bound) } ?? ""
        let quantile = !failures.isEmpty && m.hasNoEnd ? "" : m.note
        let odds =
            "evidence \(evidence.odds) against a sound candidate, reverts at \(CheckEvidence.odds(evidence.revertAt))"
        return [failures, quantile, odds].filter { !$0.isEmpty }.joined(separator: "; ")
    }

    /// Where most of what was too slow are failed requests, that is said; otherwise nothing.
    private func failures(_ measure: LatencyMeasure, beyond seconds: Double) -> String {
        let mine = candidate[measure == .total ? 0 : 1]
        let theirs = profile[measure]
        guard 2 * mine.failed > mine.slower(than: seconds), mine.failedShare > theirs.failedShare else { return "" }
        func count(_ arm: LatencyProfile) -> String {
            "\(CheckEvidence.grouped(UInt64(arm.failed))) of \(CheckEvidence.grouped(UInt64(arm.total)))"
        }
        return "\(Measurement.failsMore): \(count(mine)) against \(count(theirs)) on the baseline"
    }
}
