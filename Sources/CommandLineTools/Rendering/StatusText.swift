import AdminTypes
import Vocabulary

/// Formats the complete status of one service.
enum StatusText {
    static func lines(_ status: ServiceStatus, colored: Bool) -> [String] {
        func styled(_ text: String, _ style: Style) -> String { colored ? style.applied(to: text) : text }
        var lines = [styled(status.service, .bold) + ": " + headline(status)]
        lines += facts(status).lines(colored: colored)
        lines += [""] + arms(status).lines(colored: colored)
        for (name, arm) in status.arms {
            if let text = frequent(arm) { lines.append("  " + styled("\(name): \(text)", .yellow)) }
        }
        let down = status.arms.flatMap(\.status.down)
        if !down.isEmpty {
            lines += [""]
            lines += down.map {
                styled("server: ", .red) + plain($0.server) + " " + condition($0.state, $0.detail, $0.until)
            }
        }
        for (_, arm) in status.arms where !arm.failures.isEmpty {
            lines +=
                [""]
                + arm.failures.map {
                    styled($0.stage == .afterResponse ? "closed: " : "failed: ", .red) + plain(arm.version) + ": "
                        + failure($0)
                }
        }
        if let evaluation = status.evaluation, !evaluation.checks.isEmpty {
            lines += [""] + checks(evaluation.checks).lines(colored: colored)
            let evidence = EvidenceText.table(evaluation.checks)
            if !evidence.rows.isEmpty { lines += [""] + evidence.lines(colored: colored) }
            if let dependence = EvidenceText.dependence(evaluation.checks) {
                lines += [styled("  " + plain(dependence), .dim)]
            }
        }
        let counts = status.feedback
        if counts != FeedbackCountsStatus() {
            lines += ["", "feedback: " + feedback(counts)]
        }
        if !status.notes.isEmpty {
            lines += [""] + status.notes.map { styled("note: ", .yellow) + plain($0) }
        }
        return lines
    }

    /// A line such as `step 1 of 3, 1% to int8-v2, holds 1m42s more`.
    static func headline(_ status: ServiceStatus) -> String {
        guard let rollout = status.rollout else { return "\(plain(status.serving)) serves all, no rollout" }
        let hold = status.holdLeftSeconds.map { $0 > 0 ? ", holds \(Words.time($0)) more" : ", the hold is over" }
        return "\(Words.phase(status)), \(status.candidateWeight.words) to \(plain(rollout.candidate))\(hold ?? "")"
    }

    private static func facts(_ status: ServiceStatus) -> Table {
        var table = Table(("", .left), ("", .left))
        func fact(_ name: String, _ text: String, _ style: Style = .plain) {
            table.add(Cell("  " + name, .dim), Cell(text, style))
        }
        fact("serving", "\(status.serving), generation \(status.generation)")
        if let rollout = status.rollout {
            fact("rollout", "\(rollout.id), since \(rollout.startedAt.short) UTC")
            if rollout.recovering {
                fact("recovering", "the candidate gets nothing until a first healthy evaluation", .yellow)
            }
        }
        // During a rollout, a freeze is listed among the things that it waits for.
        if let freeze = status.freeze, status.rollout == nil {
            fact("frozen", "by \(freeze.by): \(freeze.reason)", .yellow)
        }
        if let refused = status.refused, status.rollout == nil {
            fact("refused", "\(refused.version), reverted \(refused.times == 1 ? "once" : "\(refused.times) times")")
        }
        for text in PolicyArgumentText.lines(status.evaluation) { fact("policy", text) }
        for wait in status.waitsFor { fact("waits for", wait) }
        if status.rollout != nil { fact("next", status.next) }
        if isInLastStep(status), let outlook = EvidenceText.outlook(status.evaluation?.checks ?? []) {
            fact("proof", outlook)
        }
        if !status.durable { fact("disk", "in force, but not on disk yet", .red) }
        return table
    }

    /// True during the last step, and after it while proofs are missing. A proof counts the requests of one step only,
    /// so an estimate of when it is complete says little in earlier steps.
    static func isInLastStep(_ status: ServiceStatus) -> Bool {
        switch status.phase {
        case .proving: true
        case .step: status.rollout.map { $0.step == $0.steps.count } ?? false
        default: false
        }
    }

    private static func arms(_ status: ServiceStatus) -> Table {
        var table = Table(
            ("ARM", .left), ("VERSION", .left), ("SERVERS", .right), ("REQUESTS", .right), ("REQ/S", .right),
            ("ERRORS", .right), ("4XX", .right), ("P50", .right), ("P95", .right), ("P99", .right))
        for (name, arm) in status.arms {
            table.add(
                Cell(name), Cell(arm.version),
                Cell("\(arm.reachable)/\(arm.servers)", arm.reachable < arm.servers ? .red : .plain),
                Cell(Words.count(arm.requests)), Cell(Words.rate(arm.requestsPerSecond)),
                Cell(Words.percent(arm.errorRatio)), Cell(Words.percent(arm.clientErrorRatio)),
                Cell(Words.seconds(arm.p50Seconds)),
                Cell(Words.seconds(arm.p95Seconds)), Cell(Words.seconds(arm.p99Seconds)))
        }
        return table
    }

    /// A line such as
    /// `12 requests, the server did not answer in time (response-timeout), last at 2026-11-21 08:18:03 UTC`.
    static func failure(_ failure: FailureStatus) -> String {
        let unit = failure.stage == .afterResponse ? "connection" : "request"
        let counted = Words.count(failure.count, unit)
        return "\(counted), \(plain(failure.message)) (\(plain(failure.reason))), last at \(failure.lastAt.short) UTC"
    }

    /// A remark such as `all of its responses are 404`; nil if fewer than half have the same status.
    static func frequent(_ arm: ArmStatus) -> String? {
        guard let frequent = arm.frequentStatus, frequent.ratio >= 0.5 else { return nil }
        return frequent.ratio >= 1
            ? "all of its responses are \(frequent.status)"
            : "\(Words.percent(frequent.ratio)) of its responses are \(frequent.status)"
    }

    /// The state of a server as text that follows its name.
    static func condition(_ state: ServerCondition, _ detail: String, _ until: Timestamp?) -> String {
        switch state {
        case .healthy: "takes connections"
        case .ejected: "kept failing and is left out" + (until.map { " until \($0.short) UTC" } ?? "")
        case .unhealthy: "is unhealthy: it \(plain(detail))"
        case .refusing: "takes no connection"
        case .hanging: "does not take connections in time"
        case .unresolved: "does not resolve: \(plain(detail))"
        }
    }

    static func checks(_ checks: [CheckStatus]) -> Table {
        var table = Table(
            ("CHECK", .left), ("VERDICT", .left), ("OF", .left), ("VALUE", .right), ("BOUND", .right),
            ("BASELINE", .right), ("DIFFERENCE (95%)", .right), ("SAMPLES", .right), ("", .left))
        for check in checks {
            let m = check.decisive
            let samples = m.map { "\(Words.count($0.candidateSamples)) / \(Words.count($0.baselineSamples))" }
            // If a check has evidence, the table of the evidence says what is missing.
            let missing = check.evidence == nil && check.isRequired ? check.missing : ""
            let note = [check.action.note ?? "", missing].filter { !$0.isEmpty }.joined(separator: "; ")
            table.add(
                Cell("\(check.policy)/\(check.check)"), Cell(check.verdict.words, check.verdict.style),
                Cell(m?.subject ?? ""), Cell(m.map(Words.held) ?? Words.nothing),
                Cell(m.map(Words.bound) ?? Words.nothing),
                Cell(m.map { Words.value($0.baseline, $0.unit.ofValues) } ?? Words.nothing),
                Cell(m.flatMap(Words.difference) ?? Words.nothing), Cell(samples ?? Words.nothing), Cell(note, .dim))
        }
        return table
    }

    static func feedback(_ counts: FeedbackCountsStatus) -> String {
        let parts = [
            ("joined", counts.joined), ("pending", counts.pending), ("unmatched", counts.unmatched),
            ("duplicate", counts.duplicate), ("late", counts.late), ("ambiguous", counts.ambiguous),
            ("while no rollout ran", counts.noRollout), ("that no check asked for", counts.noCheck),
        ]
        return parts.filter { $0.1 > 0 || $0.0 == "joined" }.map { "\(Words.count($0.1)) \($0.0)" }
            .joined(separator: ", ")
    }
}
