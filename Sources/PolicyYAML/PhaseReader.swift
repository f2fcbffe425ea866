import PolicyModel

/// Reads the traffic of a scenario. A phase takes over the keys that it does not write from the phase before; within an
/// arm, each key by itself. In the first phase, a candidate takes them over from the baseline.
struct PhaseReader {
    let report: FileReport
    /// The range of scores in the policies.
    let scores: ScoreRange

    func phases(_ scenario: Section) -> [TrafficPhase] {
        scenario.require("traffic", "a list of phases such as {for: 5m, baseline: {errors: 0.1%}}")
        let rate = rate(scenario)
        guard let items = scenario.list("traffic", "'traffic'", atMost: ConfigurationLimits.phases) else { return [] }
        if items.isEmpty { report.error(scenario.mark("traffic"), "'traffic' is empty: write at least one phase") }
        var phases: [TrafficPhase] = []
        for item in items {
            let keys = ["for", "rate", "baseline", "candidate", "feedback", "series", "scrapes"]
            guard let part = Section(item, "a phase", keys: keys, report: report) else { continue }
            if rate == nil, phases.isEmpty, !scenario.has("rate") {
                part.require("rate", "rate: 20/s here, or in the scenario")
            }
            phases.append(phase(part, after: phases.last, rate: rate))
        }
        return phases
    }

    private func rate(_ part: Section) -> Double? {
        part.read("rate", "20/s") { (text) throws(InvalidValue) -> Double in
            let value = try Units.rate(text)
            guard value <= 10_000 else {
                throw InvalidValue("is more than 10000/s: a lower rate shows the same sooner")
            }
            return value
        }
    }

    private func phase(_ part: Section, after last: TrafficPhase?, rate scenarioRate: Double?) -> TrafficPhase {
        part.require("for", "for: 5m")
        let duration = part.duration("for", atMost: .seconds(7 * 86_400)) ?? .seconds(60)
        let baseline = arm("baseline", part, before: last?.baseline ?? ArmTraffic())
        // A candidate that was equal to the baseline in the phase before takes over the baseline's new keys.
        let follows = last.map { $0.candidate == $0.baseline } ?? true
        let candidate = arm("candidate", part, before: follows ? baseline : last?.candidate ?? baseline)
        let scrapes = part.choice("scrapes", [("up", true), ("down", false)])
        return TrafficPhase(
            duration: duration, rate: rate(part) ?? last?.rate ?? scenarioRate ?? 1, baseline: baseline,
            candidate: candidate, feedback: feedback(part, before: last?.feedback),
            series: series(part, before: last?.series ?? []), scrapesAnswer: scrapes ?? last?.scrapesAnswer ?? true)
    }

    private func arm(_ key: String, _ part: Section, before: ArmTraffic) -> ArmTraffic {
        let keys = ["errors", "statuses", "latency", "firstByte", "reachable"]
        guard let part = part.section(key, "'\(key)'", keys: keys) else { return before }
        var arm = before
        arm.errors = part.fraction("errors") ?? before.errors
        arm.statuses = statuses(part) ?? before.statuses
        let sum = arm.statuses.reduce(arm.errors) { $0 + $1.share }
        if sum > 1 + 1e-9 {
            report.error(
                part.mark(part.has("statuses") ? "statuses" : "errors"),
                "errors and statuses add up to \(Units.percent(sum)) of the requests: write 100% at most")
        }
        arm.latency = shape("latency", part) ?? before.latency
        arm.firstByte = shape("firstByte", part) ?? before.firstByte
        arm.reachable = part.boolean("reachable") ?? before.reachable
        if let first = arm.firstByte, first.p50 > arm.latency.p50 || first.p95 > arm.latency.p95 {
            report.error(
                part.mark(part.has("firstByte") ? "firstByte" : "latency"),
                "the first byte comes after the whole response: write a shorter firstByte, or a longer latency")
        }
        return arm
    }

    /// Reads a mapping from status to share.
    private func statuses(_ part: Section) -> [StatusShare]? {
        guard let node = part.node("statuses") else { return nil }
        guard case .mapping(let entries) = node.content else {
            if case .unusable = node.content { return nil }
            report.error(node.mark, "'statuses' is a mapping such as {404: 30%}; found \(node.kind)")
            return nil
        }
        guard entries.count <= ConfigurationLimits.statuses else {
            report.error(
                node.mark,
                "'statuses' has \(entries.count) entries: at most \(ConfigurationLimits.statuses) are read")
            return nil
        }
        let shares = entries.compactMap { entry -> StatusShare? in
            guard entry.name.utf8.count == 3, let status = UInt16(entry.name), (300...599).contains(status) else {
                report.error(
                    entry.key, "'\(entry.name)' is no status that a test may give: write 300 to 599, such as 404")
                return nil
            }
            return report.read(entry.value, "30%") { (text) throws(InvalidValue) -> StatusShare in
                let share = try Units.fraction(text)
                guard (0...1).contains(share) else {
                    throw InvalidValue("is out of range: write a share from 0% to 100%")
                }
                return StatusShare(status: status, share: share)
            }
        }
        return shares.sorted { $0.status < $1.status }
    }

    private func shape(_ key: String, _ part: Section) -> LatencyShape? {
        guard let part = part.section(key, key, keys: ["p50", "p95"]) else { return nil }
        part.require("p50", "p50: 40ms")
        part.require("p95", "p95: 90ms")
        guard let p50 = part.duration("p50"), let p95 = part.duration("p95") else { return nil }
        if p95 < p50 { report.error(part.mark("p95"), "p95 lies below p50: swap them") }
        return LatencyShape(p50: p50, p95: p95)
    }

    private func series(_ part: Section, before: [SeriesTraffic]) -> [SeriesTraffic] {
        guard let node = part.node("series") else { return before }
        guard case .mapping(let entries) = node.content else {
            report.error(node.mark, "'series' is a mapping from series to values; found \(node.kind)")
            return before
        }
        var values = Dictionary(before.map { ($0.series, $0) }, uniquingKeysWith: { first, _ in first })
        for entry in entries {
            let key = Node(mark: entry.key, content: .scalar(entry.name, quoted: true))
            _ = report.read(key, "up", SeriesSelector.checked)
            let keys = ["baseline", "candidate"]
            guard let arms = Section(entry.value, "series '\(entry.name)'", keys: keys, report: report) else {
                continue
            }
            arms.require("baseline", "baseline: 60GiB")
            let baseline = arms.read("baseline", "60GiB", Units.quantity)
            let candidate = arms.read("candidate", "60GiB", Units.quantity) ?? baseline
            guard let baseline, let candidate else { continue }
            values[entry.name] = SeriesTraffic(series: entry.name, baseline: baseline, candidate: candidate)
        }
        return values.values.sorted { $0.series < $1.series }
    }
}
