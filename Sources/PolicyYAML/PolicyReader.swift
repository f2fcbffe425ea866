import PolicyModel
import Vocabulary

/// The content of a policy file, as far as it could be read.
struct PolicyDraft {
    var name: Located<String>?
    /// The policy with the defaults of its arguments; nil if the file has any error.
    var policy: Policy?
    var report: FileReport
    /// The document, for reading the policy again with other arguments.
    var root: Node
}

/// Reads a policy.
struct PolicyReader {
    let report: FileReport

    /// - Parameter values: the arguments that a service gives; the others have their defaults.
    static func read(_ root: Node, report: FileReport, values: [String: Node] = [:]) -> PolicyDraft {
        PolicyReader(report: report).policy(root, values)
    }

    private func policy(_ root: Node, _ values: [String: Node]) -> PolicyDraft {
        let arguments = PolicyArguments(root, report: report)
        let keys = ["policy", "description", PolicyArguments.key, "onNoData", "threshold", "checks"]
        let replaced = arguments.replaced(in: root, by: values)
        guard let section = Section(replaced, "a policy", keys: keys, report: report) else {
            return PolicyDraft(report: report, root: root)
        }
        let name = section.name("policy", "policy: standard")
        let description = section.text("description") ?? ""
        let noData = noDataRule(section)
        let limits = thresholdLimits(section, defaults: ThresholdLimits())
        let checks = checks(section, defaults: limits)
        guard let name, !report.hasErrors else { return PolicyDraft(name: name, report: report, root: root) }
        let policy = Policy(
            name: name.value, description: description, arguments: arguments.values(values), onNoData: noData,
            checks: checks)
        return PolicyDraft(name: name, policy: policy, report: report, root: root)
    }

    /// Reads `hold`, or `{then: revert, after: 10m}`.
    private func noDataRule(_ section: Section) -> NoDataRule {
        guard let node = section.node("onNoData") else { return .hold }
        guard case .mapping = node.content else {
            return report.read(node, "hold") { (text) throws(InvalidValue) -> NoDataRule in
                if text == "hold" { return .hold }
                if text == "revert" { throw InvalidValue("needs a time: write {then: revert, after: 10m}") }
                throw InvalidValue("is not known here: write hold, or {then: revert, after: 10m}")
            } ?? .hold
        }
        guard let rule = Section(node, "onNoData", keys: ["then", "after"], report: report) else { return .hold }
        rule.require("then", "then: revert")
        guard let reverts = rule.choice("then", [("hold", false), ("revert", true)]) else { return .hold }
        if !reverts {
            if rule.has("after") {
                report.error(rule.mark("after"), "'after' says when to revert: remove it, or write then: revert")
            }
            return .hold
        }
        rule.require("after", "after: 10m")
        return .revert(after: rule.duration("after") ?? .seconds(600))
    }

    func thresholdLimits(_ section: Section, defaults: ThresholdLimits) -> ThresholdLimits {
        let keys = [
            "interval", "window", "minSamples", "failureLimit", "inconclusiveLimit", "consecutiveErrorLimit",
        ]
        guard let part = section.section("threshold", "threshold", keys: keys) else { return defaults }
        let limits = ThresholdLimits(
            interval: part.duration("interval", atLeast: .seconds(1), atMost: .seconds(3600)) ?? defaults.interval,
            window: part.duration("window", atLeast: .seconds(1), atMost: .seconds(86_400)) ?? defaults.window,
            minSamples: part.integer("minSamples", in: 1...1_000_000_000) ?? defaults.minSamples,
            failureLimit: part.integer("failureLimit", in: 0...1_000_000) ?? defaults.failureLimit,
            inconclusiveLimit: part.integer("inconclusiveLimit", in: 0...1_000_000) ?? defaults.inconclusiveLimit,
            consecutiveErrorLimit: part.integer("consecutiveErrorLimit", in: 0...1_000_000)
                ?? defaults.consecutiveErrorLimit)
        if limits.window < limits.interval {
            let (window, interval) = (limits.window.written, limits.interval.written)
            report.error(
                part.mark(part.has("window") ? "window" : "interval"),
                "a window of \(window) every \(interval) leaves traffic unseen: write a window of \(interval) or more")
        }
        return limits
    }

    private func checks(_ section: Section, defaults: ThresholdLimits) -> [Check] {
        section.require("checks", "a list of checks")
        guard let items = section.list("checks", "'checks'", atMost: ConfigurationLimits.checks)
        else { return [] }
        if items.isEmpty {
            report.error(section.mark("checks"), "a policy without checks decides nothing: write at least one")
        }
        var marks: [String: Mark] = [:]
        let checks: [Check] = items.compactMap { item in
            guard
                let check = Section(
                    item, "a check", keys: Self.checkKeys, replaced: Self.replacedKeys, report: report)
            else { return nil }
            let name = check.name("name", "name: error-rate")
            if let name, let first = marks.updateValue(marks[name.value] ?? name.mark, forKey: name.value) {
                report.error(
                    name.mark, "a second check '\(name.value)', first at line \(first.line): rename one of them")
            }
            let action = check.choice("action", CheckAction.self) ?? .revert
            let share = check.read("share", "1") { (text) throws(InvalidValue) in
                let value = try Units.quantity(text)
                guard value > 0, value <= 1000 else {
                    throw InvalidValue("is out of range: write a number above 0, at most 1000")
                }
                return value
            }
            let limits = thresholdLimits(check, defaults: defaults)
            guard let kind = kind(check), let name else { return nil }
            return Check(name: name.value, kind: kind, action: action, share: share ?? 1, limits: limits)
        }
        if !report.hasErrors { oneScoreRange(checks, marks) }
        return checks
    }

    private static let kinds = ["errors", "clientErrors", "latency", "quality", "metric"]
    private static let checkKeys = ["name"] + kinds + ["action", "share", "threshold"]
    private static let replacedKeys = [
        "mode": "'mode' was replaced by 'action': for mode: observe write action: notify; for mode: enforce remove the "
            + "key, or write action: revert"
    ]

    private func kind(_ check: Section) -> CheckKind? {
        let written = Self.kinds.filter { check.has($0) }
        guard written.count == 1 else {
            if written.isEmpty {
                report.error(
                    check.mark,
                    "a check needs one of errors, clientErrors, latency, quality or metric: write what it looks at")
            } else {
                let list = written.joined(separator: " and ")
                report.error(
                    check.mark(written[1]), "a check looks at one thing, this one at \(list): make a check of each")
            }
            return nil
        }
        switch written[0] {
        case "errors": return errors(check).map(CheckKind.errors)
        case "clientErrors": return clientErrors(check).map(CheckKind.clientErrors)
        case "latency": return latency(check).map(CheckKind.latency)
        case "quality": return quality(check).map(CheckKind.quality)
        default: return metric(check).map(CheckKind.metric)
        }
    }
}
