import Analysis
import PolicyModel
import RolloutEngine
import Vocabulary

// The ports through which the controller reaches its surroundings. Each has a real implementation in a shell and a
// simulated one in the tests; all are called on the control thread only.

/// The monotonic clock and the wall clock.
public protocol ControlClock: AnyObject {
    var now: Moment { get }
}

/// The data plane.
public protocol DataPlane: AnyObject {
    /// Opens the plan's listeners that are not open yet, and looks up the names of its servers. The plan in force is
    /// not changed. A server whose name does not resolve counts as unreachable.
    /// - Throws: an error that names the address and says how to fix it.
    func prepare(_ plan: RoutingPlan) throws
    /// Returns the servers of the plan whose names do not resolve, with the reason. It may wait a few seconds for a
    /// resolver.
    func unresolved(_ plan: RoutingPlan) -> [(server: Endpoint, reason: String)]
    /// Puts the plan in force on every loop and returns when it is.
    func publish(_ plan: RoutingPlan)
    /// Returns the requests that ended since the last call, and those that are open.
    func drain() -> ObservationBatch
    /// The reasons for which a request of a version can fail in the data plane: the tokens of its failure counts, except
    /// those of closed connections.
    var failureReasons: [String] { get }
}

/// The scrapes of the versions' own metrics.
public protocol MetricSource: AnyObject {
    /// Sets the targets to scrape, which replace all earlier ones.
    func setTargets(_ targets: [MetricTarget])
    /// Returns the scrapes that ended since the last call, in no order.
    func drain() -> [MetricReading]
}

/// One server of one version to scrape.
public struct MetricTarget: Hashable, Sendable {
    public var service: String
    public var version: String
    public var server: Endpoint
    public var source: MetricsSource
    /// The raw series that checks of the policies need.
    public var series: Set<SeriesQuery>

    public init(
        service: String, version: String, server: Endpoint, source: MetricsSource, series: Set<SeriesQuery>
    ) {
        self.service = service
        self.version = version
        self.server = server
        self.source = source
        self.series = series
    }
}

/// One scrape of one target.
public struct MetricReading: Sendable {
    public var service: String
    public var version: String
    public var server: Endpoint
    /// The instant at which the scrape began, in monotonic nanoseconds.
    public var at: Int64
    public var outcome: ScrapeOutcome

    public init(service: String, version: String, server: Endpoint, at: Int64, outcome: ScrapeOutcome) {
        self.service = service
        self.version = version
        self.server = server
        self.at = at
        self.outcome = outcome
    }
}

/// The store of everything that must outlive the agent.
public protocol StateStore: AnyObject {
    /// Returns the states of all services as last committed, and whether the agent stopped cleanly.
    func load() throws -> StoredAgent
    /// Commits the states, evidence and events of services in one transaction, which is on disk when this returns.
    func commit(_ changes: [StateChange]) throws
    /// True if an error of `commit` has nothing to do with the changes, so that it is of no use to try each in its own
    /// transaction: a lock that another program holds would be waited for once for each.
    func concernsEveryCommit(_ error: any Error) -> Bool
    /// Makes a stop without `markStopped` an unclean one from now on.
    func markRunning() throws
    /// Marks the agent as stopped cleanly.
    func markStopped() throws
    /// Returns at most `limit` events with ids above `after`, newest last, of one service or of all.
    func events(service: String?, after: Int64, limit: Int) throws -> [JournalEntry]
    /// Returns the newest `limit` events, newest last.
    func latestEvents(service: String?, limit: Int) throws -> [JournalEntry]
    func entry(id: Int64) throws -> JournalEntry?
    /// Returns the newest `limit` rollouts of a service, newest first.
    func history(service: String, limit: Int) throws -> [RolloutRecord]
    /// Returns a page of a recording as it is stored, without decoding it; nil if nothing is kept.
    /// - Parameters:
    ///   - after: the `next` of the page before; 0 for the first page.
    ///   - limit: the number of bytes of items after which a page ends.
    func recordingPage(service: String, rollout: String, after: Int64, limit: Int) throws -> StoredPage?
}

extension StateStore {
    public func commit(_ change: StateChange) throws { try commit([change]) }
}

/// A page of a recording as it is stored.
public struct StoredPage: Sendable {
    /// The judge before the first item, as JSON; nil except on the first page of a rollout.
    public var head: String?
    /// The index of the first item in the recording, and the number of items.
    public var first = 0
    public var count = 0
    /// The items, encoded by `ItemCoding`.
    public var items: [UInt8] = []
    /// False if something before the page or within it is lost.
    public var isWhole = true
    /// The times at which the first and the last part were written, in milliseconds since 1970.
    public var begin: Int64?
    public var end: Int64?
    /// The `after` of the next page; nil on the last page.
    public var next: Int64?

    public init() {}
}

/// Everything that the store holds of an agent.
public struct StoredAgent: Sendable {
    public var services: [StoredService]
    /// False after a crash, a kill or a power loss.
    public var stoppedCleanly: Bool
    /// Stored services that cannot be read, each with the reason and what to do. Their state is missing from
    /// `services`, or only their evidence is.
    public var unreadable: [String: String]

    public init(
        services: [StoredService] = [], stoppedCleanly: Bool = true, unreadable: [String: String] = [:]
    ) {
        self.services = services
        self.stoppedCleanly = stoppedCleanly
        self.unreadable = unreadable
    }
}

/// Everything that the store holds of a service.
public struct StoredService: Sendable {
    public var state: ServiceState
    public var evidence: Evidence?
    /// The items that the judge took after `evidence` was written.
    public var tail: [JudgedItem]

    public init(state: ServiceState, evidence: Evidence?, tail: [JudgedItem] = []) {
        self.state = state
        self.evidence = evidence
        self.tail = tail
    }
}

/// A change of one service, to be committed.
public struct StateChange: Sendable {
    public var state: ServiceState
    /// The evidence; nil if that of an earlier change remains, which `recording` continues.
    public var evidence: Evidence?
    public var events: [Event]
    /// The items that the judge took since the last change.
    public var recording: [RecordingPart]
    /// The time of the change, in milliseconds since 1970.
    public var at: Int64

    public init(
        state: ServiceState, evidence: Evidence?, events: [Event], recording: [RecordingPart] = [], at: Int64
    ) {
        self.state = state
        self.evidence = evidence
        self.events = events
        self.recording = recording
        self.at = at
    }
}

/// An event as the journal holds it.
public struct JournalEntry: Hashable, Sendable {
    /// The number of the entry, which is larger than that of every earlier one.
    public var id: Int64
    public var service: String
    /// The time of the event, in milliseconds since 1970.
    public var at: Int64
    public var event: Event

    public init(id: Int64, service: String, at: Int64, event: Event) {
        self.id = id
        self.service = service
        self.at = at
        self.event = event
    }
}

/// A rollout as the history shows it.
public struct RolloutRecord: Hashable, Sendable {
    public var id: String
    public var service: String
    public var baseline: VersionIdentity
    public var candidate: VersionIdentity
    /// The time of the start, in milliseconds since 1970.
    public var startedAt: Int64
    /// The time of the end, in milliseconds since 1970; nil while the rollout runs.
    public var endedAt: Int64?
    public var result: RolloutResult
    /// The reason for the end; empty while the rollout runs.
    public var reason: String
    /// The journal id of the event that ended the rollout; nil while it runs.
    public var decision: Int64?
    /// The number of judged requests that the candidate got.
    public var candidateRequests: UInt64

    public init(
        id: String, service: String, baseline: VersionIdentity, candidate: VersionIdentity, startedAt: Int64,
        endedAt: Int64? = nil, result: RolloutResult = .running, reason: String = "", decision: Int64? = nil,
        candidateRequests: UInt64 = 0
    ) {
        self.id = id
        self.service = service
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

/// Keeps lowered splits in the runtime directory while the store cannot be written.
public protocol LoweringMarker: AnyObject {
    /// Writes the whole state of a service.
    /// - Returns: true if the state was kept.
    func mark(_ state: ServiceState) -> Bool
    /// Removes the mark of a service, because the store holds the state or a newer one.
    func clear(service: String)
    /// Reads the marks of all services.
    func read() -> LoweringMarks
}

/// The lowered splits that an earlier run of the agent left in the runtime directory.
public struct LoweringMarks {
    /// The whole state of each service, by its name.
    public var states: [String: ServiceState]
    /// The reason why the mark of a service cannot be used, by the service's name. Its split was lowered to an unknown
    /// weight.
    public var unreadable: [String: String]

    public init(states: [String: ServiceState] = [:], unreadable: [String: String] = [:]) {
        self.states = states
        self.unreadable = unreadable
    }
}

/// A recipient of every event, once it is in force.
public protocol EventListener: AnyObject {
    /// Reports an event that is in force.
    /// - Parameters:
    ///   - wall: the time of the event, in milliseconds since 1970.
    ///   - isDurable: false if the event is not on disk yet.
    func happened(_ event: Event, service: String, at wall: Int64, isDurable: Bool)
    /// Reports that events which were not on disk when they happened are in the journal now.
    func deferredEventsWritten()
    /// Reports failed requests of the data plane, at most once a minute for each version and reason.
    func failed(_ report: FailureReport, service: String)
}

extension EventListener {
    public func deferredEventsWritten() {}
    public func failed(_ report: FailureReport, service: String) {}
}
