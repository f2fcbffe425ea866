import AdminTypes
import Analysis
import PolicyModel

/// Formats the sequential judge's evidence as text.
enum EvidenceText {
    /// The odds, such as `12 : 1`; `none` without evidence.
    static func odds(_ figure: Figure) -> String {
        // The evidence of every check starts at 1 : 1; less than about 1.05 : 1 is none.
        figure.value < 0.05 ? "none" : CheckEvidence.odds(figure.value)
    }

    /// The first number of the odds, such as `12`; `none` without evidence.
    static func oddsToOne(_ figure: Figure) -> String {
        figure.value < 0.05 ? "none" : CheckEvidence.oddsToOne(figure.value)
    }

    private static func chance(_ figure: Figure) -> String { CheckEvidence.chance(figure.value) }

    /// A table of the evidence and proof of each check that has some; empty if none has.
    static func table(_ checks: [CheckStatus]) -> Table {
        var table = Table(
            ("EVIDENCE", .left), ("AGAINST IT", .right), ("FAILS AT", .right), ("PROOF", .right),
            ("PROVEN AT", .right), ("STILL NEEDED", .left))
        for check in checks {
            guard let evidence = check.evidence else { continue }
            let isNear = evidence.logEvidence.value > evidence.revertAt.value / 2
            table.add(
                Cell("\(check.policy)/\(check.check)"),
                Cell(odds(evidence.logEvidence), check.verdict == .fail ? .red : isNear ? .yellow : .plain),
                Cell(odds(evidence.revertAt)), Cell(odds(evidence.proof), check.proven ? .green : .plain),
                Cell(odds(evidence.promoteAt)),
                Cell(
                    check.proven ? "proven" : check.missing + (check.isRequired ? "" : " (notifies only)"),
                    check.proven ? .green : .dim))
        }
        return table
    }

    /// How failures cluster, such as `errors: φ̂ 1.1: …`; one sentence if it is the same for all checks.
    static func dependence(_ checks: [CheckStatus]) -> String? {
        var said: [(subject: String, words: String)] = []
        for check in checks {
            guard let words = check.evidence?.dependence, !words.isEmpty else { continue }
            let subject = check.measurements.first?.unit == .seconds ? "slow requests" : "errors"
            if !said.contains(where: { $0.subject == subject }) { said.append((subject, words)) }
        }
        guard let first = said.first else { return nil }
        if said.allSatisfy({ $0.words == first.words }) {
            return "\(said.map(\.subject).joined(separator: ", ")): \(first.words)"
        }
        return said.map { "\($0.subject): \($0.words)" }.joined(separator: "; ")
    }

    /// An estimate of when the last required check is proven; nil if there is none.
    static func outlook(_ checks: [CheckStatus]) -> String? {
        let open = checks.filter { $0.isRequired && !$0.proven && $0.evidence != nil }
        guard !open.isEmpty, open.allSatisfy({ $0.evidence?.secondsNeeded != nil }) else { return nil }
        let last = open.max { ($0.evidence?.secondsNeeded ?? 0) < ($1.evidence?.secondsNeeded ?? 0) }
        guard let last, let evidence = last.evidence, let requests = evidence.requestsNeeded,
            let seconds = evidence.secondsNeeded, seconds < 1e8
        else { return nil }
        let count = CheckEvidence.about(requests)
        // The harm budget proves nothing.
        let required = checks.filter { $0.isRequired && "\($0.policy)/\($0.check)" != SequentialJudge.harmPath }
        let checks = "\(required.count(where: \.proven)) of \(required.count) checks proven"
        return "\(checks); about \(count) more requests, \(Words.time(seconds)) at this rate (\(last.check))"
    }

    // MARK: - A decision

    /// Sentences on what was measured and how strong the evidence is.
    static func sentences(_ check: CheckStatus, _ evidence: EvidenceStatus, asksProof: Bool) -> [String] {
        var lines: [String] = []
        if let m = speaking(check, evidence) { lines.append(seen(m, isKeyed: evidence.part == "keys")) }
        if check.verdict == .fail {
            lines.append(
                "If it were sound, this much against it would come up, at any time of a rollout, in fewer than "
                    + "\(chance(evidence.logEvidence)) rollouts; the policy \(check.action.verb) at "
                    + "\(chance(evidence.revertAt)).")
        } else if check.proven {
            lines.append(
                "Proven: if it were beyond the bound, this much for it would come up in fewer than "
                    + "\(chance(evidence.proof)) rollouts; the policy promotes at \(chance(evidence.promoteAt)).")
        } else {
            let proof = "Proof for it in this step: \(odds(evidence.proof)), proven at \(odds(evidence.promoteAt))."
            // Explains why a value beyond its bound is not a failure.
            let isBeyond = check.verdict == .pass && speaking(check, evidence).map(Words.isBeyond) ?? false
            lines.append(
                (isBeyond ? "That may still be chance. " : "")
                    + "Evidence against it: \(odds(evidence.logEvidence)), \(check.action.verb) at \(odds(evidence.revertAt))."
                    + (asksProof ? " " + proof : ""))
        }
        return lines
    }

    private static func speaking(_ check: CheckStatus, _ evidence: EvidenceStatus) -> MeasurementStatus? {
        check.measurements.first { $0.subject == evidence.part && $0.verdict == check.verdict } ?? check.decisive
    }

    /// The quantile at which the increase is largest, if it is not the check's own.
    private static func quantile(_ m: MeasurementStatus) -> String {
        m.note(.strongestAtQuantile)?.quantile.map(MeasurementNote.name(ofQuantile:)) ?? "its quantile"
    }

    /// A sentence such as `The candidate failed 12 of 214 requests (5.61%), the baseline 3 of 1,900 (0.16%); allowed is
    /// at most 0.5%.`
    static func seen(_ m: MeasurementStatus, isKeyed: Bool = false) -> String {
        let allowed = "\(m.atMost ? "at most" : "at least") \(Words.value(m.bound, m.unit))"
        guard let candidate = m.candidate else { return "Nothing was measured of the candidate yet." }
        switch m.unit {
        case .ratio:
            func failed(_ figure: Figure?, _ samples: UInt64) -> String {
                let count = (figure?.value ?? 0) * Double(samples)
                return "\(Words.count(UInt64(saturating: count))) of \(Words.count(samples)) requests"
                    + " (\(Words.percent(figure?.value)))"
            }
            let users = isKeyed ? " Counted are users, each when it fails for the first time." : ""
            return "The candidate failed \(failed(candidate, m.candidateSamples)), the baseline "
                + "\(failed(m.baseline, m.baselineSamples)); allowed is \(allowed).\(users)"
        case .seconds:
            if let failures = m.note(.failsMore) { return "The candidate \(plain(failures.text))." }
            let slow =
                candidate.value.isInfinite ? "failed too often to have a time" : "took \(Words.seconds(candidate))"
            return
                "At \(quantile(m)) the candidate \(slow), the baseline \(Words.seconds(m.baseline)); allowed "
                + "is \(allowed) (\(Words.count(m.candidateSamples)) and \(Words.count(m.baselineSamples)) requests)."
        case .points, .score:
            return "\(m.subject): the candidate has \(Words.value(candidate, m.unit.ofValues)), the baseline "
                + "\(Words.value(m.baseline, m.unit.ofValues)), \(Words.held(m)); allowed is \(allowed) "
                + "(\(Words.count(m.candidateSamples)) and \(Words.count(m.baselineSamples)) labeled rows)."
        case .bytes, .plain: return "The candidate has \(Words.held(m)); allowed is \(allowed)."
        }
    }
}
