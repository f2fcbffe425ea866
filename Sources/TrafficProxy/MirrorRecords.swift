import HTTPEngine

// Records of mirrored requests: plain data, bounded, and the first to be dropped when room is short.

typealias MirroredRequest = UnsafeMutablePointer<MirrorRecord>

/// A copy of one request, from the beginning of the primary to the end of the copy's own response.
struct MirrorRecord {
    var isInUse = false
    var service: UnsafeMutablePointer<ServicePlan>?
    /// The connection that carries the copy; nil until it is sent.
    var upstream: Upstream?
    var deadline: Int64 = .max
    var requestHash: UInt64 = 0
    var isHead = false
    /// The request; empty until the primary has its response.
    var request = ByteSlice()
    /// A buffer of the pool: its first half is for the primary's body, the second for the copy's.
    var bodies: UnsafeMutablePointer<UInt8>?
    var primary = KeptResponse()
    var response = KeptResponse()

    /// Bytes of each body that are kept.
    static let bodyLimit = BufferPool.bufferSize / 2
}

/// The part of a response that is kept.
struct KeptResponse {
    /// 0: none yet.
    private(set) var status: UInt16 = 0
    private(set) var count = 0
    /// More came than is kept.
    private(set) var isCut = false
    private(set) var reader = BodyReader()

    init() {}

    init(_ head: ResponseHead) {
        status = UInt16(truncatingIfNeeded: head.status)
        reader = BodyReader(head.framing)
    }

    /// Takes the framing off new input and keeps what there is room for. Returns false where the coding is broken.
    mutating func keep(_ input: inout ByteSlice, in place: UnsafeMutablePointer<UInt8>) -> Bool {
        while !input.isEmpty, !reader.isDone {
            let from = input.first
            var consumed = 0
            let step = reader.next(from, input.count, &consumed)
            input.start += consumed
            switch step {
            case .broken: return false
            case .needsMore, .end: break
            case .data(let start, let length):
                let kept = min(length, MirrorRecord.bodyLimit - count)
                (place + count).update(from: from + start, count: kept)
                count += kept
                if kept < length { isCut = true }
            }
        }
        return true
    }
}

/// Two responses to one request, waiting to be drained.
struct KeptPair {
    var slot: UInt32
    var requestHash: UInt64
    var primary: KeptResponse
    var mirrored: KeptResponse
    var bodies: UnsafeMutablePointer<UInt8>
}
