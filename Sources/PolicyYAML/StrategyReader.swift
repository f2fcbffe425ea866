import PolicyModel

/// Reads `strategy` of a service or of a policy test.
struct StrategyReader {
    let report: FileReport

    /// Reads a strategy. Keys that are not written have the strategy's defaults.
    static func read(_ section: Section) -> Strategy {
        let keys = ["start", "warmup", "steps", "promotion", "bake", "deadline"]
        guard let part = section.section("strategy", "strategy", keys: keys) else { return Strategy() }
        return StrategyReader(report: section.report).strategy(part)
    }

    private func strategy(_ part: Section) -> Strategy {
        let ways = [("automatic", Initiation.automatic), ("manual", .manual)]
        let strategy = Strategy(
            start: part.choice("start", ways) ?? .automatic, warmup: warmup(part),
            steps: steps(part) ?? Strategy.defaultSteps, promotion: part.choice("promotion", ways) ?? .automatic,
            bake: bake(part), deadline: deadline(part))
        checkBake(part, strategy)
        checkDeadline(part, strategy)
        return strategy
    }

    private func warmup(_ part: Section) -> Warmup? {
        guard let part = part.section("warmup", "warmup", keys: ["requests", "within"]) else { return nil }
        part.require("requests", "requests: 20")
        part.require("within", "within: 2m")
        guard part.has("requests"), part.has("within"),
            let requests = part.integer("requests", in: 1...1_000_000_000), let within = part.duration("within")
        else { return nil }
        return Warmup(requests: requests, within: within)
    }

    private func steps(_ part: Section) -> [Step]? {
        guard let items = part.list("steps", "'steps'", atMost: ConfigurationLimits.steps) else { return nil }
        var highest: Weight?
        return items.compactMap { item in
            if case .scalar = item.content {
                return report.read(item, "{weight: 10%, hold: 10m}") { (text) throws(InvalidValue) -> Step in
                    if text == "pause" { return .pause(nil) }
                    throw InvalidValue("is no step: write {weight: 10%, hold: 10m}, pause or {pause: 30m}")
                }
            }
            guard let step = Section(item, "a step", keys: ["weight", "hold", "pause"], report: report) else {
                return nil
            }
            if step.has("pause") {
                if step.has("weight") || step.has("hold") {
                    report.error(step.mark("pause"), "a step holds a weight or pauses: make two steps of it")
                }
                return step.duration("pause").map { Step.pause($0) }
            }
            return weightStep(step, above: &highest)
        }
    }

    private func weightStep(_ step: Section, above highest: inout Weight?) -> Step? {
        step.require("weight", "weight: 10%")
        step.require("hold", "hold: 10m")
        let hold = step.duration("hold")
        guard step.has("weight"), let weight = step.weight("weight") else { return nil }
        if weight == .full {
            report.error(
                step.mark("weight"), "at 100% nothing is left to compare with: stop below it; what follows is 'bake'")
        } else if let last = highest, weight <= last {
            report.error(
                step.mark("weight"), "weights rise, and \(weight) is not above the \(last) before it: reorder the steps"
            )
        }
        if weight < .full { highest = max(weight, highest ?? weight) }
        return hold.map { .weight(weight, hold: $0) }
    }

    private func bake(_ part: Section) -> Bake? {
        guard let part = part.section("bake", "bake", keys: ["for", "control"]) else { return nil }
        part.require("for", "for: 1h")
        let control = part.weight("control")
        if let control, control > Weight(clamping: 5000) {
            report.error(part.mark("control"), "a control of \(control) is more than half: write 5%")
        }
        guard part.has("for"), let duration = part.duration("for") else { return nil }
        return control.map { Bake(duration: duration, control: $0) } ?? Bake(duration: duration)
    }

    private func checkBake(_ part: Section, _ strategy: Strategy) {
        guard let bake = strategy.bake, let last = strategy.highestWeight, bake.control <= Weight(clamping: 5000),
            last < .full, bake.control.complement < last
        else { return }
        report.error(
            part.mark("bake"),
            "a control of \(bake.control) would take the candidate back below the last step's \(last): write a control of"
                + " \(last.complement) or less")
    }

    private func deadline(_ part: Section) -> Deadline? {
        guard let part = part.section("deadline", "deadline", keys: ["after", "then"]) else { return nil }
        part.require("after", "after: 24h")
        let then = part.choice("then", [("pause", Deadline.Consequence.pause), ("revert", .revert)]) ?? .pause
        guard part.has("after"), let after = part.duration("after") else { return nil }
        return Deadline(after: after, then: then)
    }

    private func checkDeadline(_ part: Section, _ strategy: Strategy) {
        guard let deadline = strategy.deadline, deadline.after < strategy.holds else { return }
        report.error(
            part.mark("deadline"),
            "the steps alone hold for \(strategy.holds.written), longer than the deadline of \(deadline.after.written):"
                + " write a longer one")
    }
}

extension Strategy {
    /// The highest weight of all steps; nil without any.
    fileprivate var highestWeight: Weight? {
        steps.compactMap { step -> Weight? in if case .weight(let weight, _) = step { weight } else { nil } }.max()
    }

    /// The sum of the steps' holds, without pauses.
    var holds: Duration {
        steps.reduce(.zero) { sum, step in if case .weight(_, let hold) = step { sum + hold } else { sum } }
    }
}
