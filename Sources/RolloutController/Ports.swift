import Analysis
import PolicyModel
import RolloutEngine
import Vocabulary

// What the controller sees of its surroundings. Each port has a real implementation in a shell and a simulated one in
// the tests; all are called on the control thread only.

/// Both clocks.
public protocol ControlClock: AnyObject {
    var now: Moment { get }
}

/// The data plane.
public protocol DataPlane: AnyObject {
    /// Opens what the plan's listeners need that is not open yet, has the names of its servers looked up, and changes
    /// nothing that is in force. A server whose name does not resolve is one that cannot be reached.
    /// - Throws: an error that names the address and the mend.
    func prepare(_ plan: RoutingPlan) throws
    /// Servers of the plan whose names do not resolve, and why. May wait a few seconds for a resolver.
    func unresolved(_ plan: RoutingPlan) -> [(server: Endpoint, reason: String)]
    /// Puts the plan in force on every loop and returns when it is.
    func publish(_ plan: RoutingPlan)
    /// What ended since the last call, and what is open.
    func drain() -> ObservationBatch
}

/// The scrapes of the versions' own metrics.
public protocol MetricSource: AnyObject {
    /// From now on these are scraped, and no others.
    func setTargets(_ targets: [MetricTarget])
    /// What came in since the last call, in no order.
    func drain() -> [MetricReading]
}

/// One server of one version to scrape.
public struct MetricTarget: Hashable, Sendable {
    public var service: String
    public var version: String
    public var server: Endpoint
    public var source: MetricsSource
    /// Raw series that the policies ask for.
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
    public enum Outcome: Sendable {
        case sample(ScrapeSample)
        /// Why there is none.
        case failure(String)
    }
    public var service: String
    public var version: String
    public var server: Endpoint
    /// Monotonic nanoseconds at its begin.
    public var at: Int64
    public var outcome: Outcome

    public init(service: String, version: String, server: Endpoint, at: Int64, outcome: Outcome) {
        self.service = service
        self.version = version
        self.server = server
        self.at = at
        self.outcome = outcome
    }
}

/// What must outlive the agent.
public protocol StateStore: AnyObject {
    /// All services' states as last committed, and whether the agent said goodbye.
    func load() throws -> StoredAgent
    /// States, evidence and events of services, in one transaction: all or nothing, on disk when it returns.
    func commit(_ changes: [StateChange]) throws
    /// From now on a stop without `markStopped` is unclean.
    func markRunning() throws
    func markStopped() throws
    /// Newest last, ids above `after`; of one service or of all; at most `limit`.
    func events(service: String?, after: Int64, limit: Int) throws -> [JournalEntry]
    /// The newest `limit`, newest last.
    func latestEvents(service: String?, limit: Int) throws -> [JournalEntry]
    func entry(id: Int64) throws -> JournalEntry?
    /// Newest first.
    func history(service: String, limit: Int) throws -> [RolloutRecord]
    /// The same as it is written, without reading what the bytes say, so that it costs little; nil where nothing is
    /// kept.
    /// - Parameters:
    ///   - after: `next` of the page before; 0: from the begin.
    ///   - limit: bytes of items after which a page ends.
    func recordingPage(service: String, rollout: String, after: Int64, limit: Int) throws -> StoredPage?
}

extension StateStore {
    public func commit(_ change: StateChange) throws { try commit([change]) }
}

/// A stretch of a recording as it is written.
public struct StoredPage: Sendable {
    /// The judge before the first item, as JSON; only with the first page of a rollout.
    public var head: String?
    /// Place of the first item in the recording, and how many there are.
    public var first = 0
    public var count = 0
    /// As `ItemCoding` writes them.
    public var items: [UInt8] = []
    /// False: something before or within it is gone.
    public var isWhole = true
    /// When its first and its last stretch were written, milliseconds since 1970.
    public var begin: Int64?
    public var end: Int64?
    /// Where the next page goes on; nil on the last.
    public var next: Int64?

    public init() {}
}

public struct StoredAgent: Sendable {
    public var services: [StoredService]
    /// False after a crash, a kill or a power loss.
    public var stoppedCleanly: Bool
    /// By service: what was stored and cannot be read, and what to do. Its state is missing from `services`, or only
    /// its evidence is.
    public var unreadable: [String: String]

    public init(
        services: [StoredService] = [], stoppedCleanly: Bool = true, unreadable: [String: String] = [:]
    ) {
        self.services = services
        self.stoppedCleanly = stoppedCleanly
        self.unreadable = unreadable
    }
}

public struct StoredService: Sendable {
    public var state: ServiceState
    public var evidence: Evidence?
    /// What the judge took in after `evidence` was written.
    public var tail: [JudgedItem]

    public init(state: ServiceState, evidence: Evidence?, tail: [JudgedItem] = []) {
        self.state = state
        self.evidence = evidence
        self.tail = tail
    }
}

/// What the judge of a service has gathered; kept with the state, so that a restart goes on where it was.
public struct Evidence: Hashable, Codable, Sendable {
    /// Of which rollout; empty without one.
    public var rollout: String
    /// Whose `profile` it is.
    public var serving: VersionIdentity
    public var judge: Judge
    /// What is known of the version that serves.
    public var profile: BaselineProfile
    public var quality: QualityTable
    public var sinceStart: [OutcomeCounts]
    public var sinceStep: [OutcomeCounts]
    /// The step that runs, as the judge counts them: it learns of it with the first tick.
    public var step: UInt16

    public init(
        rollout: String, serving: VersionIdentity, judge: Judge, profile: BaselineProfile = BaselineProfile(),
        quality: QualityTable = QualityTable(), sinceStart: [OutcomeCounts], sinceStep: [OutcomeCounts],
        step: UInt16 = 0
    ) {
        self.rollout = rollout
        self.serving = serving
        self.judge = judge
        self.profile = profile
        self.quality = quality
        self.sinceStart = sinceStart
        self.sinceStep = sinceStep
        self.step = step
    }
}

public struct StateChange: Sendable {
    public var state: ServiceState
    /// Nil: what was written before stands; `recording` goes on from it.
    public var evidence: Evidence?
    public var events: [Event]
    /// What the judge took in since the last change.
    public var recording: [RecordingPart]
    /// Milliseconds since 1970.
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
    /// Grows by at least one with each entry of the agent.
    public var id: Int64
    public var service: String
    /// Milliseconds since 1970.
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
    public var startedAt: Int64
    /// Nil while it runs.
    public var endedAt: Int64?
    public var result: RolloutResult
    /// Of its end; empty while it runs.
    public var reason: String
    /// Journal id of the event that ended it.
    public var decision: Int64?
    /// Judged requests that the candidate got.
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

/// Holds a lowered split where the store cannot: a file in the runtime directory.
public protocol LoweringMarker: AnyObject {
    /// Keeps the whole state; best effort, and says whether it was kept.
    func mark(_ state: ServiceState) -> Bool
    func clear(service: String)
    func read() -> LoweringMarks
}

/// The lowered splits that an earlier run left.
public struct LoweringMarks {
    /// The whole state of each service, by its name.
    public var states: [String: ServiceState]
    /// Why the mark of a service cannot be used, by its name. Its split was lowered, and nobody knows how far.
    public var unreadable: [String: String]

    public init(states: [String: ServiceState] = [:], unreadable: [String: String] = [:]) {
        self.states = states
        self.unreadable = unreadable
    }
}

/// Told of every event once it is in force.
public protocol EventListener: AnyObject {
    func happened(_ event: Event, service: String, at wall: Int64, isDurable: Bool)
    /// Requests failed in the data plane. Called at most once a minute for each version and reason.
    func failed(_ report: FailureReport, service: String)
}

extension EventListener {
    public func failed(_ report: FailureReport, service: String) {}
}
