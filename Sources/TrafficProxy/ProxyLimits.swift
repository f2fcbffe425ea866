/// Bounds of the data plane, each with its reason.
public struct ProxyLimits: Hashable, Sendable {
    /// Bytes of a head; beyond it 431, or 414 where the first line alone is longer. Twice what nginx and HAProxy take.
    public var maxHead = 32 << 10
    /// Fields of a head; beyond it 431.
    public var maxFields = 128
    /// Bytes of a request target; beyond it 414. RFC 9112 asks for 8000 at least.
    public var maxTarget = 8192
    /// Client connections of a loop; beyond it each new one takes the place of one that waits for a request head, and
    /// where none has waited for long enough, new ones wait in the backlog.
    public var maxConnections = 20_000
    /// A connection that has waited so long for its first request head may give way: a client that means to send one
    /// has.
    public var giveWayAfter = Duration.seconds(1)
    /// The same, for a connection kept alive between two requests. Longer, since closing one may cross with its next
    /// request.
    public var restingGiveWayAfter = Duration.seconds(10)
    /// A client that ends its side within this time after its last byte only has nothing more to send, and gets its
    /// response (`printf … | nc -N`); one that does so later has given up, and its server is let off. Over TCP the two
    /// look alike.
    public var halfCloseWindow = Duration.seconds(1)
    /// Connections to servers of a loop, idle ones too; beyond it an idle one of any server makes room for a new one.
    public var maxUpstreams = 20_000
    /// The time from a head's first byte to its last.
    public var headTimeout = Duration.seconds(15)
    /// A body has this long, and a second more for each `bodyRate` bytes.
    public var bodyGrace = Duration.seconds(30)
    /// Bytes a second below which a sender of a body counts as dripping.
    public var bodyRate = 1024
    /// The time without any progress in sending to a client.
    public var writeTimeout = Duration.seconds(60)
    /// How long a client is left waiting for 100 Continue before it gets one from here.
    public var continueTimeout = Duration.seconds(1)
    /// Interim responses to one request within a second; a server that sends more is broken.
    public var maxInterim = 16
    /// Kept-alive connections to one server, in one loop. Beyond it they are closed after their answer; it is well
    /// above what a model server works on at a time, since opening anew is what costs.
    public var maxIdleUpstream = 2048

    /// Copies of requests in one loop, from the primary's begin to the copy's end; more are not made. Each holds three
    /// buffers of 64 KiB at most.
    public var maxMirrored = 32
    /// Pairs of answers that one loop keeps for whoever drains them, the oldest of which go first. Each holds one
    /// buffer.
    public var maxPairs = 32

    public init() {}
}
