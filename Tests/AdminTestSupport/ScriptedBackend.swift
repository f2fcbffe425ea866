import AdminAPI
import AdminTypes
import Analysis
import PolicyModel
import PrometheusText
import RolloutController
import RolloutEngine
import Vocabulary

/// A controller without a data plane, a clock or a disk: states move by the real state machine, evaluations and
/// failures come from the test. Touched on the loop's thread, or before the loop starts.
public final class ScriptedBackend: AdminBackend, @unchecked Sendable {
    public struct Entry {
        public var service: Service
        public var state: ServiceState
        public var declaration: Declaration
        public var evaluation: Evaluation?
        public var baseline: ArmView
        public var candidate: ArmView?
        public var feedback = FeedbackCounts()
        public var scores: ScoreRange?
        public var notes: [String] = []
        public var isDurable = true
    }

    public var services: [String: Entry] = [:]
    public var journal: [JournalEntry] = []
    public var records: [RolloutRecord] = []
    /// By service and rollout.
    public var recordings: [String: [String: [StoredPage]]] = [:]
    public var targetList: [TargetStatus] = []
    /// Told of every event, as the controller tells its listener.
    public weak var listener: (any EventListener)?
    /// Set: commits fail with it.
    public var diskFault: String?
    /// Set: the journal cannot be read.
    public var journalFault: String?
    /// Called after each command that was carried out.
    public var afterCommand: ((ScriptedBackend) -> Void)?
    /// Rows of feedback that there is room for.
    public var feedbackRoom = Int.max
    /// Who asks for labels.
    public var audience = FeedbackJoin.Audience.rollout
    public private(set) var feedbackRows: [Feedback] = []
    public private(set) var lastCommand: Command?
    public var readiness = HealthStatus(ok: true)
    public var agent = ScriptedBackend.exampleAgent
    /// Wall clock, milliseconds since 1970; moves only by hand.
    public var now: Int64 = 1_795_232_490_250

    public init() {}

    public static let exampleAgent = AgentStatus(
        version: "0.1.0", pid: 4242, startedAt: Timestamp(milliseconds: 1_795_232_000_000),
        now: Timestamp(milliseconds: 1_795_232_490_250), configurationFile: "/etc/canaryd/canaryd.yaml",
        configurationReadAt: Timestamp(milliseconds: 1_795_232_000_000),
        configurationFiles: ["/etc/canaryd/canaryd.yaml"], stateDirectory: "/var/lib/canaryd",
        adminAddress: "unix:/run/canaryd/admin.sock", feedbackAddress: "unix:/run/canaryd/feedback.sock",
        metricsAddress: "127.0.0.1:9464")

    struct Fault: Error, CustomStringConvertible { var description: String }

    // MARK: - Moving

    /// Runs an input through the state machine, commits and tells.
    @discardableResult
    public func handle(_ input: Input, service: String, monotonic: Int64 = 0) -> Transition? {
        guard let entry = services[service] else { return nil }
        let transition = RolloutStateMachine.handle(
            input, state: entry.state, declaration: entry.declaration, now: Moment(monotonic: monotonic, wall: now))
        services[service]?.state = transition.state
        for event in transition.events { record(event, service: service) }
        return transition
    }

    public func record(_ event: Event, service: String) {
        if diskFault == nil {
            journal.append(JournalEntry(id: (journal.last?.id ?? 0) + 1, service: service, at: now, event: event))
        }
        listener?.happened(event, service: service, at: now, isDurable: diskFault == nil)
    }

    /// Writes an event to the journal that was told before without being on disk.
    public func writeDeferred(_ event: Event, service: String) {
        journal.append(JournalEntry(id: (journal.last?.id ?? 0) + 1, service: service, at: now, event: event))
        listener?.deferredEventsWritten()
    }

    // MARK: - AdminBackend

    public var serviceNames: [String] { services.keys.sorted() }

    public func view(of service: String) -> ServiceView? {
        services[service].map { entry in
            let outlook = Outlook(entry.state, entry.evaluation)
            return ServiceView(
                service: entry.service, state: entry.state, evaluation: entry.evaluation, baseline: entry.baseline,
                candidate: entry.state.rollout == nil ? nil : entry.candidate, waitsFor: outlook.waitsFor,
                next: outlook.next, holdLeft: outlook.holdLeft, feedback: entry.feedback, notes: entry.notes,
                isDurable: entry.isDurable)
        }
    }

    public func command(_ command: Command, service: String) -> CommandOutcome {
        var command = command
        lastCommand = command
        guard let entry = services[service] else { return .unknownService(known: serviceNames) }
        command.evaluation = entry.evaluation
        let transition = RolloutStateMachine.handle(
            .command(command), state: entry.state, declaration: entry.declaration,
            now: Moment(monotonic: 0, wall: now))
        guard case .done(let message) = transition.response else {
            if case .refused(let refused) = transition.response { return .refused(refused) }
            return .refused(CommandRefusal(.nothingToDo, "no reply"))
        }
        if let diskFault, transition.state.split.candidate > entry.state.split.candidate {
            return .notWritten(diskFault)
        }
        services[service]?.state = transition.state
        services[service]?.isDurable = diskFault == nil
        for event in transition.events { record(event, service: service) }
        let outcome = CommandOutcome.done(
            message: message, view: view(of: service)!, durable: diskFault == nil)
        afterCommand?(self)
        return outcome
    }

    public func scoreRange(of service: String) -> ScoreRange? { services[service]?.scores }

    public func feedback(_ rows: [Feedback], service: String) -> FeedbackReceipt? {
        guard var counts = services[service]?.feedback else { return nil }
        let taken = min(rows.count, feedbackRoom)
        feedbackRows += rows.prefix(taken)
        counts.pending += UInt64(taken)
        services[service]?.feedback = counts
        return FeedbackReceipt(
            accepted: taken, rejected: Array(taken..<rows.count), audience: audience, counts: counts)
    }

    public func events(service: String?, after: Int64, limit: Int) throws -> [JournalEntry] {
        if let journalFault { throw Fault(description: journalFault) }
        return Array(journal.filter { $0.id > after && (service == nil || $0.service == service) }.prefix(limit))
    }

    public func latestEvents(service: String?, limit: Int) throws -> [JournalEntry] {
        if let journalFault { throw Fault(description: journalFault) }
        return journal.filter { service == nil || $0.service == service }.suffix(limit)
    }

    public func entry(id: Int64) throws -> JournalEntry? {
        if let journalFault { throw Fault(description: journalFault) }
        return journal.first { $0.id == id }
    }

    public func history(service: String, limit: Int) throws -> [RolloutRecord] {
        if let journalFault { throw Fault(description: journalFault) }
        return Array(records.filter { $0.service == service }.prefix(limit))
    }

    /// `next` of a page is the number of the page after it.
    public func recordingPage(service: String, rollout: String, after: Int64, limit: Int) throws -> StoredPage? {
        if let journalFault { throw Fault(description: journalFault) }
        guard let pages = recordings[service]?[rollout], pages.indices.contains(Int(after)) else { return nil }
        return pages[Int(after)]
    }

    public func targets(of service: String) -> [TargetStatus]? { services[service] == nil ? nil : targetList }

    /// The number of times that the metrics were rendered.
    public private(set) var renderings = 0

    public func writeMetrics(into writer: inout ExpositionWriter) {
        renderings += 1
        writer.family("canaryd_services", .gauge, "Services.")
        writer.sample("canaryd_services", value: services.count)
    }
}
