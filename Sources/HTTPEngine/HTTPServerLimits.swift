/// Bounds of an `HTTPServer`, each with a reason.
public struct HTTPServerLimits: Hashable, Sendable {
    /// Bytes of a request's body; beyond it 413. The body is held in memory.
    public var maxBody: Int
    /// Bytes of a head; beyond it 431, or 414 where the first line alone is longer.
    public var maxHead: Int
    /// The number of connections. Beyond it each new connection takes the place of the one that has waited longest for
    /// a request head. Where none waits for one, new connections wait in the backlog.
    public var maxConnections: Int
    /// The time that a kept-alive connection may wait for its next request.
    public var idle: Duration
    /// The time from a head's first byte to its last: a client that drips is cut off.
    public var headTimeout: Duration
    /// The time from the head to the body's last byte.
    public var bodyTimeout: Duration
    /// Without any progress in sending.
    public var writeTimeout: Duration
    /// Bytes that may wait for a slow reader; beyond it the connection is cut, since streams have no other brake.
    public var maxPendingWrite: Int
    /// A client that ends its side within this time after its request, while the response is streamed over TCP, only
    /// has nothing more to send (`printf … | nc -N`); one that does so later has left.
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
