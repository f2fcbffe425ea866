/// The limits of an `HTTPServer`, each with its reason.
public struct HTTPServerLimits: Hashable, Sendable {
    /// The largest body of a request in bytes: beyond it the response is 413. Bodies are held in memory.
    public var maxBody: Int
    /// The largest head in bytes: beyond it the response is 431, or 414 if the first line alone is longer.
    public var maxHead: Int
    /// The largest number of connections. Beyond it each new connection replaces the one that has waited longest for a
    /// request head. If none waits for one, new connections wait in the backlog.
    public var maxConnections: Int
    /// The longest time that a kept-alive connection may wait for its next request.
    public var idle: Duration
    /// The longest time from a head's first byte to its last, so that slow clients cannot hold connections.
    public var headTimeout: Duration
    /// The longest time from the head to the body's last byte.
    public var bodyTimeout: Duration
    /// The longest time without any progress in sending.
    public var writeTimeout: Duration
    /// The largest number of bytes that may wait for a slow reader. Beyond it the connection is closed, since a stream
    /// may have no backpressure.
    public var maxPendingWrite: Int
    /// The time after a request within which the end of a client's output means only that it has no more to send
    /// (`printf … | nc -N`). If it ends its output later, while the response is streamed over TCP, the client has left.
    public var halfCloseWindow: Duration

    public init(
        maxBody: Int = 16 << 20, maxHead: Int = 32 << 10, maxConnections: Int = 1024, idle: Duration = .seconds(120),
        headTimeout: Duration = .seconds(10), bodyTimeout: Duration = .seconds(60),
        writeTimeout: Duration = .seconds(30), maxPendingWrite: Int = 64 << 20,
        halfCloseWindow: Duration = .seconds(1)
    ) {
        self.maxBody = maxBody
        self.maxHead = maxHead
        self.maxConnections = maxConnections
        self.idle = idle
        self.headTimeout = headTimeout
        self.bodyTimeout = bodyTimeout
        self.writeTimeout = writeTimeout
        self.maxPendingWrite = maxPendingWrite
        self.halfCloseWindow = halfCloseWindow
    }
}
