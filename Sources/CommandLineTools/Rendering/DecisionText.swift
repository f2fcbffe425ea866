import AdminTypes
import Analysis

/// Formats a decision for an engineer on call: what was decided, why, and every number behind it.
enum DecisionText {
    /// - Parameter provenAt: the id of the decision with the proof, if it is another one.
    static func lines(
        _ decision: DecisionRecord, colored: Bool, isUnicode: Bool = true, provenAt: Int64? = nil
    ) -> [String] {
        func styled(_ text: String, _ style: Style) -> String { colored ? style.applied(to: text) : text }
        let event = decision.event
        let after =
            event.knownKind == .promoted
            ? "after it the candidate serves all" : "after it the candidate has \(event.candidateWeight.words)"
        let title = event.id.map { "decision \($0)" } ?? "decision"
        var lines = [
            styled("\(title): \(event.kind)", .bold) + " of \(plain(event.service))"
                + (event.rollout.map { ", rollout \(plain($0))" } ?? ""),
            "  \(plain(event.message))",
            styled("  \(event.at.short) UTC, decided by \(plain(event.by)); ", .dim)
                + styled(
                    "\(after), generation \(event.generation)", .dim),
        ]
        guard let evaluation = decision.evaluation else {
            return lines + ["", "No measurement belongs to this event: \(why(event))."]
        }
        lines += ["", arm("baseline", evaluation.baseline), arm("candidate", evaluation.candidate)]
        if let blindness = evaluation.blindness {
            lines.append("the agent could not trust its view: \(plain(blindness))")
        }
        if !evaluation.dataFlowing { lines.append("no judged request had come in lately: time did not count") }
        lines += PolicyArgumentText.lines(evaluation).map { "policy    \(plain($0))" }
        for check in evaluation.checks {
            // The proof is of no interest after a revert, or in the bake, which begins with the proof.
            let asksProof = event.knownKind != .reverted && provenAt == nil
            lines += [""] + explain(check, asksProof, EvidencePlot(isUnicode: isUnicode), styled: styled)
        }
        if let dependence = EvidenceText.dependence(evaluation.checks) { lines += ["", plain(dependence)] }
        if let provenAt {
            lines += ["", "The proof was complete when the bake began: canaryctl explain \(provenAt)"]
        }
        return lines
    }

    private static func why(_ event: EventRecord) -> String {
        switch event.by {
        case "policy" where event.knownKind == .rolloutStarted: "the strategy starts rollouts by itself"
        case "policy": "the rollout moved because its time was over and nothing failed"
        case "file": "the service's file asked for it"
        case "agent": "the agent did it by itself"
        default: "\(plain(event.by)) asked for it"
        }
    }

    private static func arm(_ name: String, _ arm: EvaluationStatus.ArmCondition) -> String {
        let servers = "\(arm.reachable) of \(arm.servers) servers reachable"
        let errors =
            "\(Words.count(arm.errors)) errors in \(Words.count(arm.requests)) requests since the rollout began"
        let recent = "\(Words.count(arm.recentErrors)) in \(Words.count(arm.recentRequests)) of the last 30 s"
        return "\(EventText.pad(name, 9)) \(errors), \(recent); \(servers)\(arm.down ? "; DOWN" : "")"
    }

    private static func explain(
        _ check: CheckStatus, _ asksProof: Bool, _ plot: EvidencePlot, styled: (String, Style) -> String
    ) -> [String] {
        let role = check.action.note.map { " (\($0))" } ?? ""
        var lines = [
            styled("\(check.verdict.mark) \(plain(check.policy))/\(plain(check.check))", check.verdict.style)
                + ": \(check.verdict.words)\(role)"
        ]
        if let evidence = check.evidence {
            lines += EvidenceText.sentences(check, evidence, asksProof: asksProof).flatMap { wrapped(plain($0)) }
            // A plot is drawn for the check that decided, and for others that have evidence.
            if let trace = evidence.trace, check.verdict == .fail || evidence.logEvidence.value > 1 {
                lines.append("")
                lines += plot.lines(trace, threshold: evidence.revertAt.value)
                lines.append("")
            }
        }
        lines += check.measurements.flatMap { wrapped(plain(words($0)), hang: 2) }
        if check.measurements.isEmpty { lines.append("    nothing was measured") }
        if check.failures > 0 || check.inconclusives > 0 || check.consecutiveErrors > 0 {
            lines.append(
                "    failed \(times(check.failures)) in this rollout (\(check.failureLimit) tolerated), "
                    + "inconclusive \(times(check.inconclusives)), \(check.consecutiveErrors) errors in a row")
        }
        if !check.missing.isEmpty, asksProof {
            lines.append("    still missing for a promotion: \(plain(check.missing))")
        }
        return lines
    }

    /// Wraps a text into indented lines of at most 100 characters; those after the first are indented by `hang` more.
    private static func wrapped(_ text: String, hang: Int = 0) -> [String] {
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ") {
            // `84 ms` and `12 : 1` stay together.
            let isGlued = [":", "ms", "s", "µs", "points"].contains { word.trimmed == $0 } || line.hasSuffix(" :")
            if !line.isEmpty, !isGlued, line.count + 1 + word.count > (lines.isEmpty ? 96 : 96 - hang) {
                lines.append(line)
                line = ""
            }
            line += (line.isEmpty ? "" : " ") + word
        }
        return (lines + [line]).enumerated().map { String(repeating: " ", count: $0 == 0 ? 4 : 4 + hang) + $1 }
    }

    private static func times(_ count: Int) -> String { count == 1 ? "once" : "\(count) times" }

    /// A measurement as a sentence, such as
    /// `sex=Female: fail. candidate 17.1%, baseline 53.9%: worse by 36.8 points; allowed: at most 15 points; …`.
    static func words(_ m: MeasurementStatus) -> String {
        let side = m.unit.ofValues
        let mine = Words.value(m.candidate, side)
        let theirs = Words.value(m.baseline, side)
        let candidateSamples = Words.count(m.candidateSamples, "sample") + " on the candidate"
        // A bound on the candidate alone has none of the baseline.
        let samples =
            m.baseline == nil && m.baselineSamples == 0
            ? candidateSamples : candidateSamples + ", \(Words.count(m.baselineSamples)) on the baseline"
        let limit = "\(m.atMost ? "at most" : "at least") \(Words.value(m.bound, m.unit))"
        guard m.value != nil else {
            return "\(m.subject): \(m.verdict.words), bound \(limit); \(m.note.isEmpty ? samples : m.note)"
        }
        let verdict = m.isTooSmall ? "shown only" : m.verdict.words
        var text = "\(m.subject): \(verdict). candidate \(mine), baseline \(theirs)"
        if side != m.unit { text += ": \(Words.held(m))" }
        if let difference = Words.difference(m) { text += "; difference \(difference) (95%)" }
        text += "; allowed: \(limit); \(samples)"
        return m.note.isEmpty ? text : "\(text); \(m.note)"
    }
}

extension Substring {
    /// The word without the punctuation that follows it.
    fileprivate var trimmed: Substring { count > 1 && ".,;".contains(last ?? " ") ? dropLast() : self }
}
