import PolicyModel
import Statistics
import Vocabulary

/// The result of a quality check, from the evidence of its groups.
extension SequentialJudge {
    func result(of quality: GroupsProcess, _ state: CheckState, _ policy: String) -> CheckResult {
        var measurements: [Measurement] = []
        var missing: [String] = []
        var isAnyJudged = false
        var unproven: [QualityProcess] = []
        var weakest: (proof: Double, name: String) = (.infinity, "")
        let revertAt = threshold(state)
        let strongest = quality.evidence
        // All groups together may have sufficient evidence though none has alone. Then the strongest is named.
        let failing = strongest.value >= revertAt ? strongest.part : nil
        for group in quality.groups {
            for bound in group.bounds {
                let m = measure(bound, of: group, quality, revertAt: revertAt, failing: failing)
                isAnyJudged = isAnyJudged || m.verdict == .fail || m.verdict == .pass && !m.isTooSmall
                if m.verdict == .noData { missing.append("\(m.subject): \(m.note)") }
                if m.verdict == .pass, !m.isTooSmall {
                    if bound.proofEvidence < weakest.proof { weakest = (bound.proofEvidence, m.subject) }
                    if bound.proofEvidence < proofThreshold { unproven.append(bound) }
                }
                measurements.append(m)
            }
        }
        if let last = unproven.min(by: { $0.proofEvidence < $1.proofEvidence }) {
            missing.append(words(last, weakest.name, others: unproven.count - 1))
        }
        func add(_ subject: String, _ verdict: Verdict, _ note: MeasurementNote) {
            let bound = quality.check.maxDrop ?? quality.check.maxRise ?? 0
            measurements.append(
                Measurement(
                    subject: subject, unit: quality.check.unit, bound: bound, verdict: verdict, notes: [note]))
        }
        for attribute in quality.unseen {
            let note = MeasurementNote.unseenAttribute
            let isReported = quality.check.small == .report
            add(attribute, isReported ? .pass : .noData, note)
            if !isReported { missing.append("\(attribute): \(note.words)") }
        }
        if quality.overflow {
            let note = MeasurementNote.tooManyGroups(limit: GroupsProcess.maximumGroups)
            add("further groups", .noData, note)
            missing.append(note.words)
        }
        if let note = quality.lateness.note(quality.check) {
            if measurements.isEmpty { add("late labels", .noData, note) }
            measurements.hold(for: note)
            missing.append(note.words)
        }
        // Small groups may be left out beside others, but not if no other group is left.
        if !isAnyJudged {
            for i in measurements.indices { measurements[i].verdict = .noData }
            let hasRows = measurements.contains { $0.candidateSamples > 0 && $0.baselineSamples > 0 }
            if missing.isEmpty {
                missing.append(
                    hasRows
                        ? "no group has \(quality.check.minSamples) samples of both arms yet"
                        : "no labeled feedback of both arms yet")
            }
        }
        let verdict = ThresholdJudge.worst(measurements.map(\.verdict))
        var result = CheckResult(
            policy: policy, check: state.check.name, action: state.check.action, verdict: verdict, measured: verdict,
            measurements: measurements, proven: verdict == .pass && missing.isEmpty,
            missing: missing.joined(separator: "; "), waitsOnlyForPromotion: true)
        result.evidence = evidence(of: state, strongest, proof: weakest.proof.isFinite ? weakest.proof : 0)
        return result
    }

    private func measure(
        _ bound: QualityProcess, of group: GroupProcess, _ quality: GroupsProcess, revertAt: Double, failing: String?
    ) -> Measurement {
        let check = quality.check
        let rows = bound.sinceStart
        var m = Measurement(
            subject: group.label, unit: check.unit, candidate: bound.mean(.candidate), baseline: bound.mean(.baseline),
            candidateSamples: UInt64(rows.rows(.candidate)), baselineSamples: UInt64(rows.rows(.baseline)),
            bound: bound.margin * (bound.range ?? .unit).width, value: bound.drop, verdict: .pass)
        m.difference = quality.isKeyed ? nil : bound.difference
        let value = quality.evidence(of: bound, in: group)
        let isStrongest = failing == group.label && group.bounds.allSatisfy { $0.evidence <= bound.evidence }
        if value >= revertAt || isStrongest {
            m.verdict = .fail
            m.notes = [.evidence(value: isStrongest ? quality.evidence.value : value, revertAt: revertAt)]
        } else if min(rows.rows(.candidate), rows.rows(.baseline)) < check.minSamples {
            let needed = UInt64(max(check.minSamples, 0))
            let (mine, theirs) = (m.candidateSamples, m.baselineSamples)
            switch check.small {
            case .report: m.notes = [.tooSmallToJudge(candidate: mine, baseline: theirs, needed: needed)]
            case .block:
                m.verdict = .noData
                m.notes = [.fewRows(candidate: mine, baseline: theirs, needed: needed)]
            }
        }
        if bound.outside > 0 { m.notes.append(.scoresOutOfRange(count: bound.outside, bound.range ?? .unit)) }
        return m
    }

    /// The proof of the weakest group as text, such as `sex=Female: proof 1.4 : 1 of 20 : 1, about 900 more rows of the
    /// candidate; 2 more groups are not proven either`.
    private func words(_ bound: QualityProcess, _ name: String, others: Int) -> String {
        let proof = "\(CheckEvidence.odds(bound.proofEvidence)) of \(CheckEvidence.odds(proofThreshold))"
        var words = "\(name): proof \(proof)"
        let rows = bound.sinceStep.rows(.candidate)
        if bound.proofEvidence > 0.2, rows > 0 {
            // Evidence grows with the rows, about evenly.
            let more = Double(rows) * (proofThreshold / bound.proofEvidence - 1)
            words += ", about \(CheckEvidence.grouped(UInt64(saturating: min(more, 1e12)))) more rows of the candidate"
        }
        if others > 0 { words += "; \(others) more \(others == 1 ? "group is" : "groups are") not proven either" }
        return words
    }
}
