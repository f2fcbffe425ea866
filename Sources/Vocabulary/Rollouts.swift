/// The phase of a service: that of its rollout, or `idle` without one.
public enum ServicePhase: String, CaseIterable, Codable, Sendable {
    /// There is no rollout.
    case idle
    /// The rollout waits to be started.
    case waiting
    /// The candidate serves its first requests.
    case warmup
    case step
    /// All steps are done; the rollout waits until every required check is proven.
    case proving
    /// The candidate is proven and waits for `canaryctl promote`.
    case ready
    case baking
}

/// The reason for which a rollout that is not paused does not move.
public enum HoldReason: String, CaseIterable, Codable, Sendable {
    case tooLittleTraffic
    /// Requests come, and a check can measure nothing with them.
    case noMeasurement
    case noData
    case providerDown
    /// The servers' metrics are scraped, and a series that a check names is missing or cannot be measured.
    case unusableSeries
    case agentBlind
    case badBaseline
    case candidateDown
    /// The candidate gets nothing until a first healthy evaluation after an unclean stop.
    case recovering

    /// True if the reason should alert someone.
    public var isAlarm: Bool {
        switch self {
        case .noMeasurement, .providerDown, .unusableSeries, .agentBlind, .badBaseline, .candidateDown: true
        case .tooLittleTraffic, .noData, .recovering: false
        }
    }
}

/// The cause of a pause.
public enum PauseCause: String, CaseIterable, Codable, Sendable {
    case manual
    /// A check with `action: pause` failed.
    case check
    case inconclusive
    case deadline
}

/// A command that only a person can give, and without which a rollout does not continue.
public enum PersonAction: String, CaseIterable, Codable, Sendable {
    case unfreeze
    case resume
    case start
    case promote
}

/// The result of a rollout in the history.
public enum RolloutResult: String, CaseIterable, Codable, Sendable {
    case running
    case promoted
    case reverted
    /// The rollout ended without a decision about its candidate: it was restarted, or the files changed.
    case ended
}

/// The kind of an event in the journal.
public enum EventKind: String, CaseIterable, Codable, Sendable {
    case rolloutStarted = "rollout_started"
    case warmedUp = "warmed_up"
    case stepStarted = "step_started"
    case proving
    case ready
    case bakeStarted = "bake_started"
    case promoted
    case reverted
    case ended = "rollout_ended"
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

/// The reason for which a command was refused.
public enum RefusalCode: String, CaseIterable, Codable, Sendable {
    case staleGeneration = "stale_generation"
    case noRollout = "no_rollout"
    case wrongPhase = "wrong_phase"
    case frozen
    case checkFailing = "check_failing"
    case baselineDown = "baseline_down"
    case unknownVersion = "unknown_version"
    case nothingToDo = "nothing_to_do"
}

/// The part of an exchange in which the proxy gave it up, or closed the server's connection.
public enum FailureStage: String, CaseIterable, Codable, Sendable {
    /// The client's request was refused, or did not come to its end.
    case request
    /// No server took the request, or the server closed the connection before it responded.
    case server
    /// The server's response was refused, late or cut.
    case response
    /// A limit of the service was reached.
    case limit
    /// The server sent bytes that no request had asked for. No request failed; the connection was closed.
    case afterResponse
}

/// The condition of a server as the proxy sees it; all but `healthy` keep it from being given requests.
public enum ServerCondition: String, CaseIterable, Codable, Sendable {
    case healthy
    /// The server kept failing and is left out for a while.
    case ejected
    /// The server fails its health check.
    case unhealthy
    /// The server refuses connections.
    case refusing
    /// The server does not accept connections in time.
    case hanging
    /// The server's name has no address.
    case unresolved
}
