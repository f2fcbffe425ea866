import Vocabulary

/// Something that happened to a service, as the journal keeps it.
public struct EventRecord: Hashable, Codable, Sendable {
    /// The id, which grows with each entry of the agent. Absent for an event that took effect but is not in the journal
    /// yet; such an event is sent again, with its id, once it is.
    public var id: Int64?
    public var service: String
    public var at: Timestamp
    /// The kind as text, because a later agent may know more kinds than this program.
    public var kind: String
    public var rollout: String?
    /// The event as one line of text.
    public var message: String
    /// A person's name, `policy`, `file` or `agent`.
    public var by: String
    /// The generation in force after the event.
    public var generation: UInt64
    public var candidateWeight: Share
    /// True if `GET …/decisions/ID` has the numbers on which the event is based.
    public var decision: Bool

    public init(
        id: Int64?, service: String, at: Timestamp, kind: String, rollout: String?, message: String, by: String,
        generation: UInt64, candidateWeight: Share, decision: Bool
    ) {
        self.id = id
        self.service = service
        self.at = at
        self.kind = kind
        self.rollout = rollout
        self.message = message
        self.by = by
        self.generation = generation
        self.candidateWeight = candidateWeight
        self.decision = decision
    }

    /// The kind; nil if only a later version knows it.
    public var knownKind: EventKind? { EventKind(rawValue: kind) }
}

/// The response to `GET /v1/services/S/events`.
public struct EventList: Hashable, Codable, Sendable {
    /// The events, oldest first.
    public var events: [EventRecord]

    public init(events: [EventRecord]) { self.events = events }
}

/// The response to `GET /v1/services/S/decisions/ID`.
public struct DecisionRecord: Hashable, Codable, Sendable {
    public var event: EventRecord
    /// The evaluation that led to the decision; absent if nothing was judged.
    public var evaluation: EvaluationStatus?

    public init(event: EventRecord, evaluation: EvaluationStatus?) {
        self.event = event
        self.evaluation = evaluation
    }
}

/// A rollout as the history shows it.
public struct HistoryEntry: Hashable, Codable, Sendable {
    public var id: String
    public var baseline: String
    public var candidate: String
    public var startedAt: Timestamp
    /// The time of the end; absent while the rollout runs.
    public var endedAt: Timestamp?
    public var result: RolloutResult
    /// The reason for the end; empty while the rollout runs.
    public var reason: String
    /// The id of the event that ended the rollout; absent while it runs.
    public var decision: Int64?
    /// The number of judged requests that the candidate got.
    public var candidateRequests: UInt64

    public init(
        id: String, baseline: String, candidate: String, startedAt: Timestamp, endedAt: Timestamp?,
        result: RolloutResult, reason: String, decision: Int64?, candidateRequests: UInt64
    ) {
        self.id = id
        self.baseline = baseline
        self.candidate = candidate
        self.startedAt = startedAt
        self.endedAt = endedAt
        self.result = result
        self.reason = reason
        self.decision = decision
        self.candidateRequests = candidateRequests
    }
}

/// The response to `GET /v1/services/S/history`.
public struct HistoryList: Hashable, Codable, Sendable {
    public var service: String
    /// The rollouts, newest first.
    public var rollouts: [HistoryEntry]

    public init(service: String, rollouts: [HistoryEntry]) {
        self.service = service
        self.rollouts = rollouts
    }
}
