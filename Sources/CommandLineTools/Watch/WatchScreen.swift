import AdminTypes

/// What `watch` shows: one screen from one look. Pure: the same look and size give the same lines.
struct WatchScreen {
    var width: Int
    var height: Int
    var isColoured: Bool

    /// Narrower than this, lines are cut.
    static let leastWidth = 40
    private static let nameWidth = 10

    /// - Parameters:
    ///   - events: newest last.
    ///   - problem: why the look is old; nil while it is fresh.
    func lines(
        _ status: ServiceStatus, events: [EventRecord], now: Timestamp, problem: String? = nil
    ) -> [String] {
        var lines: [Line] = [head(status, now), Line()]
        if let problem { lines += [Line(problem, .red), Line()] }
        lines += split(status) + [Line()] + progress(status) + [Line()] + arms(status)
        if let checks = status.evaluation?.checks, !checks.isEmpty { lines += [Line()] + self.checks(checks) }
        if let checks = status.evaluation?.checks, checks.contains(where: { $0.evidence != nil }) {
            lines += [Line()] + evidence(checks)
        }
        if !status.notes.isEmpty || !status.durable { lines += [Line()] + notes(status) }
        let room = height - lines.count - 2
        if room > 0, !events.isEmpty {
            lines += [Line(), Line("events", .bold)]
            lines += events.suffix(room - 1).map(event)
        }
        return lines.prefix(height).map { $0.rendered(width: width, coloured: isColoured) }
    }

    private func head(_ status: ServiceStatus, _ now: Timestamp) -> Line {
        var line = Line()
        line.add(status.service, .bold)
        line.add("  " + Words.phase(status), status.rollout?.pause == nil && status.freeze == nil ? .cyan : .yellow)
        let right = "generation \(status.generation)  \(now.clockTime) UTC"
        line.add(String(repeating: " ", count: max(width - line.length - right.count, 2)))
        line.add(right, .dim)
        return line
    }

    // MARK: - Traffic

    private func split(_ status: ServiceStatus) -> [Line] {
        let candidate = status.candidateWeight
        var arms = [("baseline", status.serving, Share(basisPoints: 10_000 - candidate.basisPoints), Style.cyan)]
        if let rollout = status.rollout { arms.append(("candidate", rollout.candidate, candidate, .green)) }
        let longest = arms.map(\.1.count).max() ?? 0
        let room = min(max(width - Self.nameWidth - 10 - longest, 10), 50)
        return arms.map { share($0.0, $0.1, $0.2, $0.3, room) }
    }

    private func share(_ name: String, _ version: String, _ share: Share, _ style: Style, _ room: Int) -> Line {
        let bar = Bar.text(Double(share.basisPoints) / 10_000, width: room)
        var line = Line()
        line.add(EventText.pad(name, Self.nameWidth))
        line.add(lead(share.words, 7) + " ")
        line.add(bar.filled, style)
        line.add(bar.rest + "  " + plain(version))
        return line
    }

    private func progress(_ status: ServiceStatus) -> [Line] {
        guard let rollout = status.rollout else {
            var lines = [fact("next", status.next)]
            if let refused = status.refused {
                lines.insert(fact("refused", "\(refused.version): \(refused.reason)", .yellow), at: 0)
            }
            if let freeze = status.freeze { lines.append(fact("frozen", "by \(freeze.by): \(freeze.reason)", .yellow)) }
            return lines
        }
        var lines: [Line] = []
        var phase = Line()
        phase.add(EventText.pad("phase", Self.nameWidth), .dim)
        phase.add(Words.phase(status))
        if let left = status.holdLeftSeconds {
            let whole = left + rollout.heldSeconds
            if left > 0, whole > 0 {
                let bar = Bar.text(rollout.heldSeconds / whole, width: 20)
                phase.add("  ▕")
                phase.add(bar.filled, .cyan)
                phase.add(bar.rest + "▏ \(Words.time(left)) left")
            } else {
                phase.add("  the hold is over")
            }
        }
        lines.append(phase)
        if StatusText.isInLastStep(status), let outlook = EvidenceText.outlook(status.evaluation?.checks ?? []) {
            lines.append(fact("proof", outlook))
        }
        lines += status.waitsFor.map { fact("waits for", $0, .yellow) }
        lines.append(fact("next", status.next))
        return lines
    }

    private func fact(_ name: String, _ text: String, _ style: Style = .plain) -> Line {
        var line = Line()
        line.add(EventText.pad(name, Self.nameWidth), .dim)
        line.add(plain(text), style)
        return line
    }

    // MARK: - Measurements

    private func arms(_ status: ServiceStatus) -> [Line] {
        let arms = [("baseline", status.baseline)] + (status.candidate.map { [("candidate", $0)] } ?? [])
        let trends = arms.map { $0.1.p95TrendSeconds.map { $0?.value } }
        let top = Sparkline.top(trends)
        var lines = [
            Line(
                EventText.pad("", Self.nameWidth) + lead("req/s", 8) + lead("errors", 8) + lead("P50", 10)
                    + lead("P95", 10) + lead("P99", 10) + "   P95, last 2 min"
                    + (top > 0 ? " (to \(Words.value(Figure(top), .seconds)))" : ""), .dim)
        ]
        for (place, (name, arm)) in arms.enumerated() {
            var line = Line()
            line.add(EventText.pad(name, Self.nameWidth))
            line.add(lead(Words.rate(arm.requestsPerSecond), 8))
            line.add(lead(Words.percent(arm.errorRatio), 8), (arm.errorRatio ?? 0) > 0 ? .yellow : .plain)
            for figure in [arm.p50Seconds, arm.p95Seconds, arm.p99Seconds] {
                line.add(lead(Words.seconds(figure), 10))
            }
            line.add("   ")
            line.add(Sparkline.text(trends[place], top: top), place == 0 ? .cyan : .green)
            if arm.reachable < arm.servers { line.add("  \(arm.reachable)/\(arm.servers) servers", .red) }
            lines.append(line)
        }
        return lines
    }

    private func checks(_ checks: [CheckStatus]) -> [Line] {
        let names = checks.map { plain("\($0.policy)/\($0.check)") }
        let nameWidth = names.map(\.count).max() ?? 0
        return zip(checks, names).map { check, name in
            var line = Line()
            line.add(check.verdict.mark + " ", check.verdict.style)
            line.add(EventText.pad(name, nameWidth) + "  ")
            line.add(EventText.pad(check.verdict.words, 12), check.verdict.style)
            if let m = check.decisive, m.value != nil, check.verdict != .noData || check.missing.isEmpty {
                let value = "\(Words.held(m)) \(Words.bound(m))"
                line.add(EventText.pad(value, 24), check.verdict == .fail ? .red : .plain)
                let side: FigureUnit = m.unit == .points ? .ratio : m.unit
                line.add("  \(plain(m.subject)), baseline \(Words.value(m.baseline, side))", .dim)
            } else {
                line.add(plain(check.missing.isEmpty ? "no measurement yet" : check.missing), .dim)
            }
            if !check.enforced { line.add("  observed", .dim) }
            return line
        }
    }

    private func evidence(_ checks: [CheckStatus]) -> [Line] {
        let checks = checks.filter { $0.evidence != nil }
        let nameWidth = checks.map { plain("\($0.policy)/\($0.check)").count }.max() ?? 0
        let columns = EventText.pad("evidence against it, reverts at", 10 + 14 + 12)
        var lines = [
            Line(
                EventText.pad("", nameWidth + 4) + EventText.pad(columns, 39) + "proof for it, proven at", .dim)
        ]
        for check in checks {
            guard let evidence = check.evidence else { continue }
            var line = Line()
            line.add("  " + EventText.pad(plain("\(check.policy)/\(check.check)"), nameWidth) + "  ")
            let style: Style = check.verdict == .fail ? .red : .yellow
            add(evidence.logEvidence, evidence.revertAt, style, to: &line)
            line.add("   ")
            add(evidence.proof, evidence.promoteAt, .green, to: &line)
            line.add("  " + (check.proven ? "proven" : plain(check.missing)), check.proven ? .green : .dim)
            lines.append(line)
        }
        if let dependence = EvidenceText.dependence(checks) { lines.append(Line("  " + plain(dependence), .dim)) }
        return lines
    }

    /// `▕███▌      ▏ 12 : 1 of 400 : 1`
    private func add(_ value: Figure, _ threshold: Figure, _ style: Style, to line: inout Line) {
        let share = threshold.value > 0 ? value.value / threshold.value : 0
        let bar = Bar.text(value.value < 0.05 ? 0 : share, width: 10)
        line.add("▕")
        line.add(bar.filled, style)
        line.add(bar.rest + "▏")
        line.add(EventText.pad(" \(EvidenceText.odds(value)) of \(EvidenceText.odds(threshold))", 24))
    }

    private func notes(_ status: ServiceStatus) -> [Line] {
        var lines = status.notes.map { Line("! " + plain($0), .yellow) }
        if !status.durable { lines.append(Line("! in force, but not on disk yet", .red)) }
        return lines
    }

    private func event(_ event: EventRecord) -> Line {
        var line = Line()
        line.add(event.at.clockTime + "  ", .dim)
        line.add(EventText.pad(plain(event.kind), 15), EventText.style(event.kind))
        line.add("  " + plain(event.message))
        return line
    }

    private func lead(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(width - text.count, 0)) + text
    }
}

/// A line of styled pieces that can be cut to a width.
struct Line {
    private var pieces: [(text: String, style: Style)] = []

    init() {}
    init(_ text: String, _ style: Style = .plain) { add(text, style) }

    var length: Int { pieces.reduce(0) { $0 + $1.text.count } }

    mutating func add(_ text: String, _ style: Style = .plain) { pieces.append((text, style)) }

    func rendered(width: Int, coloured: Bool) -> String {
        var room = max(width, WatchScreen.leastWidth)
        let isCut = length > room
        var line = ""
        for (text, style) in pieces where room > 0 {
            let part = text.count > room || (isCut && text.count == room) ? String(text.prefix(room - 1)) + "…" : text
            line += coloured ? style.applied(to: part) : part
            room -= part.count
        }
        return line
    }
}
