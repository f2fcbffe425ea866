import Analysis
import PolicyModel

/// Something that happened to a service, as the journal records it.
public struct Event: Hashable, Codable, Sendable {
    public enum Kind: String, CaseIterable, Codable, Sendable {
        case rolloutStarted = "rollout_started"
        case warmedUp = "warmed_up"
        case stepStarted = "step_started"
        case proving
        case ready
        case bakeStarted = "bake_started"
        case promoted
        case reverted
        case paused
        case resumed
        case frozen
        case unfrozen
        case retried
        case deadlinePassed = "deadline_passed"
        case held
        case holdCleared = "hold_cleared"
        case recovering
        case recovered
        case returned
        case refused
        case checkChanged = "check_changed"
        case configurationApplied = "configuration_applied"
        case alarm
    }
    public var kind: Kind
    /// The id of the rollout that the event belongs to.
    public var rollout: String?
    /// A description in one line.
    public var message: String
    /// The name of the person who decided, or `policy`, `agent` or `file`.
    public var by: String
    /// The generation in force after the event.
    public var generation: UInt64
    /// The candidate's weight in force after the event.
    public var weight: Weight
    /// Every number behind a decision; nil if nothing was judged.
    public var evaluation: Evaluation?

    public init(
        _ kind: Kind, rollout: String? = nil, message: String, by: String = "policy", generation: UInt64 = 0,
        weight: Weight = .zero, evaluation: Evaluation? = nil
    ) {
        self.kind = kind
        self.rollout = rollout
        self.message = message
        self.by = by
        self.generation = generation
        self.weight = weight
        self.evaluation = evaluation
    }

    /// True if the event is a decision, which `canaryctl explain` can explain.
    public var isDecision: Bool {
        switch kind {
        case .rolloutStarted, .stepStarted, .bakeStarted, .promoted, .reverted, .returned, .ready: true
        case .warmedUp, .proving, .paused, .resumed, .frozen, .unfrozen, .retried, .deadlinePassed, .held,
            .holdCleared, .recovering, .recovered, .refused, .checkChanged, .configurationApplied, .alarm:
            false
        }
    }
}
