import HTTPEngine

// What the loop keeps of mirrored requests: plain memory, bounded, and the first to be dropped.

typealias MirrorCopy = UnsafeMutablePointer<MirrorRecord>

/// A copy of one request, from the begin of the primary to the end of its own answer.
struct MirrorRecord {
    var isInUse = false
    var service: UnsafeMutablePointer<ServicePlan>?
    /// Nil until it is sent.
    var upstream: Upstream?
    var deadline: Int64 = .max
    var requestHash: UInt64 = 0
    var isHead = false
    /// Empty until the primary was answered.
    var request = ByteSlice()
    /// A buffer of the pool: the first half is for the primary's body, the second for the copy's.
    var bodies: UnsafeMutablePointer<UInt8>?
    var primary = KeptAnswer()
    var copy = KeptAnswer()

    /// Bytes of each body that are kept.
    static let bodyLimit = BufferPool.bufferSize / 2
}

/// What is kept of an answer.
struct KeptAnswer {
    /// 0: none yet.
    var status: UInt16 = 0
    var count = 0
    /// More came than is kept.
    var isCut = false
    /// Takes the framing off.
    var body = BodyRelay()

    init() {}

    init(_ head: ResponseHead) {
        status = UInt16(truncatingIfNeeded: head.status)
        body = BodyRelay(head.framing, chunkedOut: false)
    }
}

/// Two answers to one request, waiting to be drained.
struct KeptPair {
    var slot: UInt32
    var requestHash: UInt64
    var primary: KeptAnswer
    var copy: KeptAnswer
    var bodies: UnsafeMutablePointer<UInt8>
}

struct MirrorState {
    var records = Slab(blank: MirrorRecord())
    /// Answered primaries whose copies go out when the turn's events are done with.
    var due: [MirrorCopy] = []
    /// The oldest first.
    var pairs: [KeptPair] = []
    var counts = MirrorCounts()

    mutating func deallocate() {
        records.deallocate()
        for pair in pairs { pair.bodies.deallocate() }
    }
}
