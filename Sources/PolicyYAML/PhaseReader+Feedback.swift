import PolicyModel

extension PhaseReader {
    /// Reads the feedback of a phase. A phase without the key has that of the phase before; a phase with it takes over
    /// none of its values.
    func feedback(_ part: Section, before: FeedbackTraffic?) -> FeedbackTraffic? {
        guard let node = part.node("feedback") else { return before }
        if case .scalar = node.content {
            _ = report.read(node, "{delay: 5s, positives: 25%, baseline: {recall: 60%}}") {
                (text) throws(InvalidValue) in
                if text != "none" {
                    throw InvalidValue("is not known here: write none, or a mapping with baseline and candidate")
                }
            }
            return nil
        }
        let keys = ["delay", "share", "groups", "positives", "baseline", "candidate"]
        guard let part = Section(node, "feedback", keys: keys, report: report) else { return nil }
        let delay = part.duration("delay", zero: true, atMost: .seconds(7 * 86_400)) ?? .seconds(1)
        let share = part.fraction("share") ?? 1
        guard part.has("groups") else {
            let all = group(part, value: "", what: "feedback", share: 1)
            return FeedbackTraffic(delay: delay, share: share, attribute: nil, groups: [all])
        }
        for key in ["positives", "baseline", "candidate"] where part.has(key) {
            report.error(part.mark(key), "'\(key)' is a matter of each group here: move it into them")
        }
        guard let (attribute, groups) = groups(part) else { return nil }
        return FeedbackTraffic(delay: delay, share: share, attribute: attribute, groups: groups)
    }

    private func groups(_ part: Section) -> (String, [GroupTraffic])? {
        guard let node = part.node("groups") else { return nil }
        guard case .mapping(let attributes) = node.content, attributes.count == 1,
            case .mapping(let values) = attributes[0].value.content, !values.isEmpty
        else {
            report.error(node.mark, "'groups' is one attribute with its values: write {sex: {Female: {…}, Male: {…}}}")
            return nil
        }
        let attribute = attributes[0].name
        if values.count > ConfigurationLimits.groups {
            report.error(node.mark, "more than \(ConfigurationLimits.groups) groups: leave some out")
            return nil
        }
        let groups = values.compactMap { entry -> GroupTraffic? in
            let what = "group '\(attribute)=\(entry.name)'"
            let keys = ["share", "positives", "baseline", "candidate"]
            guard let part = Section(entry.value, what, keys: keys, report: report) else { return nil }
            part.require("share", "share: 33%")
            return group(part, value: entry.name, what: what, share: part.fraction("share") ?? 0)
        }
        let total = groups.reduce(0) { $0 + $1.share }
        if total > 1 + 1e-9 {
            report.error(
                attributes[0].key, "the groups' shares sum to \(Units.percent(total)): lower them to 100% or less")
        }
        return (attribute, groups)
    }

    private func group(_ part: Section, value: String, what: String, share: Double) -> GroupTraffic {
        part.require("positives", "positives: 25%")
        part.require("baseline", "baseline: {recall: 60%, falsePositiveRate: 5%}")
        let start = ArmQuality(recall: 0.6, falsePositiveRate: 0.05)
        let baseline = quality("baseline", part, before: nil) ?? start
        let candidate = quality("candidate", part, before: baseline) ?? baseline
        return GroupTraffic(
            value: value, share: share, positives: part.fraction("positives") ?? 0, baseline: baseline,
            candidate: candidate)
    }

    /// Reads the quality of an arm. Keys that the candidate does not write have the baseline's values.
    private func quality(_ key: String, _ part: Section, before: ArmQuality?) -> ArmQuality? {
        let keys = ["recall", "falsePositiveRate", "score"]
        guard let part = part.section(key, "'\(key)'", keys: keys) else { return nil }
        if before == nil {
            part.require("recall", "recall: 60%")
            part.require("falsePositiveRate", "falsePositiveRate: 5%")
        }
        return ArmQuality(
            recall: part.fraction("recall") ?? before?.recall ?? 0,
            falsePositiveRate: part.fraction("falsePositiveRate") ?? before?.falsePositiveRate ?? 0,
            score: score(part) ?? before?.score)
    }

    private func score(_ part: Section) -> Double? {
        guard scores != .unit else { return part.fraction("score") }
        return part.read("score", "60") { (text) throws(InvalidValue) -> Double in
            guard let value = Units.number(Substring(text)) else {
                throw InvalidValue("is no number: write one such as 60")
            }
            guard scores.contains(value) else {
                throw InvalidValue("is outside the range that the policy declares: write a score of \(scores)")
            }
            return value
        }
    }
}
