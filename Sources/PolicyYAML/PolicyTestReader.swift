import PolicyModel
import Vocabulary

/// Reads a policy test.
struct PolicyTestReader {
    let report: FileReport

    /// Reads a test and the policies that it names.
    /// - Returns: the test, nil if it has an error, and the reports of these policies.
    static func read(_ root: Node, file: String, report: FileReport) -> (test: PolicyTest?, others: [FileReport]) {
        let reader = PolicyTestReader(report: report)
        let keys = ["policy", "seed", "strategy", "interval", "judge", "tests"]
        guard let section = Section(root, "a policy test", keys: keys, report: report) else { return (nil, []) }
        let (policies, others) = reader.policies(section, folder: FilePaths.folder(of: file))
        let strategy = section.has("strategy") ? StrategyReader.read(section) : Strategy()
        let seed = section.integer("seed", in: 0...Int.max) ?? 1
        let interval = section.duration("interval", atLeast: .milliseconds(100), atMost: .seconds(60)) ?? .seconds(1)
        // Names of checks can only be checked if all policies could be read.
        let checks = others.contains(where: \.hasErrors) || policies.isEmpty ? nil : policies.flatMap(\.checks)
        let scenarios = ScenarioReader(
            report: report, checks: checks, scores: policies.scoreRange ?? .unit, strategy: strategy
        ).scenarios(section)
        guard !report.hasErrors, !policies.isEmpty, !scenarios.isEmpty else { return (nil, others) }
        let test = PolicyTest(
            file: file, policies: policies, seed: UInt64(seed), strategy: strategy, interval: interval,
            judge: section.choice("judge", JudgeKind.self) ?? .sequential, scenarios: scenarios)
        return (test, others)
    }

    private func policies(_ section: Section, folder: String) -> ([Policy], [FileReport]) {
        section.require("policy", "policy: standard.yaml")
        guard let items = section.list("policy", "'policy'", atMost: 64, orOne: true) else { return ([], []) }
        if items.isEmpty { report.error(section.mark("policy"), "'policy' is empty: name at least one policy file") }
        var policies: [Policy] = []
        var others: [FileReport] = []
        for item in items {
            guard let name = report.read(item, "standard.yaml", { $0 }) else { continue }
            let path = FilePaths.join(folder, name)
            guard Files.kind(path) == .file else {
                report.error(item.mark, "there is no policy file '\(name)' beside this one: correct the path")
                continue
            }
            let (root, other) = Document.read(path)
            others.append(other)
            if let policy = root.flatMap({ PolicyReader.read($0, report: other).policy }) { policies.append(policy) }
        }
        return (policies, others)
    }
}

/// Reads the scenarios of a policy test.
struct ScenarioReader {
    let report: FileReport
    /// The checks of all policies; nil if they are not known.
    let checks: [Check]?
    /// The range of scores in the policies.
    let scores: ScoreRange
    let strategy: Strategy

    func scenarios(_ section: Section) -> [TestScenario] {
        section.require("tests", "a list of scenarios")
        guard let items = section.list("tests", "'tests'", atMost: ConfigurationLimits.scenarios) else { return [] }
        if items.isEmpty { report.error(section.mark("tests"), "'tests' is empty: write at least one scenario") }
        var lines: [String: Int] = [:]
        return items.compactMap { item in
            let keys = ["name", "rate", "traffic", "expect"]
            guard let part = Section(item, "a scenario", keys: keys, report: report) else { return nil }
            part.require("name", "what happens and how it has to end")
            let name = part.text("name")
            if let name, let line = lines.updateValue(lines[name] ?? item.mark.line, forKey: name) {
                report.error(
                    part.mark("name"), "a second scenario of this name, first at line \(line): rename one of them")
            }
            let phases = PhaseReader(report: report, scores: scores).phases(part)
            let expected = expectation(part, phases)
            guard let name, let expected, !phases.isEmpty else { return nil }
            return TestScenario(name: name, line: item.mark.line, phases: phases, expected: expected)
        }
    }

    private func expectation(_ scenario: Section, _ phases: [TrafficPhase]) -> ExpectedDecision? {
        scenario.require("expect", "expect: {decision: revert, check: error-rate, within: 3m}")
        let keys = ["decision", "check", "within"]
        guard let part = scenario.section("expect", "expect", keys: keys) else { return nil }
        part.require("decision", "decision: promote")
        guard let decision = part.choice("decision", ExpectedDecision.Decision.self) else { return nil }
        let check = part.read("check", "error-rate") { (text) throws(InvalidValue) -> String in
            guard let checks, !checks.contains(where: { $0.name == text }) else { return text }
            throw InvalidValue("is no check of the policy: \(Suggestion.hint(for: text, among: checks.map(\.name)))")
        }
        let action: CheckAction? =
            switch decision {
            case .revert: .revert
            case .pause: .pause
            case .promote, .hold: nil
            }
        if check != nil, action == nil {
            report.error(
                part.mark("check"), "'check' names what fails: remove it, or write decision: revert or decision: pause")
        }
        if let check, let action, let checks {
            let actions = checks.filter { $0.name == check }.map(\.action)
            if let other = actions.first, !actions.contains(action) {
                report.error(
                    part.mark("check"),
                    "check '\(check)' has action: \(other.rawValue), so it is not what \(decision.rawValue)s: name a "
                        + "check with action: \(action.rawValue)")
            }
        } else if decision == .pause, let checks, !checks.contains(where: { $0.action == .pause }) {
            report.error(
                part.mark("decision"),
                "no check of the policy has action: pause: write hold, or give a check that action")
        }
        let within = part.duration("within")
        let total = phases.reduce(Duration.zero) { $0 + $1.duration }
        if within != nil, decision == .hold {
            report.error(
                part.mark("within"), "'within' has no meaning for hold, which lasts as long as the traffic: remove it")
        } else if let within, within > total, !phases.isEmpty {
            report.error(
                part.mark("within"),
                "'within' lies after the traffic's end at \(total.written): write a shorter one,"
                    + " or longer traffic")
        }
        if decision == .promote, strategy.holds > total, !phases.isEmpty {
            report.error(
                part.mark("decision"),
                "the steps hold for \(strategy.holds.written) and the traffic ends after"
                    + " \(total.written), so nothing can be promoted: write longer traffic or shorter steps")
        }
        return ExpectedDecision(decision: decision, check: check, within: within)
    }
}
