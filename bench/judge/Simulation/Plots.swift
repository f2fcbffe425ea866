import Glibc
import Statistics

/// Writes plots as SVG files, for `--plots FOLDER`.
enum Plots {
    struct Line {
        var name: String
        var color: String
        var points: [(x: Double, y: Double)]
    }

    private static let (width, height, left, top, right, bottom) = (720.0, 400.0, 70.0, 40.0, 190.0, 50.0)

    /// - Parameter marks: horizontal lines with their labels.
    static func svg(
        _ title: String, x: (label: String, ticks: [(Double, String)], map: (Double) -> Double),
        y: (label: String, ticks: [(Double, String)], map: (Double) -> Double), lines: [Line],
        marks: [(Double, String)] = []
    ) -> String {
        func px(_ v: Double) -> String { number(left + min(max(x.map(v), 0), 1) * (width - left - right)) }
        func py(_ v: Double) -> String { number(height - bottom - min(max(y.map(v), 0), 1) * (height - top - bottom)) }
        func text(_ x: String, _ y: String, _ s: String, _ more: String = "") -> String {
            "<text x=\"\(x)\" y=\"\(y)\" \(more)>\(s)</text>\n"
        }
        var out = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(Int(width)) \(Int(height))\" "
        out += "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        out += text(number(left), "22", title, "font-size=\"14\" font-weight=\"bold\"")
        for (value, label) in y.ticks {
            out += "<path d=\"M\(number(left)) \(py(value))H\(number(width - right))\" stroke=\"#ddd\"/>\n"
            out += text(number(left - 6), py(value), label, "text-anchor=\"end\" dominant-baseline=\"middle\"")
        }
        for (value, label) in x.ticks {
            out += text(px(value), number(height - bottom + 18), label, "text-anchor=\"middle\"")
        }
        out += text(number((left + width - right) / 2), number(height - 10), x.label, "text-anchor=\"middle\"")
        out += text(
            "16", number(height / 2), y.label,
            "text-anchor=\"middle\" transform=\"rotate(-90 16 \(number(height / 2)))\"")
        for (value, label) in marks {
            out +=
                "<path d=\"M\(number(left)) \(py(value))H\(number(width - right))\" stroke=\"#000\" stroke-dasharray=\"4 3\"/>\n"
            out += text(number(width - right - 4), py(value), label, "text-anchor=\"end\" dy=\"-6\"")
        }
        for (i, line) in lines.enumerated() {
            let path = line.points.map { "\(px($0.x)) \(py($0.y))" }.joined(separator: "L")
            out += "<path d=\"M\(path)\" fill=\"none\" stroke=\"\(line.color)\" stroke-width=\"2\"/>\n"
            let at = number(top + 10 + Double(i) * 18)
            out += text(
                number(width - right + 22), at, line.name, "fill=\"\(line.color)\" dominant-baseline=\"middle\"")
        }
        return out + "</svg>\n"
    }

    private static func number(_ x: Double) -> String {
        let tenths = Int((x * 10).rounded())
        return "\(tenths / 10).\(abs(tenths % 10))"
    }

    /// A plot of the evidence about errors in single rollouts at 10 requests/s.
    static func evidence(random: inout Random) -> String {
        let cases: [(Scenario, String, String)] = [
            (.healthy, "sound", "#2a7"), (.outage, "sound, outage of both", "#27c"), (.errors1, "errors 1 %", "#e90"),
            (.errors5, "errors 5 %", "#c22"), (.lateOnset, "5 % from minute 15", "#72b"),
        ]
        let budget = RiskBudget(alpha: 0.01)
        let threshold = budget.logThreshold(weight: budget.weights([(.errors, 1), (.latency, 1)])[0])
        var lines: [Line] = []
        for (scenario, name, color) in cases {
            let settings = SequentialSettings()
            let course = Course(scenario, seconds: Steps.end, random: &random)
            var process = RateProcess(settings.bounds, mode: .counts(discount: 1))
            var arms = (ArmSampler(points: [1]), ArmSampler(points: [1]))
            var (c, b) = (ArmCounts(points: 1), ArmCounts(points: 1))
            var points: [(x: Double, y: Double)] = [(0, 0)]
            for second in 0..<Steps.end {
                let weight = Steps.weight(at: second)
                if second > 0 && weight != Steps.weight(at: second - 1) { process.weightChanged() }
                arms.0.draw(
                    course.condition(candidate: true, at: second, seen: .max), rate: 10 * weight, into: &c,
                    random: &random)
                arms.1.draw(
                    course.condition(candidate: false, at: second, seen: .max), rate: 10 * (1 - weight), into: &b,
                    random: &random)
                process.observe(
                    Stratum(candidate: Tally(c.errors, of: c.requests), baseline: Tally(b.errors, of: b.requests)))
                let isOver = process.logEvidence >= threshold
                if second % 10 == 0 || isOver { points.append((Double(second) / 60, process.logEvidence)) }
                if isOver { break }
            }
            lines.append(Line(name: name, color: color, points: points))
        }
        return svg(
            "Evidence against the candidate, errors, 10 requests/s",
            x: ("minutes", [0, 5, 10, 15, 20, 25, 30].map { ($0, "\(Int($0))") }, { $0 / 30 }),
            y: ("ln E", [-6, -4, -2, 0, 2, 4, 6].map { ($0, "\(Int($0))") }, { ($0 + 6) / 12.5 }), lines: lines,
            marks: [(threshold, "reverts, E = 150")])
    }

    /// A plot of the false reverts of sound candidates against the requests that a candidate with 5 % errors costs, from a
    /// measured table. The line of a judge goes from its best to its worst healthy scenario.
    static func exposure(csv: String, rate: String) -> String {
        var requests: [String: Double] = [:]
        var worst: [String: [Double]] = [:]
        for row in csv.split(separator: "\n").dropFirst() where !row.hasPrefix("#") {
            let cells = row.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
            guard cells.count > 7, cells[0] == rate, let scenario = Scenario(rawValue: cells[1]),
                let runs = Double(cells[3]), let reverted = Double(cells[4])
            else { continue }
            // Sticky users are left out: a user who always fails defeats every judge that does not count by key.
            if scenario.isHealthy && scenario != .sticky { worst[cells[2], default: []].append(reverted / runs) }
            if scenario == .errors5, let median = Double(cells[7]) { requests[cells[2]] = median }
        }
        let colors = ["#c22", "#27c", "#59e", "#14a", "#8bf", "#e90", "#b70", "#750", "#2a7", "#074"]
        var lines: [Line] = []
        for (judge, color) in zip(Report.judges, colors) {
            guard let x = requests[judge], let all = worst[judge] else { continue }
            let sorted = all.sorted()
            lines.append(
                Line(
                    name: judge, color: color,
                    points: [(x, sorted[0]), (x, sorted[sorted.count - 1]), (x * 1.06, sorted[sorted.count - 1])]))
        }
        let low = log(50.0)
        let high = log(10_000.0)
        return svg(
            "False reverts, best to worst of nine healthy scenarios, \(rate) requests/s",
            x: (
                "requests to a candidate that fails 5 %, median",
                [50, 100, 200, 500, 1000, 2000, 5000, 10_000].map { ($0, "\(Int($0))") },
                { (log($0) - low) / (high - low) }
            ),
            y: (
                "share of sound candidates reverted", [0, 0.2, 0.4, 0.6, 0.8, 1].map { ($0, "\(Int($0 * 100)) %") },
                { $0 }
            ),
            lines: lines)
    }

    static func write(to folder: String, table: String) {
        var random = Random(seed: 4)
        save(evidence(random: &random), "\(folder)/evidence.svg")
        guard let csv = read(table) else {
            complain("judge-bench: cannot read \(table); run bench/judge/run first")
            exit(1)
        }
        save(exposure(csv: csv, rate: "10.0"), "\(folder)/exposure-10.svg")
    }

    private static func save(_ text: String, _ path: String) {
        guard let file = fopen(path, "w") else {
            complain("judge-bench: cannot write \(path); does the folder exist?")
            exit(1)
        }
        fputs(text, file)
        fclose(file)
    }

    static func read(_ path: String) -> String? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let n = fread(&buffer, 1, buffer.count, file)
            if n == 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes += buffer[..<n]
        }
    }
}
