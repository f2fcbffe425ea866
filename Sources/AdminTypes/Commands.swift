/// The verb of a command to a service, which is sent to `POST /v1/services/S/VERB`.
public enum CommandVerb: String, CaseIterable, Codable, Sendable {
    case start, advance, promote, revert, pause, resume, retry, restart, freeze, unfreeze

    public var takesForce: Bool { self == .promote || self == .revert }
    public var takesTarget: Bool { self == .revert }
}

/// The body of a command. All fields are optional, and so is the body.
public struct CommandRequest: Hashable, Codable, Sendable {
    public var reason: String?
    /// The user who sends the command; by default the user of the connection.
    public var by: String?
    /// The generation that the sender saw; the command is refused if the service's generation is another.
    public var generation: UInt64?
    /// The `force` of a promotion or a revert.
    public var force: Bool?
    /// The version to serve after a revert; by default the rollout's baseline.
    public var to: String?

    public init(
        reason: String? = nil, by: String? = nil, generation: UInt64? = nil, force: Bool? = nil, to: String? = nil
    ) {
        self.reason = reason
        self.by = by
        self.generation = generation
        self.force = force
        self.to = to
    }
}

/// The response to a command that took effect.
public struct CommandResult: Hashable, Codable, Sendable {
    /// What changed.
    public var message: String
    /// False (with status 202) if the change is in force but not yet on disk.
    public var durable: Bool
    /// The status of the service after the command.
    public var status: ServiceStatus

    public init(message: String, durable: Bool, status: ServiceStatus) {
        self.message = message
        self.durable = durable
        self.status = status
    }
}

/// The body of every response that is not 2xx.
public struct ErrorBody: Hashable, Codable, Sendable {
    public var error: Problem

    public struct Problem: Hashable, Codable, Sendable {
        /// The code, for programs: `unknown_service`, `frozen`, `bad_field`, ...
        public var code: String
        /// What happened and what to do.
        public var message: String
        /// Further lines, such as every invalid row or every known service; may be empty. Refusals of the HTTP layer
        /// itself write null.
        public var detail: [String]

        public init(code: String, message: String, detail: [String] = []) {
            self.code = code
            self.message = message
            self.detail = detail
        }

        public init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            code = try container.decode(String.self, forKey: .code)
            message = try container.decode(String.self, forKey: .message)
            detail = try container.decodeIfPresent([String].self, forKey: .detail) ?? []
        }
    }

    public init(_ problem: Problem) { error = problem }
}

/// The numbers of feedback rows since the agent started, by result; every row is counted in exactly one of these.
public struct FeedbackCountsStatus: Hashable, Codable, Sendable {
    /// Rows that were joined with their request.
    public var joined: UInt64
    /// Rows whose id had been labeled before.
    public var duplicate: UInt64
    /// Rows whose id was seen on both arms, or in two rollouts.
    public var ambiguous: UInt64
    /// Rows for whose id no request was seen in time.
    public var unmatched: UInt64
    /// Rows whose request belongs to a rollout that is over or to a time in which no check used labels, and rows that
    /// came later than the longest maturity of the quality checks.
    public var late: UInt64
    /// Rows that arrived while no rollout was running, so that there was nothing to compare.
    public var noRollout: UInt64
    /// Rows that arrived during a rollout of which no check asks for labels.
    public var noCheck: UInt64
    /// Rows that wait for their request to end.
    public var pending: UInt64

    public init(
        joined: UInt64 = 0, duplicate: UInt64 = 0, ambiguous: UInt64 = 0, unmatched: UInt64 = 0, late: UInt64 = 0,
        noRollout: UInt64 = 0, noCheck: UInt64 = 0, pending: UInt64 = 0
    ) {
        self.joined = joined
        self.duplicate = duplicate
        self.ambiguous = ambiguous
        self.unmatched = unmatched
        self.late = late
        self.noRollout = noRollout
        self.noCheck = noCheck
        self.pending = pending
    }
}

/// The response to posted feedback.
public struct FeedbackResult: Hashable, Codable, Sendable {
    /// The number of accepted rows. Each is joined with its request within a tick after the request has ended.
    public var accepted: Int
    public var counts: FeedbackCountsStatus
    /// The reason why no check uses these rows; absent if one does.
    public var note: String?

    public init(accepted: Int, counts: FeedbackCountsStatus, note: String? = nil) {
        self.accepted = accepted
        self.counts = counts
        self.note = note
    }
}
