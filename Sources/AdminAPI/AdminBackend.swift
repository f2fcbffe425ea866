import AdminTypes
import Analysis
import PolicyModel
import PrometheusText
import RolloutController
import RolloutEngine

/// What the admin API serves: the controller as its clients see it. Confined to the control thread, where the API
/// calls it synchronously.
public protocol AdminBackend: AnyObject {
    /// Sorted.
    var serviceNames: [String] { get }
    /// The view of a service; nil if it is unknown.
    func view(of service: String) -> ServiceView?
    func command(_ command: Command, service: String) -> CommandOutcome
    /// The range of scores in a service's feedback; nil if no check uses scores.
    func scoreRange(of service: String) -> ScoreRange?
    /// Accepts labeled rows; nil for an unknown service.
    func feedback(_ rows: [Feedback], service: String) -> FeedbackReceipt?

    /// At most `limit` events with ids above `after`, the newest last, of one service or of all.
    func events(service: String?, after: Int64, limit: Int) throws -> [JournalEntry]
    /// The newest `limit`, newest last.
    func latestEvents(service: String?, limit: Int) throws -> [JournalEntry]
    func entry(id: Int64) throws -> JournalEntry?
    /// Newest first.
    func history(service: String, limit: Int) throws -> [RolloutRecord]

    /// A page of a judge's recorded input; nil if nothing is kept.
    func recordingPage(service: String, rollout: String, after: Int64, limit: Int) throws -> StoredPage?

    /// Servers and scrapes; nil for an unknown service.
    func targets(of service: String) -> [TargetStatus]?
    /// Ready: listeners open, state loaded.
    var readiness: HealthStatus { get }
    var agent: AgentStatus { get }
    func writeMetrics(into writer: inout ExpositionWriter)
}
