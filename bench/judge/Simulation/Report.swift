import Glibc
import Statistics

/// The tables: one for each rate, with a row for each scenario and a column for each judge.
struct Report: Sendable {
    static let judges = [
        "sequential", "Flagger 5", "Flagger 10", "Flagger tuned", "Flagger tuned on all", "Argo", "Argo tuned",
        "Argo tuned on all", "Kayenta", "Kayenta tuned",
    ]

    struct Row: Sendable {
        var scenario: Scenario
        /// The results in the order of `judges`; nil if a judge was left out.
        var cells: [Cell?]
        /// The modes of the sequential judge, with the number of histories that led to each.
        var modes: String
    }

    struct Section: Sendable {
        var rate: Double
        var rows: [Row]
        var settings: [String]
    }

    var arguments: Arguments
    var sections: [Section]

    static func make(_ arguments: Arguments) async -> Report {
        let sections = await withTaskGroup(of: Section.self) { group in
            for rate in arguments.rates { group.addTask { section(rate, arguments) } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        return Report(arguments: arguments, sections: sections.sorted { $0.rate < $1.rate })
    }

    static func section(_ rate: Double, _ arguments: Arguments) -> Section {
        var random = Random(seed: arguments.seed &* 1_000_003 &+ UInt64(rate * 10))
        let peers = arguments.sequentialOnly ? nil : Peers(rate: rate, runs: arguments.tuning, random: &random)
        let rows = arguments.scenarios.map { scenario -> Row in
            let runs = scenario.isHealthy ? arguments.healthy : arguments.bad
            var settings = SequentialSettings()
            settings.bounds.floor = arguments.floor
            // A service has one history; ten histories represent many services.
            let histories = (0..<10).map { _ in
                History(scenario, rate: rate, settings: settings, random: &random)
            }
            let endings = (0..<(arguments.peersOnly ? 0 : runs)).map { run in
                SequentialRollout(
                    scenario: scenario, rate: rate, settings: settings, history: histories[run % histories.count]
                ).run(random: &random)
            }
            let none = [Cell?](repeating: nil, count: judges.count - 1)
            let own = arguments.peersOnly ? nil : Cell(endings)
            let cells: [Cell?] = [own] + (peers?.cells(scenario, runs: runs, random: &random) ?? none)
            complain("\(rate)/s \(scenario.rawValue): \(own?.text ?? "") \(own?.causes ?? [:])")
            return Row(scenario: scenario, cells: cells, modes: modes(histories))
        }
        return Section(rate: rate, rows: rows, settings: peers?.labels ?? [])
    }

    private static func modes(_ histories: [History]) -> String {
        func name(_ mode: CountingMode) -> String {
            switch mode {
            case .ticks: "ticks"
            case .counts(let discount): discount == 1 ? "counts" : discount == 0.2 ? "unknown" : "discounted"
            }
        }
        var counts: [String: Int] = [:]
        for history in histories { counts[name(history.errors), default: 0] += 1 }
        return counts.sorted { $0.value > $1.value }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
    }

    var markdown: String {
        var text = ""
        for section in sections {
            text += "\n## \(section.rate) requests/s\n\n"
            let shown = Self.judges.indices.filter { judge in section.rows.contains { $0.cells[judge] != nil } }
            text += "| scenario | " + shown.map { Self.judges[$0] }.joined(separator: " | ")
            text += " | promoted by the sequential judge |\n"
            text += "| --- |" + String(repeating: " --- |", count: shown.count + 1) + "\n"
            for row in section.rows {
                let cells = shown.map { judge in
                    row.cells[judge].map { row.scenario.isHealthy ? $0.healthyText : $0.text } ?? "–"
                }
                let promoted = row.cells[0].map {
                    "\(percent(Double($0.promoted) / Double($0.runs))) %"
                        + ($0.medianPromotion.map { ", median \($0 / 60) min" } ?? "")
                }
                text +=
                    "| \(row.scenario.label) | " + cells.joined(separator: " | ") + " | \(promoted ?? "–") |\n"
            }
            text += "\nRollouts a cell: \(Self.runs(section, shown)).\n"
            if !section.settings.isEmpty {
                text += "\n" + section.settings.map { "- \($0)" }.joined(separator: "\n") + "\n"
            }
        }
        return text
    }

    /// The numbers of rollouts per cell, such as `sequential 10000 healthy, 1000 bad; others 400, 200`.
    private static func runs(_ section: Section, _ shown: [Int]) -> String {
        func runs(_ judges: [Int], _ isHealthy: Bool) -> Int? {
            section.rows.filter { $0.scenario.isHealthy == isHealthy }
                .flatMap { row in judges.compactMap { row.cells[$0]?.runs } }.min()
        }
        return [("sequential", shown.filter { $0 == 0 }), ("others", shown.filter { $0 > 0 })].compactMap {
            name, judges in
            guard !judges.isEmpty else { return nil }
            let (healthy, bad) = (runs(judges, true) ?? 0, runs(judges, false) ?? 0)
            return "\(name) \(healthy) healthy, \(bad) bad"
        }.joined(separator: "; ")
    }

    var csv: String {
        var text = "rate,scenario,judge,runs,reverted,low,high,median_requests,promoted,median_promotion_s,modes\n"
        for section in sections {
            for row in section.rows {
                for (judge, cell) in zip(Self.judges, row.cells) {
                    guard let cell else { continue }
                    let interval = Cell.interval(cell.reverted, of: cell.runs)
                    text += "\(section.rate),\(row.scenario.rawValue),\(judge),\(cell.runs),\(cell.reverted),"
                    text += "\(interval.low),\(interval.high),\(cell.medianRequests.map(String.init) ?? ""),"
                    text += "\(cell.promoted),\(cell.medianPromotion.map(String.init) ?? ""),"
                    text += judge == "sequential" ? "\"\(row.modes)\"\n" : "\n"
                }
            }
            for setting in section.settings { text += "# \(section.rate),\(setting)\n" }
        }
        return text
    }

    func write(to folder: String) {
        for (name, text) in [("table.md", markdown), ("table.csv", csv)] {
            guard let file = fopen("\(folder)/\(name)", "w") else {
                complain("judge-bench: cannot write \(folder)/\(name); does the folder exist?")
                exit(1)
            }
            fputs(text, file)
            fclose(file)
        }
    }
}

/// The other judges at one rate, with documented and with tuned settings.
struct Peers {
    let rate: Double
    private let flagger: Tuning.Choice<Flagger>
    private let flaggerAll: Tuning.Choice<Flagger>
    private let argo: Tuning.Choice<Argo>
    private let argoAll: Tuning.Choice<Argo>
    private let kayenta: Tuning.Choice<Kayenta>

    /// The bounds of the usual examples: a success rate of 99 %, and a ceiling 20 % above the known P95.
    static let documentedBounds = Bounds(errors: 0.01, ceiling: 2)
    static let flaggers = [5, 10].map { Flagger(interval: 2, threshold: $0, bounds: documentedBounds) }
    static let argo = Argo(interval: 10, failureLimit: 3, bounds: Bounds(errors: 0.05, ceiling: 2))
    static let kayenta = Kayenta(points: 60, confidence: 0.98, tolerance: 0.25)

    init(rate: Double, runs: Int, random: inout Random) {
        self.rate = rate
        func traces(_ scenarios: [Scenario], _ random: inout Random) -> [[Trace]] {
            scenarios.map { scenario in (0..<runs).map { _ in Trace(scenario, rate: rate, random: &random) } }
        }
        let plain = traces([.healthy], &random)
        // Clustered failures and failing users are left out: with them, no setting of the grid keeps false reverts low.
        let all = plain + traces([.outage, .slowdown, .bursts, .nearFloor, .coldStart, .diurnal], &random)
        let bad = traces(Scenario.badOnes, &random)
        flagger = Tuning.best(Tuning.flaggers, healthy: plain, bad: bad) { $0.run($1) }
        flaggerAll = Tuning.best(Tuning.flaggers, healthy: all, bad: bad) { $0.run($1) }
        argo = Tuning.best(Tuning.argos, healthy: plain, bad: bad) { $0.run($1) }
        argoAll = Tuning.best(Tuning.argos, healthy: all, bad: bad) { $0.run($1) }
        func series(_ scenarios: [Scenario], _ random: inout Random) -> [[(Kayenta.Series, Kayenta.Series)]] {
            scenarios.map { scenario in
                (0..<runs).map { _ in Kayenta.series(scenario, rate: rate, minutes: 60, random: &random) }
            }
        }
        kayenta = Tuning.best(
            Tuning.kayentas, healthy: series([.healthy], &random), bad: series(Scenario.badOnes, &random)
        ) { $0.run($1) }
    }

    func cells(_ scenario: Scenario, runs: Int, random: inout Random) -> [Cell?] {
        var endings = [[Ending]](repeating: [], count: Report.judges.count - 1)
        for _ in 0..<runs {
            let trace = Trace(scenario, rate: rate, random: &random)
            let series = Kayenta.series(scenario, rate: rate, minutes: 60, random: &random)
            let ends = [
                Self.flaggers[0].run(trace), Self.flaggers[1].run(trace), flagger.setting.run(trace),
                flaggerAll.setting.run(trace), Self.argo.run(trace), argo.setting.run(trace),
                argoAll.setting.run(trace), Self.kayenta.run(series), kayenta.setting.run(series),
            ]
            for (i, end) in ends.enumerated() { endings[i].append(end) }
        }
        return endings.map { Cell($0) }
    }

    var labels: [String] {
        func text(_ name: String, _ label: String, _ isMet: Bool) -> String {
            "\(name): \(label)\(isMet ? "" : " (no setting of the grid keeps false reverts at 1 %; the least bad)")"
        }
        return [
            text("Flagger tuned on plain healthy rollouts", flagger.setting.label, flagger.isMet),
            text("Flagger tuned on all", flaggerAll.setting.label, flaggerAll.isMet),
            text("Argo tuned on plain healthy rollouts", argo.setting.label, argo.isMet),
            text("Argo tuned on all", argoAll.setting.label, argoAll.isMet),
            text("Kayenta tuned", kayenta.setting.label, kayenta.isMet),
        ]
    }
}
