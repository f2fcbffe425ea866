import Analysis
import PolicyModel

/// What can happen to a service.
public enum Input: Sendable {
    /// The files were read, at start or again.
    case declared
    /// A tick: how long since the last one, and what was seen.
    case evaluated(Evaluation, elapsed: Duration)
    case command(Command)
    /// The agent started again; `clean` when it had said goodbye.
    case recovered(clean: Bool)
}

/// What a person (or a script of theirs) asks for.
public struct Command: Hashable, Sendable {
    public enum Verb: Hashable, Sendable {
        case start
        case advance
        case promote(force: Bool)
        /// To this version; nil: the baseline of the rollout.
        case revert(to: String?, force: Bool)
        case pause
        case resume
        case retry
        case restart
        case freeze
        case unfreeze

        public var name: String {
            switch self {
            case .start: "start"
            case .advance: "advance"
            case .promote: "promote"
            case .revert: "revert"
            case .pause: "pause"
            case .resume: "resume"
            case .retry: "retry"
            case .restart: "restart"
            case .freeze: "freeze"
            case .unfreeze: "unfreeze"
            }
        }
    }

    public var verb: Verb
    /// Who asked: shown in the history.
    public var by: String
    public var reason: String
    /// Refused when the service's generation is another.
    public var generation: UInt64?
    /// What was last seen of the service; promote and revert look at it.
    public var evaluation: Evaluation?

    public init(
        _ verb: Verb, by: String, reason: String = "", generation: UInt64? = nil, evaluation: Evaluation? = nil
    ) {
        self.verb = verb
        self.by = by
        self.reason = reason
        self.generation = generation
        self.evaluation = evaluation
    }
}

/// What follows from an input: the next state, what there is to tell, and the answer to who asked. A value; nothing
/// has happened yet. The shell commits state and events first and publishes the split after, except that a split which
/// gives the candidate less never waits.
public struct Transition: Hashable, Sendable {
    public var state: ServiceState
    public var events: [Event]
    /// To a command; nil for other inputs.
    public var reply: Reply?

    public init(state: ServiceState, events: [Event] = [], reply: Reply? = nil) {
        self.state = state
        self.events = events
        self.reply = reply
    }
}

public enum Reply: Hashable, Sendable {
    /// What changed, in words.
    case done(String)
    case refused(Refused)
}

/// Why a command was not carried out.
public struct Refused: Error, Hashable, Sendable {
    public enum Code: String, Sendable {
        case staleGeneration = "stale_generation"
        case noRollout = "no_rollout"
        case wrongPhase = "wrong_phase"
        case frozen
        case checkFailing = "check_failing"
        case baselineDown = "baseline_down"
        case unknownVersion = "unknown_version"
        case nothingToDo = "nothing_to_do"
    }
    public var code: Code
    /// What, and what to do instead.
    public var message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}
