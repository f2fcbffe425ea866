import Analysis
import PolicyModel
import Vocabulary

/// Something that happened to a service, as the journal records it.
public struct Event: Hashable, Codable, Sendable {
    public var kind: EventKind
    /// The id of the rollout that the event belongs to.
    public var rollout: String?
    /// A description in one line.
    public var message: String
    /// The reason of a revert, without the sentence around it; nil for other kinds, whose message says it all.
    public var reason: String?
    /// The name of the person who decided, or `policy`, `agent` or `file`.
    public var by: String
    /// The generation in force after the event.
    public var generation: UInt64
    /// The candidate's weight in force after the event.
    public var weight: Weight
    /// Every number behind a decision; nil if nothing was judged.
    public var evaluation: Evaluation?

    public init(
        _ kind: EventKind, rollout: String? = nil, message: String, reason: String? = nil, by: String = "policy",
        generation: UInt64 = 0,
        weight: Weight = .zero, evaluation: Evaluation? = nil
    ) {
        self.kind = kind
        self.rollout = rollout
        self.message = message
        self.reason = reason
        self.by = by
        self.generation = generation
        self.weight = weight
        self.evaluation = evaluation
    }

    /// True if the event is a decision, which `canaryctl explain` can explain. A pause is one if a check decided it.
    public var isDecision: Bool {
        switch kind {
        case .rolloutStarted, .stepStarted, .bakeStarted, .promoted, .reverted, .ended, .returned, .ready: true
        case .paused: evaluation != nil
        case .warmedUp, .proving, .resumed, .frozen, .unfrozen, .retried, .deadlinePassed, .held,
            .holdCleared, .recovering, .recovered, .refused, .checkChanged, .configurationApplied, .alarm:
            false
        }
    }
}
