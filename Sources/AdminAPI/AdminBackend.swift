import AdminTypes
import Analysis
import PolicyModel
import PrometheusText
import RolloutController
import RolloutEngine

/// The port through which the admin API reaches the agent. The API calls it synchronously on the control thread.
public protocol AdminBackend: AnyObject {
    /// The names of all services, sorted.
    var serviceNames: [String] { get }
    /// The view of a service; nil if it is unknown.
    func view(of service: String) -> ServiceView?
    func command(_ command: Command, service: String) -> CommandOutcome
    /// The range of scores in a service's feedback; nil if no check uses scores.
    func scoreRange(of service: String) -> ScoreRange?
    /// Accepts labeled rows; nil for an unknown service.
    func feedback(_ rows: [Feedback], service: String) -> FeedbackReceipt?

    /// Returns at most `limit` events with ids above `after`, newest last, of one service or of all.
    func events(service: String?, after: Int64, limit: Int) throws -> [JournalEntry]
    /// Returns the newest `limit` events, newest last.
    func latestEvents(service: String?, limit: Int) throws -> [JournalEntry]
    func entry(id: Int64) throws -> JournalEntry?
    /// Returns the newest `limit` rollouts of a service, newest first.
    func history(service: String, limit: Int) throws -> [RolloutRecord]

    /// Returns a page of a judge's recorded input; nil if nothing is kept.
    func recordingPage(service: String, rollout: String, after: Int64, limit: Int) throws -> StoredPage?

    /// The servers of a service with their last scrapes; nil for an unknown service.
    func targets(of service: String) -> [TargetStatus]?
    /// True if the listeners are open and the state in force is on disk.
    var readiness: HealthStatus { get }
    var agent: AgentStatus { get }
    func writeMetrics(into writer: inout ExpositionWriter)
}
