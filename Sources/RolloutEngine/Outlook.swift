import Analysis
import PolicyModel
import Vocabulary

/// A summary of what a rollout waits for and what comes next, for display. No decision depends on it.
public struct Outlook: Hashable, Sendable {
    /// The conditions that the rollout waits for, as text; empty if it waits only for time, or for nothing.
    public var waitsFor: [String] = []
    /// The next step of the rollout, as text.
    public var next = ""
    /// The rest of the hold; nil if the rollout does not wait for time.
    public var holdLeft: Duration?

    public init(_ state: ServiceState, _ evaluation: Evaluation?) {
        guard let rollout = state.rollout else {
            next =
                state.refused.map { "nothing: \($0.identity) was reverted; canaryctl retry tries it again" }
                ?? "nothing"
            return
        }
        if let freeze = state.freeze { waitsFor.append("unfreeze (frozen by \(freeze.by): \(freeze.reason))") }
        if let pause = rollout.pause {
            let commands = pause.cause == .check ? "resume, promote or revert" : "resume"
            waitsFor.append("\(commands) (paused by \(pause.by): \(pause.reason))")
        }
        if let holdReason = rollout.holdReason {
            waitsFor.append(holdReason.words)
            if holdReason == .unusableSeries {
                waitsFor += (evaluation?.required(.error) ?? []).map(\.words)
            }
        }
        let strategy = rollout.plan.strategy
        switch rollout.phase {
        case .waiting:
            next =
                strategy.start == .manual
                ? "canaryctl start" : state.freeze == nil ? "starts at the next tick" : "starts once it is unfrozen"
        case .warmup:
            let need = strategy.warmup?.requests ?? 0
            let seen = evaluation?.candidate.requests ?? 0
            waitsFor.append("warm-up: \(min(seen, UInt64(need))) of \(need) requests")
            next = Self.describe(step: 0, of: strategy)
        case .step(let index):
            if index < strategy.steps.count {
                switch strategy.steps[index] {
                case .weight(_, let hold): holdLeft = max(hold - rollout.held, .zero)
                case .pause(let time?): holdLeft = max(time - rollout.held, .zero)
                case .pause(nil): waitsFor.append("canaryctl resume (a pause step)")
                }
            }
            next = Self.describe(step: index + 1, of: strategy)
            if holdLeft == .zero { waitsFor += Self.unsettled(evaluation, rollout) }
        case .proving:
            waitsFor += (evaluation?.unproven ?? []).map { "proof of \($0.path): \($0.missing)" }
            if let rule = rollout.plan.analysis.risk.promotion, evaluation?.missesOnlyWaivableProofs == true {
                let left = Duration.seconds((rule.after - rollout.active).components.seconds)
                let most = evaluation?.mostExcessFailures.map { " (now \(Measurement.failures($0)))" } ?? ""
                waitsFor.append(
                    "or, for proofs of errors, client errors and latency: "
                        + (left > .zero ? "\(left.written) more with " : "")
                        + "at most \(rule.whenExcessFailuresAtMost) excess failures\(most), which waives them")
            }
            next = strategy.promotion == .manual ? "ready for canaryctl promote" : Self.describeEnd(of: strategy)
        case .ready: next = "canaryctl promote, then " + Self.describeEnd(of: strategy)
        case .baking:
            holdLeft = max((strategy.bake?.duration ?? .zero) - rollout.held, .zero)
            next = "\(rollout.candidate) serves all"
            if holdLeft == .zero { waitsFor += Self.unsettled(evaluation, rollout) }
        }
    }

    /// The required checks that keep the rollout in its step after the hold, each with what is missing.
    private static func unsettled(_ evaluation: Evaluation?, _ rollout: Rollout) -> [String] {
        (evaluation?.results ?? []).filter {
            $0.isRequired && $0.verdict != .pass && !($0.verdict == .noData && $0.waitsOnlyForPromotion)
                && !($0.verdict == .fail && rollout.acceptedChecks.contains($0.path))
                && !($0.verdict == .error && rollout.holdReason == .unusableSeries)
        }.map { $0.missing.isEmpty ? $0.verdictWords : "\($0.path): \($0.missing)" }
    }

    private static func describe(step index: Int, of strategy: Strategy) -> String {
        guard index < strategy.steps.count else { return "proof, then " + describeEnd(of: strategy) }
        switch strategy.steps[index] {
        case .weight(let weight, let hold): return "step \(index + 1): \(weight) for \(hold.written)"
        case .pause(let time): return "step \(index + 1): pause" + (time.map { " for \($0.written)" } ?? "")
        }
    }

    private static func describeEnd(of strategy: Strategy) -> String {
        strategy.bake.map { "bake at \($0.control.complement) for \($0.duration.written)" } ?? "promotion"
    }
}

extension HoldReason {
    /// The condition that ends the block, as text.
    var words: String {
        switch self {
        case .tooLittleTraffic: "more traffic"
        case .noMeasurement: "a check that can measure nothing with the requests that come"
        case .noData: "judged requests (there are none)"
        case .providerDown: "the metric provider (it is down)"
        case .unusableSeries: "a series that a check names (it is missing, or cannot be measured)"
        case .agentBlind: "the agent's own view (it is blind)"
        case .badBaseline: "the baseline (it is down)"
        case .candidateDown: "the candidate (it is down)"
        case .recovering: "a first healthy evaluation after the restart"
        }
    }
}
