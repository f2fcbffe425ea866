import HTTPEngine

/// The limits of the admin API. Each is a maximum, unless its comment says otherwise.
public enum AdminLimits {
    /// The size of a command's body in bytes. A command consists of a few short strings.
    public static let commandBytes = 64 << 10
    /// The size of a feedback body in bytes. Reading it delays the next tick of the control thread: by some 30 ms for
    /// this size, and by no more than 100 ms whatever the body contains.
    public static let feedbackBytes = 1 << 20
    /// The number of rows of one feedback request.
    public static let feedbackRows = 10_000
    /// The number of attributes in the groups of one row.
    public static let groupsOfRow = 16
    /// The length of a field's name in bytes. A longer name is refused as unknown without a comparison.
    static let fieldName = 32
    /// The length in bytes of the version that a revert names: `NAME` or `NAME@REVISION`, whose revision has at most 128
    /// characters.
    static let version = 64 + 4 * 128
    /// The length of a number in bytes. The longest text that a double needs has 25.
    static let number = 64
    /// The length of an inference id in bytes. The proxy's request ids have at most 128.
    public static let inferenceID = 256
    /// The length of a group's attribute or value in bytes.
    public static let groupText = 128
    /// The lengths in bytes of a command's reason and of the name of its sender, which both go into the history.
    public static let reason = 1_000
    public static let by = 100
    /// The number of bad rows that a response names; further ones are only counted.
    public static let namedRows = 20
    /// The number of events or rollouts in one response.
    public static let page = 1_000
    /// The numbers of events and of rollouts in a response if the request does not set `limit`.
    public static let defaultEvents = 100
    public static let defaultHistory = 50
    /// The number of newest entries among which `decisions/latest` looks for a decision.
    public static let decisionSearch = 1_000
    /// The number of bytes of items after which a page of a recording ends. Reading and writing a page delays the next
    /// tick of the control thread: by about 20 ms for this size in a debug build.
    public static let recordingPage = 512 << 10
    /// The decoded length in bytes of a parameter in a path or of a query's value. A rollout's name is the longest.
    static let parameter = 256
    /// The length of a rollout's name in bytes.
    public static let rolloutName = 256
    /// The number of clients that follow events. Each costs a connection, and a query for each event.
    public static let subscribers = 64
    /// The number of events that are read for a follower in one turn of the loop, so that a follower that is far behind
    /// does not occupy the thread.
    public static let eventsPerTurn = 100
    /// The number of unread bytes beyond which a follower is disconnected. It may reconnect with the last id that it
    /// saw.
    public static let followerBacklog = 256 << 10
    /// The interval at which followers get a comment, so that both sides notice a dead connection.
    public static let heartbeat: Duration = .seconds(15)

    /// The limits of the admin socket, for people and scripts on one machine. Further connections wait in the backlog.
    static let adminServer = HTTPServerLimits(
        maxBody: commandBytes, maxHead: 16 << 10, maxConnections: 256, maxPendingWrite: 8 << 20)
    static let feedbackServer = HTTPServerLimits(maxBody: feedbackBytes, maxHead: 16 << 10, maxConnections: 256)
    /// The number of connections to the metrics listener. A few Prometheus servers keep one each. A connection whose
    /// client does not read holds a page, which has some megabytes with a thousand services.
    public static let metricsConnections = 16
    /// The limits of the metrics listener. A request needs no body there; a small one is read and ignored.
    static let metricsServer = HTTPServerLimits(
        maxBody: 4 << 10, maxHead: 16 << 10, maxConnections: metricsConnections)
    /// The time for which a rendered page of metrics is sent again. Rendering it delays the next tick of the control
    /// thread, and little of it changes between two ticks.
    public static let metricsPageLifetime: Duration = .milliseconds(500)
}
