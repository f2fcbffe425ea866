import HTTPEngine

/// Bounds of the admin API, each with its reason.
public enum AdminLimits {
    /// A command is a few short strings.
    public static let commandBytes = 64 << 10
    /// Reading feedback keeps the control thread from its next tick: some 30 ms for this much, and whatever is in it
    /// no more than a tenth of a second.
    public static let feedbackBytes = 1 << 20
    /// Rows of one feedback request.
    public static let feedbackRows = 10_000
    /// Attributes of one row.
    public static let groupsOfRow = 16
    /// Bytes of a field's name; a longer one is unknown without being compared.
    static let fieldName = 32
    /// Bytes of a number: the longest double that makes sense needs 25.
    static let number = 64
    /// Bytes of an inference id: what an `x-request-id` may have.
    public static let inferenceID = 256
    /// Bytes of a group's attribute or value.
    public static let groupText = 128
    /// The largest size in bytes of a command's reason and of the name of who gives it, which both go into the history.
    public static let reason = 1_000
    public static let by = 100
    /// Bad rows that an answer names; the rest is counted.
    public static let namedRows = 20
    /// Events or rollouts of one answer.
    public static let page = 1_000
    public static let defaultEvents = 100
    public static let defaultHistory = 50
    /// Entries that `decisions/latest` looks back on.
    public static let decisionSearch = 1_000
    /// Bytes of a recording in one answer. Reading and writing them keeps the control thread from its next tick: about
    /// 20 ms for this much in a debug build.
    public static let recordingPage = 512 << 10
    /// Bytes of a parameter in a path or of a query's value, decoded: a rollout's name is the longest.
    static let parameter = 256
    /// Bytes of a rollout's name.
    public static let rolloutName = 256
    /// Followers of events. Each costs a connection and a query for each event.
    public static let subscribers = 64
    /// Events read for a follower in one turn of the loop, so that a long catch-up does not hold the thread.
    public static let eventsPerTurn = 100
    /// Unread bytes after which a follower is cut: it may come again with the last id that it saw.
    public static let followerBacklog = 256 << 10
    /// A comment is sent to a quiet follower this often, so that both sides notice a dead connection.
    public static let heartbeat: Duration = .seconds(15)

    /// People and scripts on one machine; the backlog takes what is beyond.
    static let adminServer = HTTPServerLimits(
        maxBody: commandBytes, maxHead: 16 << 10, maxConnections: 256, maxPendingWrite: 8 << 20)
    static let feedbackServer = HTTPServerLimits(maxBody: feedbackBytes, maxHead: 16 << 10, maxConnections: 256)
}
