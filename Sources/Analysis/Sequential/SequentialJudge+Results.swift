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
        let step = state.errors?.sinceStep ?? state.latency?.sinceStep ?? Stratum()
        let measurements = state.errors.map(measure) ?? state.latency.map(measure) ?? []
        let speaking = state.errors?.evidence ?? state.latency?.evidence ?? (value: 0, part: "")
        let proof = state.errors?.proofEvidence ?? state.latency?.proofEvidence ?? 0
        let revertAt = threshold(state)
        let fails = speaking.value >= revertAt
        let seen = step.candidate.trials
        let isReady = state.latency?.isReady ?? true
        let verdict: Verdict = fails ? .fail : !isReady || seen < Self.fewestInStep ? .noData : .pass
        var evidence = CheckEvidence(
            value: speaking.value, revertAt: revertAt, proof: proof, promoteAt: proofThreshold, weight: state.weight,
            part: speaking.part, dependence: "", trace: state.trace)
        evidence.requestsNeeded = state.needed
        let seconds = state.errors?.secondsInStep ?? state.latency?.secondsInStep ?? 0
        if let needed = state.needed, seen > 0, seconds > 0 {
            evidence.secondsNeeded = needed * Double(seconds) / Double(seen)
        }
        if let errors = state.errors { evidence.dependence = errors.lane.words(profile.errorOverdispersion) }
        if state.latency != nil { evidence.dependence = profile.latencyLane.words(profile.latencyOverdispersion) }
        let isProven = proof >= proofThreshold && verdict == .pass
        let missing =
            isProven
            ? ""
            : !isReady
                ? profile[state.latency?.check.of ?? .total].total >= BaselineProfile.fewestSamples
                    ? "so many of the baseline's requests fail that this quantile of it is an error"
                    : "\(profile[state.latency?.check.of ?? .total].total) of \(BaselineProfile.fewestSamples) requests of the baseline"
                : verdict == .noData
                    ? "\(seen) of \(Self.fewestInStep) requests on the candidate in this step" : needs(evidence, seen)
        return finish(state, policy, verdict, measurements, evidence, isProven, missing)
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
    private func needs(_ evidence: CheckEvidence, _ seen: Int) -> String {
        guard let requests = evidence.requestsNeeded else {
            if seen < Self.fewestToTell { return "\(seen) requests in this step, too few to say how many more" }
            return "no end in sight at this rate, it is too close to the bound"
        }
        let count = CheckEvidence.about(requests)
        guard let seconds = evidence.secondsNeeded, seconds < 1e9 else { return "about \(count) more requests" }
        return "about \(count) more requests, \(Self.span(seconds)) at this rate"
    }

    static func span(_ seconds: Double) -> String {
        if seconds < 90 { return "\(Int(seconds.rounded(.up))) s" }
        if seconds < 5400 { return "\(Int((seconds / 60).rounded())) min" }
        if seconds < 172_800 { return "\(Measurement.decimals(seconds / 3600, 1)) h" }
        return "\(Int((seconds / 86_400).rounded())) days"
    }

    // MARK: - What was measured

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
            let quantile = latency.loudestQuantile
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

    // MARK: - Groups

    private func result(of quality: GroupsProcess, _ state: CheckState, _ policy: String) -> CheckResult {
        let revertAt = threshold(state)
        let least = quality.check.minSamples
        var measurements: [Measurement] = []
        var missing: [String] = []
        var loudest: (value: Double, name: String) = (0, "")
        var weakest = Double.infinity
        for group in quality.groups {
            let name = group.name.isEmpty ? "all rows" : group.name
            for bound in group.bounds {
                let rows = bound.sinceStart
                var m = Measurement(
                    subject: name, unit: .points, candidate: rows.mean(.candidate), baseline: rows.mean(.baseline),
                    candidateSamples: UInt64(rows.rows(.candidate)), baselineSamples: UInt64(rows.rows(.baseline)),
                    bound: bound.margin, value: bound.drop, verdict: .noData)
                let value = bound.evidence - group.penalty
                if value > loudest.value { loudest = (value, name) }
                let isSmall = min(rows.rows(.candidate), rows.rows(.baseline)) < least
                if value >= revertAt {
                    m.verdict = .fail
                    m.note =
                        "evidence \(CheckEvidence.odds(value)) against a sound candidate, reverts at "
                        + CheckEvidence.odds(revertAt)
                } else if isSmall {
                    m.verdict = quality.check.small == .report ? .pass : .noData
                    m.note = "\(m.candidateSamples) and \(m.baselineSamples) of \(least) samples"
                    if quality.check.small == .report {
                        m.note = "\(Measurement.tooSmall): \(m.note)"
                    } else {
                        missing.append("\(name): \(m.note)")
                    }
                } else {
                    m.verdict = .pass
                    weakest = min(weakest, bound.proofEvidence)
                    if bound.proofEvidence < proofThreshold {
                        missing.append(
                            "\(name): proof \(CheckEvidence.odds(bound.proofEvidence)) of "
                                + CheckEvidence.odds(proofThreshold) + needs(bound))
                    }
                }
                measurements.append(m)
            }
        }
        for attribute in quality.unseen {
            let isReported = quality.check.small == .report
            measurements.append(
                Measurement(
                    subject: attribute, unit: .points, bound: quality.check.maxDrop ?? quality.check.maxRise ?? 0,
                    verdict: isReported ? .pass : .noData, note: "no feedback with this attribute yet"))
            if !isReported { missing.append("\(attribute): no feedback with this attribute yet") }
        }
        if quality.overflow {
            let note =
                "more than \(GroupsProcess.maximumGroups) groups: the others are not judged; name those that matter"
            measurements.append(
                Measurement(
                    subject: "further groups", unit: .points,
                    bound: quality.check.maxDrop ?? quality.check.maxRise ?? 0,
                    verdict: .noData, note: note))
            missing.append(note)
        }
        // Small groups may stand aside of others, never of nothing.
        if !measurements.contains(where: { $0.verdict == .fail || $0.verdict == .pass && !$0.isTooSmall }) {
            for i in measurements.indices { measurements[i].verdict = .noData }
            if measurements.allSatisfy({ $0.candidateSamples == 0 || $0.baselineSamples == 0 }) {
                if missing.isEmpty { missing.append("no labelled feedback of both arms yet") }
            } else if missing.isEmpty {
                missing.append("no group has \(least) samples of both arms yet")
            }
        }
        let verdict = ThresholdJudge.worst(measurements.map(\.verdict))
        var evidence = CheckEvidence(
            value: loudest.value, revertAt: revertAt, proof: weakest.isFinite ? weakest : 0,
            promoteAt: proofThreshold, weight: state.weight, part: loudest.name, dependence: "", trace: state.trace)
        evidence.requestsNeeded = nil
        var result = CheckResult(
            policy: policy, check: state.check.name, mode: state.check.mode, verdict: verdict, measured: verdict,
            measurements: measurements, proven: verdict == .pass && missing.isEmpty,
            missing: missing.joined(separator: "; "), waitsOnlyForPromotion: true)
        result.evidence = evidence
        return result
    }

    /// `, about 900 more rows of the candidate`.
    private func needs(_ bound: QualityProcess) -> String {
        let rows = bound.sinceStep.rows(.candidate)
        guard bound.proofEvidence > 0.2, rows > 0 else { return "" }
        // Evidence grows with the rows, about evenly.
        let more = Double(rows) * (proofThreshold / bound.proofEvidence - 1)
        return ", about \(CheckEvidence.grouped(UInt64(min(more, 1e12)))) more rows of the candidate"
    }
}
