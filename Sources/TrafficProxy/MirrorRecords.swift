import HTTPEngine

// The records of mirrored requests are plain data of bounded size.

typealias MirroredRequest = UnsafeMutablePointer<MirrorRecord>

/// A mirrored request, from the beginning of the primary, the request that the baseline serves, to the end of the
/// candidate's response.
struct MirrorRecord {
    var isInUse = false
    var service: UnsafeMutablePointer<ServicePlan>?
    /// The connection to the candidate; nil until the request is sent.
    var upstream: Upstream?
    var deadline: Int64 = .max
    var requestHash: UInt64 = 0
    var isHead = false
    /// The bytes of the request; empty until the primary has its response.
    var request = ByteSlice()
    /// A buffer of the pool for the bodies of both responses: the first half for the primary's, the second for the
    /// candidate's.
    var bodies: UnsafeMutablePointer<UInt8>?
    var primary = KeptResponse()
    var response = KeptResponse()

    /// The number of bytes of each body that are kept.
    static let bodyLimit = BufferPool.bufferSize / 2
}

/// The kept part of a response.
struct KeptResponse {
    /// The status; 0 before the response has begun.
    private(set) var status: UInt16 = 0
    /// The number of bytes that are kept.
    private(set) var count = 0
    /// True if the body is longer than the part that is kept.
    private(set) var isCut = false
    private(set) var reader = BodyReader()

    init() {}

    init(_ head: ResponseHead) {
        status = UInt16(truncatingIfNeeded: head.status)
        reader = BodyReader(head.framing)
    }

    /// Removes the framing from new input and keeps as much as there is room for. Returns false if the coding is
    /// malformed.
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

/// The responses of both arms to one request, which wait to be drained.
struct KeptPair {
    var slot: UInt32
    var requestHash: UInt64
    var primary: KeptResponse
    var mirrored: KeptResponse
    var bodies: UnsafeMutablePointer<UInt8>
}
