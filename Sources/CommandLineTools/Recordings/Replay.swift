import AdminClient
import AdminTypes
import Analysis

/// The evidence of a decision, recomputed from the recorded input of the judge and compared with the stored evidence.
struct ReplayReport: Codable {
    struct Check: Codable {
        /// What the two numbers are.
        enum Quantity: String, Codable {
            /// ln E against the candidate.
            case logEvidence
            /// The upper bound on the excess failures.
            case excessFailures

            func words(_ value: Figure) -> String {
                switch self {
                case .logEvidence: "evidence \(EvidenceText.odds(value))"
                case .excessFailures: "at most \(Measurement.failures(value.value))"
                }
            }
        }

        var check: String
        var quantity: Quantity
        var same: Bool
        /// The number as stored in the journal, and as recomputed; the latter is nil if the judge has no such check.
        var stored: Figure
        var recomputed: Figure?
        /// The names of the numbers that differ; empty if all are equal.
        var differs: [String]
    }

    var service: String
    var rollout: String
    /// The number of recorded items on which the decision is based.
    var items: Int
    var same: Bool
    var checks: [Check]

    /// - Throws: `Failure` with the reason if the decision cannot be replayed.
    init(_ decision: DecisionRecord, _ client: AdminClient) throws {
        let event = decision.event
        let title = event.id.map { "decision \($0)" } ?? "the decision"
        guard let evaluation = decision.evaluation, let rollout = event.rollout else {
            throw Failure(ExitStatus.failed, "\(title) rests on no measurement: there is nothing to replay")
        }
        guard let items = evaluation.items else {
            throw Failure(
                ExitStatus.failed,
                "\(title) cannot be replayed: only the sequential judge records what it takes in (analysis.judge)")
        }
        let judge = try Self.judge(title, event.service, rollout, items, client)
        service = event.service
        self.rollout = rollout
        self.items = items
        let recomputed = Dictionary(judge.evidence.map { ($0.path, $0.evidence) }, uniquingKeysWith: { $1 })
        checks = evaluation.checks.compactMap { check in
            guard let stored = check.evidence else { return nil }
            let path = "\(check.policy)/\(check.check)"
            let differs = recomputed[path].map { Self.differences(stored, $0) } ?? ["check"]
            return Check(
                check: path, quantity: .logEvidence, same: differs.isEmpty, stored: stored.logEvidence,
                recomputed: recomputed[path].map { Figure($0.value) }, differs: differs)
        }
        if let check = Self.harm(evaluation.checks, judge) { checks.append(check) }
        same = checks.allSatisfy(\.same)
    }

    /// The judge in its state at the decision.
    private static func judge(
        _ title: String, _ service: String, _ rollout: String, _ items: Int, _ client: AdminClient
    ) throws -> SequentialJudge {
        func refuse(_ why: String) -> Failure { Failure(ExitStatus.failed, "\(title) cannot be replayed: \(why)") }
        let kept = "the agent keeps 16 MiB of recordings for a service, the oldest go first"
        let recording: Recording
        do { recording = try Recording(of: service, rollout: rollout, client) } catch let error as AdminClientError {
            guard case .refused(404, let problem) = error, problem.code == "unknown_recording" else { throw error }
            throw refuse("the recording of \(rollout) is pruned: \(kept)")
        }
        guard recording.isWhole else {
            throw refuse(
                "the recording of \(rollout) is not whole: its beginning is pruned (\(kept)), the disk could not be "
                    + "written for long, or a part of it is damaged")
        }
        guard case .sequential(var judge) = recording.head else {
            throw refuse(
                "the judge with which \(rollout) began is not in its recording; the agent was killed as it began")
        }
        let needed = items - judge.items
        guard needed >= 0, recording.items.count >= needed else {
            throw refuse(
                "it rests on \(items) items, and the recording of \(rollout) has \(recording.items.count): its last "
                    + "seconds were never written")
        }
        for item in recording.items.prefix(needed) { judge.take(item) }
        return judge
    }

    /// The comparison of the excess failures; nil if the decision has none.
    private static func harm(_ checks: [CheckStatus], _ judge: SequentialJudge) -> Check? {
        let path = SequentialJudge.harmPath
        guard let stored = checks.first(where: { "\($0.policy)/\($0.check)" == path })?.measurements.first,
            let value = stored.value
        else { return nil }
        let again = judge.harmResult?.measurements.first
        func isSame(_ a: Figure?, _ b: Double?) -> Bool { a?.value.bitPattern == b.map { Figure($0).value.bitPattern } }
        var differs: [String] = []
        if again == nil { differs.append("check") }
        if let again {
            if !isSame(value, again.value) { differs.append("excess failures") }
            if !isSame(stored.bound, again.bound) { differs.append("budget") }
        }
        return Check(
            check: path, quantity: .excessFailures, same: differs.isEmpty, stored: value,
            recomputed: again?.value.map { Figure($0) }, differs: differs)
    }

    /// The names of the numbers that are not the same bit for bit.
    private static func differences(_ stored: EvidenceStatus, _ recomputed: CheckEvidence) -> [String] {
        func isSame(_ a: Figure, _ b: Double) -> Bool { a.value.bitPattern == Figure(b).value.bitPattern }
        func isSame(_ a: Double?, _ b: Double?) -> Bool {
            // The API leaves out infinite numbers.
            a?.bitPattern == b.flatMap { $0.isFinite ? $0 : nil }?.bitPattern
        }
        var names: [String] = []
        if !isSame(stored.logEvidence, recomputed.value) { names.append("evidence") }
        if !isSame(stored.revertAt, recomputed.revertAt) { names.append("the evidence at which the check fails") }
        if !isSame(stored.proof, recomputed.proof) { names.append("proof") }
        if !isSame(stored.promoteAt, recomputed.promoteAt) { names.append("the proof at which it promotes") }
        if stored.share.bitPattern != recomputed.weight.bitPattern { names.append("share of the risk") }
        if stored.part != recomputed.part { names.append("the part with the strongest evidence") }
        if !isSame(stored.requestsNeeded, recomputed.requestsNeeded)
            || !isSame(stored.secondsNeeded, recomputed.secondsNeeded)
        {
            names.append("what is still needed")
        }
        if let trace = stored.trace {
            let points = recomputed.trace.points
            // Earlier builds stored values that were not rounded.
            let isTraceSame =
                trace.spacing == recomputed.trace.spacing && trace.points.count == points.count
                && zip(trace.points, points).allSatisfy { EvidenceTrace.rounded($0.value) == $1 }
            if !isTraceSame { names.append("the evidence over time") }
        }
        return names
    }

    func lines(colored: Bool) -> [String] {
        func styled(_ text: String, _ style: Style) -> String { colored ? style.applied(to: text) : text }
        let width = checks.map(\.check.count).max() ?? 0
        var lines = ["replayed \(Words.count(items)) items of \(plain(rollout))"]
        for check in checks {
            let name = EventText.pad(plain(check.check), width)
            let recomputed = check.recomputed.map(check.quantity.words) ?? "nothing"
            lines.append(
                check.same
                    ? "  \(styled("✓", .green)) \(name)  \(recomputed), the same"
                    : "  \(styled("✗", .red)) \(name)  NOT THE SAME: \(check.quantity.words(check.stored)) in the "
                        + "journal, \(recomputed) from the recording; differs: \(check.differs.joined(separator: ", "))"
            )
        }
        if same {
            lines.append(
                "The evidence of \(checks.count == 1 ? "its check" : "all \(checks.count) checks") is the same, bit for bit."
            )
        }
        return lines
    }

    /// The error that names the checks whose evidence differs; nil if there are none.
    var failure: Failure? {
        let wrong = checks.filter { !$0.same }.map(\.check)
        guard !wrong.isEmpty else { return nil }
        return Failure(
            ExitStatus.failed,
            "not the same: \(wrong.joined(separator: ", ")); the journal or the recording was changed, or canaryctl and "
                + "the agent are not of one build and one machine")
    }
}
