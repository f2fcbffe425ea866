import AdminTypes
import Vocabulary

/// Formats the screen of `canaryctl watch`. It is pure: the same snapshot and size give the same lines.
struct WatchScreen {
    var width: Int
    var height: Int
    var isColored: Bool

    /// The smallest width for which lines are formatted. On a narrower terminal, lines are cut at its edge.
    static let leastWidth = 40
    private static let nameWidth = 10
    /// The number of characters kept free at the end of a row for words that must not be separated from it, such as
    /// the last two of `12 : 1`.
    private static let glueWidth = 6
    /// The maximum number of rows for one text.
    private static let maximumRows = 4

    /// - Parameters:
    ///   - events: newest last.
    ///   - problem: why the snapshot is old; nil while it is fresh.
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
        return lines.prefix(height).map { $0.rendered(width: width, colored: isColored) }
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
        line.add(padLeft(share.words, 7) + " ")
        line.add(bar.filled, style)
        line.add(bar.rest + "  " + plain(version))
        return line
    }

    private func progress(_ status: ServiceStatus) -> [Line] {
        guard let rollout = status.rollout else {
            let refused = status.refused.map { fact("refused", "\($0.version): \($0.reason)", .yellow) } ?? []
            let frozen = status.freeze.map { fact("frozen", "by \($0.by): \($0.reason)", .yellow) } ?? []
            return refused + fact("next", status.next) + frozen
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
            lines += fact("proof", outlook)
        }
        lines += status.waitsFor.flatMap { fact("waits for", $0, .yellow) }
        lines += fact("next", status.next)
        return lines
    }

    private func fact(_ name: String, _ text: String, _ style: Style = .plain) -> [Line] {
        wrapped(EventText.pad(name, Self.nameWidth), text, style)
    }

    /// Wraps a text into rows, so that nothing that somebody has to act on is cut at the edge. Rows after the first are
    /// indented by the width of `lead`.
    private func wrapped(_ lead: String, _ text: String, _ style: Style) -> [Line] {
        let room = max(width, Self.leastWidth) - lead.count
        var rows = [""]
        for word in plain(text).split(separator: " ") {
            let row = rows[rows.count - 1]
            // `12 : 1` stays together.
            let isGlued = word == ":" || row.hasSuffix(" :")
            if row.isEmpty || isGlued || row.count + 1 + word.count <= room - Self.glueWidth {
                rows[rows.count - 1] += (row.isEmpty ? "" : " ") + word
            } else if rows.count < Self.maximumRows {
                rows.append(String(word))
            } else {
                rows[rows.count - 1] += " …"
                break
            }
        }
        return rows.enumerated().map { place, row in
            var line = Line()
            line.add(place == 0 ? lead : String(repeating: " ", count: lead.count), .dim)
            line.add(row, style)
            return line
        }
    }

    // MARK: - Measurements

    private func arms(_ status: ServiceStatus) -> [Line] {
        let arms = status.arms
        let trends = arms.map { $0.status.p95TrendSeconds.map { $0?.value } }
        let top = Sparkline.top(trends)
        let time = isNarrow ? 9 : 10
        let scale = top > 0 ? " (to \(Words.value(Figure(top), .seconds)))" : ""
        var lines = [
            Line(
                EventText.pad("", Self.nameWidth) + padLeft("req/s", 8) + padLeft("errors", time - 2)
                    + padLeft("P50", time)
                    + padLeft("P95", time) + padLeft("P99", time) + "   P95\(isNarrow ? "" : ", last 2 min")\(scale)",
                .dim)
        ]
        for (place, (name, arm)) in arms.enumerated() {
            var line = Line()
            line.add(EventText.pad(name, Self.nameWidth))
            line.add(padLeft(Words.rate(arm.requestsPerSecond), 8))
            line.add(padLeft(Words.percent(arm.errorRatio), time - 2), (arm.errorRatio ?? 0) > 0 ? .yellow : .plain)
            for figure in [arm.p50Seconds, arm.p95Seconds, arm.p99Seconds] {
                line.add(padLeft(Words.seconds(figure), time))
            }
            line.add("   ")
            line.add(Sparkline.text(trends[place], top: top), place == 0 ? .cyan : .green)
            if let text = StatusText.frequent(arm) { line.add("  \(text)", .yellow) }
            if arm.reachable < arm.servers { line.add("  \(arm.reachable)/\(arm.servers) servers", .red) }
            lines.append(line)
        }
        return lines
    }

    private func checks(_ checks: [CheckStatus]) -> [Line] {
        let names = names(checks)
        let nameWidth = names.map(\.count).max() ?? 0
        let valueWidth = checks.compactMap(\.decisive).map { Words.comparison($0).count }.max() ?? 0
        return zip(checks, names).map { check, name in
            var line = Line()
            line.add(check.verdict.mark + " ", check.verdict.style)
            line.add(EventText.pad(name, nameWidth) + "  ")
            line.add(EventText.pad(check.verdict.words, isNarrow ? 9 : 12), check.verdict.style)
            if let m = check.decisive, m.value != nil, check.verdict != .noData || check.missing.isEmpty {
                line.add(
                    EventText.pad(Words.comparison(m), max(valueWidth, isNarrow ? 0 : 24)),
                    check.verdict == .fail ? .red : .plain)
                line.add("  \(plain(m.subject)), baseline \(Words.value(m.baseline, m.unit.ofValues))", .dim)
            } else {
                line.add(plain(check.missing.isEmpty ? "no measurement yet" : check.missing), .dim)
            }
            if let note = check.action.note { line.add("  \(note)", .dim) }
            return line
        }
    }

    /// True if lines have no room for the policies' names, which are then left out if the checks' names are unique.
    private var isNarrow: Bool { width < 100 }

    private func names(_ checks: [CheckStatus]) -> [String] {
        let short = checks.map { plain($0.check) }
        if isNarrow, Set(short).count == short.count { return short }
        return checks.map { plain("\($0.policy)/\($0.check)") }
    }

    private func evidence(_ checks: [CheckStatus]) -> [Line] {
        let checks = checks.filter { $0.evidence != nil }
        let names = names(checks)
        let nameWidth = names.map(\.count).max() ?? 0
        let bar = isNarrow ? 6 : 10
        let odds = checks.compactMap(\.evidence).map {
            (Self.odds($0.logEvidence, $0.revertAt), Self.odds($0.proof, $0.promoteAt))
        }
        let heads =
            isNarrow
            ? ("evidence, fails at", "proof, proven at")
            : ("evidence against it, fails at", "proof for it, proven at")
        let column = max(heads.0.count, bar + 3 + (odds.map(\.0.count).max() ?? 0)) + 2
        let last = bar + 3 + (odds.map(\.1.count).max() ?? 0)
        var lines = [Line(EventText.pad("", nameWidth + 4) + EventText.pad(heads.0, column) + heads.1, .dim)]
        for ((check, name), odds) in zip(zip(checks, names), odds) {
            guard let evidence = check.evidence else { continue }
            var line = Line()
            line.add("  " + EventText.pad(name, nameWidth) + "  ")
            let style: Style = check.verdict == .fail ? .red : .yellow
            addBar(evidence.logEvidence, evidence.revertAt, style, bar, to: &line)
            line.add(EventText.pad(" " + odds.0, column - bar - 2))
            addBar(evidence.proof, evidence.promoteAt, .green, bar, to: &line)
            line.add(
                EventText.pad(" " + odds.1, last - bar - 2) + "  " + (check.proven ? "proven" : plain(check.missing)),
                check.proven ? .green : .dim)
            lines.append(line)
        }
        if let dependence = EvidenceText.dependence(checks) { lines.append(Line("  " + plain(dependence), .dim)) }
        return lines
    }

    /// Adds a bar such as `▕███▌      ▏`, which is full when the value has reached the threshold.
    private func addBar(_ value: Figure, _ threshold: Figure, _ style: Style, _ width: Int, to line: inout Line) {
        let share = threshold.value > 0 ? value.value / threshold.value : 0
        let bar = Bar.text(value.value < 0.05 ? 0 : share, width: width)
        line.add("▕")
        line.add(bar.filled, style)
        line.add(bar.rest + "▏")
    }

    /// The odds and those at which something happens, such as `12 of 400 : 1`.
    private static func odds(_ value: Figure, _ threshold: Figure) -> String {
        "\(EvidenceText.oddsToOne(value)) of \(EvidenceText.odds(threshold))"
    }

    private func notes(_ status: ServiceStatus) -> [Line] {
        var lines = status.notes.flatMap { wrapped("! ", $0, .yellow) }
        if !status.durable { lines.append(Line("! in force, but not on disk yet", .red)) }
        return lines
    }

    private func event(_ event: EventRecord) -> Line {
        var line = Line()
        line.add(event.at.clockTime + "  ", .dim)
        line.add(EventText.pad(plain(event.kind), 15), EventText.style(event.knownKind))
        line.add("  " + plain(event.message))
        return line
    }

    /// Pads a text with spaces on the left.
    private func padLeft(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(width - text.count, 0)) + text
    }
}

/// A line of styled pieces that can be cut to a width.
struct Line {
    private var pieces: [(text: String, style: Style)] = []

    init() {}
    init(_ text: String, _ style: Style = .plain) { add(text, style) }

    var length: Int { pieces.reduce(0) { $0 + $1.text.count } }

    mutating func add(_ text: String, _ style: Style = .plain) { pieces.append((plain(text), style)) }

    func rendered(width: Int, colored: Bool) -> String {
        var room = max(width, WatchScreen.leastWidth)
        let isCut = length > room
        var line = ""
        for (text, style) in pieces where room > 0 {
            let part = text.count > room || (isCut && text.count == room) ? String(text.prefix(room - 1)) + "…" : text
            line += colored ? style.applied(to: part) : part
            room -= part.count
        }
        return line
    }
}
