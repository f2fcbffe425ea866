import PolicyModel
import Vocabulary

/// The command that a rollout needs from a person before it continues. Without the command the rollout may still end by
/// itself, if a check with `action: revert` fails.
public struct PersonNeeded: Hashable, Sendable {
    public var action: PersonAction
    /// The reason why the rollout does not continue without the command.
    public var reason: String
}

extension ServiceState {
    /// The command that the rollout waits for; nil without a rollout, and while the rollout continues by itself.
    public var needsPerson: PersonNeeded? {
        guard let rollout else { return nil }
        if let freeze { return PersonNeeded(action: .unfreeze, reason: "frozen by \(freeze.by): \(freeze.reason)") }
        if let pause = rollout.pause {
            return PersonNeeded(action: .resume, reason: "paused by \(pause.by): \(pause.reason)")
        }
        let strategy = rollout.plan.strategy
        switch rollout.phase {
        case .waiting:
            return strategy.start == .manual ? PersonNeeded(action: .start, reason: "start: manual") : nil
        case .step(let index):
            guard index < strategy.steps.count, case .pause(nil) = strategy.steps[index] else { return nil }
            return PersonNeeded(action: .resume, reason: "step \(index + 1) is a pause without a time")
        case .ready:
            let hasRequiredCheck = rollout.plan.policies.contains { $0.checks.contains { $0.action.isRequired } }
            let reason =
                rollout.waived ?? (hasRequiredCheck ? "proven, with promotion: manual" : "no check is required")
            return PersonNeeded(action: .promote, reason: reason)
        case .proving:
            return rollout.failures.first { $0.acceptedBy != nil }.map {
                PersonNeeded(
                    action: .promote, reason: "\($0.check) failed, and without its proof only a person promotes")
            }
        case .warmup, .baking: return nil
        }
    }
}
