import Glibc

extension Report {
    /// Fills cells that were not measured in this run from an earlier table, so that judges, rates and scenarios can be
    /// measured one after another.
    mutating func fill(from csv: String) {
        for line in csv.split(separator: "\n").dropFirst() {
            let fields = line.split(separator: ",", maxSplits: 10, omittingEmptySubsequences: false).map(String.init)
            if line.hasPrefix("# "), let rate = Double(fields[0].dropFirst(2)) {
                let setting = String(line.drop { $0 != "," }.dropFirst())
                let i = section(rate)
                // Settings of this run take precedence.
                if !sections[i].settings.contains(where: { Self.name($0) == Self.name(setting) }) {
                    sections[i].settings.append(setting)
                }
                continue
            }
            guard fields.count == 11, let rate = Double(fields[0]), let scenario = Scenario(rawValue: fields[1]),
                let judge = Self.judges.firstIndex(of: fields[2]), let runs = Int(fields[3]),
                let reverted = Int(fields[4])
            else { continue }
            let i = section(rate)
            let j = row(scenario, in: i)
            guard sections[i].rows[j].cells[judge] == nil else { continue }
            var cell = Cell([])
            (cell.runs, cell.reverted, cell.promoted) = (runs, reverted, Int(fields[8]) ?? 0)
            (cell.medianRequests, cell.medianPromotion) = (Int(fields[7]), Int(fields[9]))
            sections[i].rows[j].cells[judge] = cell
            if judge == 0 { sections[i].rows[j].modes = fields[10].filter { $0 != "\"" } }
        }
    }

    private static func name(_ setting: String) -> Substring { setting.prefix { $0 != ":" } }

    private mutating func section(_ rate: Double) -> Int {
        if let i = sections.firstIndex(where: { $0.rate == rate }) { return i }
        sections.append(Section(rate: rate, rows: [], settings: []))
        sections.sort { $0.rate < $1.rate }
        return section(rate)
    }

    private mutating func row(_ scenario: Scenario, in i: Int) -> Int {
        if let j = sections[i].rows.firstIndex(where: { $0.scenario == scenario }) { return j }
        sections[i].rows.append(
            Row(scenario: scenario, cells: [Cell?](repeating: nil, count: Self.judges.count), modes: ""))
        let order = Scenario.allCases
        sections[i].rows.sort { order.firstIndex(of: $0.scenario)! < order.firstIndex(of: $1.scenario)! }
        return row(scenario, in: i)
    }
}
