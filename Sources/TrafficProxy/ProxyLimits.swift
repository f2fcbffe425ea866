/// The limits of the data plane, each with its reason.
public struct ProxyLimits: Hashable, Sendable {
    /// The largest head in bytes: beyond it the response is 431, or 414 if the first line alone is longer. It is twice
    /// what nginx and HAProxy accept.
    public var maxHead = 32 << 10
    /// The largest number of fields of a head: beyond it the response is 431.
    public var maxFields = 128
    /// The largest request target in bytes: beyond it the response is 414. RFC 9112 requires at least 8,000.
    public var maxTarget = 8192
    /// The largest number of client connections of a loop. Beyond it each new one replaces one that waits for a request
    /// head; if none has waited long enough, new ones wait in the backlog.
    public var maxConnections = 20_000
    /// The time that a connection has to wait for its first request head before it may give way to a new one.
    public var giveWayAfter = Duration.seconds(1)
    /// The time that a kept-alive connection has to wait between two requests before it may give way. It is longer,
    /// since the close may cross with the next request.
    public var restingGiveWayAfter = Duration.seconds(10)
    /// The time after a client's last byte within which the end of its output means only that it has no more to send
    /// (`printf … | nc -N`), so that it gets its response. A client that ends its output later has given up, and its
    /// request is ended. Over TCP the two cannot be distinguished otherwise.
    public var halfCloseWindow = Duration.seconds(1)
    /// The largest number of connections of a loop to servers, including idle ones. Beyond it an idle one of any server
    /// is closed for a new one.
    public var maxUpstreams = 20_000
    /// The longest time from a head's first byte to its last.
    public var headTimeout = Duration.seconds(15)
    /// The time that a client has for its body, in addition to a second for each `bodyRate` bytes.
    public var bodyGrace = Duration.seconds(30)
    /// The lowest accepted rate of a client's body, in bytes per second, after `bodyGrace`.
    public var bodyRate = 1024
    /// The longest time without any progress in sending to a client.
    public var writeTimeout = Duration.seconds(60)
    /// The time after which the proxy itself sends 100 Continue to a client that waits for it.
    public var continueTimeout = Duration.seconds(1)
    /// The largest number of interim responses to one request within a second. A server that sends more is broken.
    public var maxInterim = 16
    /// The largest number of idle connections to one server in one loop. It is well above the number of requests that a
    /// model server handles at once, since opening connections is what costs.
    public var maxIdleUpstream = 2048

    /// The largest number of mirrored requests in one loop, each from the primary's beginning to its own end. Further
    /// ones are dropped. Each holds at most three buffers of 64 KiB.
    public var maxMirrored = 32
    /// The largest number of response pairs that one loop keeps until they are drained; the oldest are discarded first.
    /// Each holds one buffer.
    public var maxPairs = 32

    public init() {}
}
