import Analysis
import HTTPEngine
import PolicyModel

// Connections are plain memory in slabs: an event, a read or a write touches no reference count and allocates nothing.

typealias Client = UnsafeMutablePointer<ClientRecord>
typealias Upstream = UnsafeMutablePointer<UpstreamRecord>

/// What an epoll event is for: kept in bits of the record's address, which is aligned to 16.
enum RecordKind: UInt64 {
    case client = 0
    case upstream = 2
    case listener = 4

    static let mask: UInt64 = 6
}

/// A client's connection and the one request that is under way on it.
struct ClientRecord {
    enum Phase: UInt8 {
        /// Waiting for a head, or in the middle of one. To `exchange` when it is complete, to `lingering` when refused.
        case head
        /// A request is under way. To `head` when it is answered and the connection is kept, else to `lingering`; to
        /// `tunnel` when the server switches protocols.
        case exchange
        /// Bytes go both ways as they are, until both sides have ended.
        case tunnel
        /// All was said; what the client still sends is thrown away until it closes.
        case lingering
    }

    var fd: Int32 = -1
    var interest: UInt32 = 0
    var phase = Phase.head
    /// Guards against recursion: a request that ends while it is being read is followed by a loop, not by a call.
    var isAdvancing = false
    var skippedEmptyLine = false
    var checkedFirstLine = false
    /// It came from a network whose word on addresses and routing counts. Looked up once, when it connects.
    var isTrusted = false
    var listener: UnsafeMutablePointer<ListenerRecord>?
    var deadline: Int64 = .max
    var scanner = HeadScanner()
    /// Of the head that is being read; 0 before its first byte.
    var headStartedAt: Int64 = 0
    /// When the connection began to wait for a request head.
    var waitingSince: Int64 = 0
    /// When the last bytes came from the client.
    var heardAt: Int64 = 0
    /// A request head came over this connection before.
    var hasAsked = false
    /// The client sends nothing more; it may still read.
    var inputEnded = false
    var input = ByteSlice()
    var output = ByteSlice()
    /// The request as it goes to the server: head, and body that could not go straight through.
    var toServer = ByteSlice()
    var exchange = Exchange()
    /// Of the service that counts this connection.
    var gauge: Gauge?
    var address = InlineText()
}

/// One request from its head to the end of its answer.
struct Exchange {
    /// Nil while none is under way, and where none fits.
    var service: UnsafeMutablePointer<ServicePlan>?
    var upstream: Upstream?
    /// Where this request and its buffers are counted.
    var requestGauge: Gauge?
    var bufferGauge: Gauge?
    var startedAt: Int64 = 0
    /// When the first byte of the response's body came, or the end of a response without one; 0: not yet.
    var firstByteAt: Int64 = 0
    var requestHash: UInt64 = 0
    var id = InlineText()
    var arm = Arm.baseline
    var flags = Observation.Flags()
    var place: UInt16 = 0
    var key: UInt32 = 0
    var outcome = Outcome.success
    /// As the client was told; 0: nothing yet.
    var status: UInt16 = 0
    /// Why the proxy answered in the server's place or cut its response; of a rescued request, why the candidate's was not
    /// used.
    var error: ProxyError?
    /// The status of the server's final response; 0: none yet.
    var serverStatus: UInt16 = 0
    /// Bytes that went to the client.
    var sentBytes: Int64 = 0
    /// The last that it was sent to. Good while `service` is.
    var server: UnsafeMutablePointer<Server>?
    /// For the access log; nil where it does not ask for this request.
    var note: UnsafeMutablePointer<AccessNote>?
    /// What the final response's status says of the server.
    var answer = ServerHealth.Answer.good
    var attempts: UInt8 = 0
    var tried = TriedServers()
    /// A kept-alive connection was stale: others may be as well, so the next one is new.
    var wantsNewConnection = false
    /// Interim responses since `interimSince`.
    var interim: UInt8 = 0
    var interimSince: Int64 = 0
    var clientMinor: UInt8 = 1
    var isHead = false
    var isIdempotent = false
    var rescue = Rescuability.none
    /// It asks for another protocol, and the server is asked for it.
    var isUpgrade = false
    var tunnel = TunnelState()
    /// Nil: no copy of it is to go to the candidate.
    var mirror: MirrorCopy?
    var keepAlive = false
    var waitsForContinue = false
    /// `toServer` still holds the request from its first byte. Not beyond the first byte of the answer.
    var isReplayable = false
    /// The final response's head went into the output.
    var isAnswered = false
    /// Some of it may have gone out: from here on a failure can only cut it.
    var isHeadOut = false
    /// The answer is complete, but for what waits in the output.
    var isReplyDone = false
    /// Towards the client the body ends with the connection.
    var isCloseDelimited = false
    var body = BodyRelay()
    var bodyClock = BodyClock()
    var bodyBytes: Int64 = 0
    var reply = BodyRelay()
}

/// Whether the baseline gets the request where the candidate fails it.
enum Rescuability: UInt8 {
    case none
    /// While nothing of it was sent.
    case unsent
    /// Also when it was: declared safe to send twice.
    case replayable
    /// It did; the candidate's observation is written.
    case done
}

/// How far the two directions of a tunnel have come.
struct TunnelState {
    /// Sends nothing more.
    var clientEnded = false
    var serverEnded = false
    /// Was told that nothing more comes.
    var clientShut = false
    var serverShut = false
}

/// A connection to a server: busy with one request, or idle.
struct UpstreamRecord {
    enum Phase: UInt8 {
        /// To `busy` when the connection stands.
        case connecting
        /// To `idle` after an answer that keeps the connection.
        case busy
        /// In the server's list. To `busy` when it is taken from there.
        case idle
    }

    var fd: Int32 = -1
    var interest: UInt32 = 0
    var phase = Phase.connecting
    /// It served a request before this one.
    var isReused = false
    /// The response's head says that the connection stays.
    var keepsAlive = false
    /// Another request may follow this one: the version allows it, and the server has not spoken out of turn.
    var isReusable = true
    var server: UnsafeMutablePointer<Server>?
    /// Which of its addresses this leads to.
    var move: UInt32 = 0
    var client: Client?
    /// It carries a copy; then it has no client.
    var mirror: MirrorCopy?
    var deadline: Int64 = .max
    var scanner = HeadScanner()
    /// Bytes of the answer.
    var received: Int64 = 0
    /// Bytes of the request that the kernel took.
    var sent: Int64 = 0
    var input = ByteSlice()
    var next: Upstream?
    var previous: Upstream?
}

/// A listening socket as one loop holds it.
struct ListenerRecord {
    var fd: Int32 = -1
    var isUnix = false
    var isShared = false
    var isPaused = false
    var routes = ListenerRoutes()
    /// Nanoseconds; of connections that wait for a first request.
    var idleTimeout: Int64 = 60_000_000_000
}

/// A short text in place: an address, a request id.
struct InlineText {
    static let capacity = 128
    private typealias Part = SIMD16<UInt8>
    private var storage: (Part, Part, Part, Part, Part, Part, Part, Part) = (
        .zero, .zero, .zero, .zero, .zero, .zero, .zero, .zero
    )
    private(set) var count: UInt8 = 0

    var isEmpty: Bool { count == 0 }

    /// As much of a text as fits; how much that is.
    static func copy(_ text: String, to place: UnsafeMutablePointer<UInt8>) -> Int {
        let bytes = Array(text.utf8.prefix(capacity))
        place.update(from: bytes, count: bytes.count)
        return bytes.count
    }

    mutating func fill(_ body: (UnsafeMutablePointer<UInt8>) -> Int) {
        count = withUnsafeMutableBytes(of: &storage) {
            UInt8(truncatingIfNeeded: body($0.baseAddress!.assumingMemoryBound(to: UInt8.self)))
        }
    }

    func withBytes<Value>(_ body: (UnsafeRawBufferPointer) -> Value) -> Value {
        withUnsafeBytes(of: storage) { body(UnsafeRawBufferPointer(rebasing: $0[..<Int(count)])) }
    }
}

extension ByteSlice {
    @inline(__always) mutating func append(_ text: InlineText) {
        let count = text.withBytes { bytes in
            free.update(from: bytes.baseAddress!.assumingMemoryBound(to: UInt8.self), count: bytes.count)
            return bytes.count
        }
        end += count
    }
}
