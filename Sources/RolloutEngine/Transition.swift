import Analysis
import PolicyModel
import Vocabulary

/// An input of the state machine.
public enum Input: Sendable {
    /// The configuration files were read, at the start of the agent or by a reload.
    /// With it comes the latest evaluation, whose numbers the history shows if the rollout ends; nil without one.
    case declared(Evaluation? = nil)
    /// A tick with its evaluation and the time since the tick before.
    case evaluated(Evaluation, elapsed: Duration)
    case command(Command)
    /// The agent started; `clean` is true if its last run ended with an orderly shutdown.
    case recovered(clean: Bool)
}

/// A request of a person or a script, such as `canaryctl advance`.
public struct Command: Hashable, Sendable {
    public enum Verb: Hashable, Sendable {
        case start
        case advance
        case promote(force: Bool)
        /// Gives all traffic to the version `to`, or to the baseline of the rollout if `to` is nil.
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
    /// The person or script that sent the command, as shown in the history.
    public var by: String
    public var reason: String
    /// The generation that the sender saw. If the service has another one, the command is refused.
    public var generation: UInt64?
    /// The last evaluation of the service, which decides whether it may be advanced, promoted or reverted.
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

/// The output of the state machine for an input: the next state, the events and the response to a command. It is a
/// value; nothing has happened yet. The caller commits state and events first and then publishes the split, except that
/// a split which gives the candidate less traffic is published at once.
public struct Transition: Hashable, Sendable {
    public var state: ServiceState
    public var events: [Event]
    /// The response to a command; nil for other inputs.
    public var response: CommandResponse?

    public init(state: ServiceState, events: [Event] = [], response: CommandResponse? = nil) {
        self.state = state
        self.events = events
        self.response = response
    }
}

/// The response to a command.
public enum CommandResponse: Hashable, Sendable {
    /// The command was carried out; the text says what changed.
    case done(String)
    case refused(CommandRefusal)
}

/// The reason for which a command was refused.
public struct CommandRefusal: Error, Hashable, Sendable {
    public var code: RefusalCode
    /// A text that says why the command was refused and what to do instead.
    public var message: String

    public init(_ code: RefusalCode, _ message: String) {
        self.code = code
        self.message = message
    }
}
