import Analysis
import HTTPEngine
import PolicyModel

// Connections are plain data in slabs, so that handling an event changes no reference count and allocates nothing. A
// slab owns its records for as long as its loop runs; a pointer to a record is valid until the record is put back.

typealias Client = UnsafeMutablePointer<ClientRecord>
typealias Upstream = UnsafeMutablePointer<UpstreamRecord>

/// The kind of record that an epoll event is for, in bits of the record's address, which is aligned to 16.
enum RecordKind: UInt64 {
    case client = 0
    case upstream = 2
    case listener = 4

    static let mask: UInt64 = 6
}

/// A client's connection, and the request that is under way on it.
struct ClientRecord {
    enum Phase: UInt8 {
        /// The connection waits for a request head, or is reading one. Exits: `exchange` when it is complete;
        /// `lingering` when it is refused.
        case head
        /// A request is under way. Exits: `head` after a response that keeps the connection; `lingering` after one that
        /// does not; `tunnel` when the server switches protocols.
        case exchange
        /// Bytes are relayed unchanged in both directions until both sides have ended.
        case tunnel
        /// The last response was sent; input is discarded until the client closes.
        case lingering
    }

    var transport = Transport()
    var phase = Phase.head
    /// True while `advance` runs. It prevents recursion: the request after one that ends within `advance` is handled by
    /// its loop.
    var isAdvancing = false
    /// True if the client is in a trusted network, which is determined when it connects. Reserved fields are accepted
    /// from such clients only.
    var isTrusted = false
    /// True if the client has sent a complete request head on this connection.
    var hasAsked = false
    /// True if the client has ended its output. It may still read.
    var inputEnded = false
    var listener: UnsafeMutablePointer<ListenerRecord>?
    var deadline: Int64 = .max
    var heads = RequestHeadReader()
    /// The time of the first byte of the head that is being read; 0 between heads.
    var headStartedAt: Int64 = 0
    /// The time at which the connection began to wait for a request head.
    var waitingSince: Int64 = 0
    /// The time of the last bytes from the client.
    var heardAt: Int64 = 0
    var input = ByteSlice()
    var output = ByteSlice()
    /// The bytes for the server: the request's head, and the part of its body that could not be sent from the input
    /// buffer.
    var toServer = ByteSlice()
    var exchange = Exchange()
    var codec = HTTP1Exchange()
    var tunnel = TunnelState()
    /// The service that counts this connection.
    var gauge: Gauge?
    var address = InlineText()
}

/// The part of an exchange that is specific to HTTP/1: the framing of the bodies, and whether the connection is kept.
struct HTTP1Exchange {
    enum Ending: UInt8 {
        /// The connection is kept for another request.
        case keeps
        case closes
        /// The end of the connection is the end of the response's body.
        case delimits
    }

    var requestBody = BodyRelay()
    var responseBody = BodyRelay()
    var ending = Ending.closes
    /// The client's minor version.
    var minor: UInt8 = 1

    var connection: ResponseHeadText.Connection {
        ending != .keeps ? .closes : minor == 0 ? .keptForOldClient : .kept
    }
}

/// A connection to a server: busy with one request, or idle.
struct UpstreamRecord {
    enum Phase: UInt8 {
        /// The connection is being established. Exit: `busy`.
        case connecting
        /// The connection carries a request, a mirrored request or a tunnel. Exit: `idle` after a response that keeps
        /// it.
        case busy
        /// The connection is in its server's list of idle connections. Exit: `busy` when it is taken from there.
        case idle
    }

    var transport = Transport()
    var phase = Phase.connecting
    /// True if the connection already served an earlier request, so that the server may have closed it meanwhile.
    var isReused = false
    /// True if the response's head lets the connection be kept.
    var keepsAlive = false
    /// True if another request may follow this one: the version allows it, and the server did not send bytes before it
    /// was asked.
    var isReusable = true
    var server: UnsafeMutablePointer<Server>?
    /// The server's `Server.addressVersion` when the connection was opened.
    var addressVersion: UInt32 = 0
    /// The arm of the connection's last request, for which surplus bytes are counted.
    var user = ArmKey(slot: 0, arm: .baseline)
    /// The client whose request the connection carries, or the mirrored request. Exactly one of the two is set while
    /// the connection is busy.
    var client: Client?
    var mirror: MirroredRequest?
    var deadline: Int64 = .max
    var scanner = HeadScanner()
    /// The number of bytes of the response that were received.
    var received: Int64 = 0
    /// The number of bytes of the request that were sent.
    var sent: Int64 = 0
    var input = ByteSlice()
    var next: Upstream?
    var previous: Upstream?
}

/// One loop's record of a listening socket.
struct ListenerRecord {
    var fd: Int32 = -1
    var isUnix = false
    var isShared = false
    var isPaused = false
    /// The routes of the plan in force; none after the listener was closed, since the plan's memory goes with it.
    var routes = ListenerRoutes()
    /// The time in nanoseconds that a connection may wait for its first request.
    var idleTimeout: Int64 = 60_000_000_000

    var isClosed: Bool { fd < 0 }
}

extension UnsafeMutablePointer where Pointee == ClientRecord {
    @inline(__always) var record: UInt64 { UInt64(UInt(bitPattern: self)) }

    @inline(__always) var transport: Transport {
        _read { yield pointee.transport }
        nonmutating _modify { yield &pointee.transport }
    }
    @inline(__always) var phase: ClientRecord.Phase {
        get { pointee.phase }
        nonmutating set { pointee.phase = newValue }
    }
    @inline(__always) var input: ByteSlice {
        _read { yield pointee.input }
        nonmutating _modify { yield &pointee.input }
    }
    @inline(__always) var output: ByteSlice {
        _read { yield pointee.output }
        nonmutating _modify { yield &pointee.output }
    }
    @inline(__always) var toServer: ByteSlice {
        _read { yield pointee.toServer }
        nonmutating _modify { yield &pointee.toServer }
    }
    @inline(__always) var exchange: Exchange {
        _read { yield pointee.exchange }
        nonmutating _modify { yield &pointee.exchange }
    }
    @inline(__always) var codec: HTTP1Exchange {
        _read { yield pointee.codec }
        nonmutating _modify { yield &pointee.codec }
    }
    @inline(__always) var inputEnded: Bool {
        get { pointee.inputEnded }
        nonmutating set { pointee.inputEnded = newValue }
    }
    @inline(__always) var isOpen: Bool { pointee.transport.isOpen }
    @inline(__always) var upstream: Upstream? { pointee.exchange.upstream }
    @inline(__always) var service: UnsafeMutablePointer<ServicePlan>? { pointee.exchange.service }
}

extension UnsafeMutablePointer where Pointee == UpstreamRecord {
    @inline(__always) var record: UInt64 { UInt64(UInt(bitPattern: self)) | RecordKind.upstream.rawValue }

    @inline(__always) var transport: Transport {
        _read { yield pointee.transport }
        nonmutating _modify { yield &pointee.transport }
    }
    @inline(__always) var phase: UpstreamRecord.Phase {
        get { pointee.phase }
        nonmutating set { pointee.phase = newValue }
    }
    @inline(__always) var input: ByteSlice {
        _read { yield pointee.input }
        nonmutating _modify { yield &pointee.input }
    }
    @inline(__always) var isOpen: Bool { pointee.transport.isOpen }
    @inline(__always) var client: Client? {
        get { pointee.client }
        nonmutating set { pointee.client = newValue }
    }
    /// The server that the connection leads to. Every open connection has one.
    @inline(__always) var server: UnsafeMutablePointer<Server> { pointee.server.unsafelyUnwrapped }
}
