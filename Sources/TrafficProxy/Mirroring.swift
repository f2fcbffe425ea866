/// The copies of mirrored requests since the start, by what became of them.
public struct MirrorCounts: Hashable, Sendable {
    /// The candidate responded to them to the end, whatever the status.
    public var completed: UInt64 = 0
    /// No connection, no answer in time, or a broken one.
    public var failed: UInt64 = 0
    /// Chosen, but there were too many at a time, the body was too large, or the primary itself got no whole response.
    public var dropped: UInt64 = 0
    /// Pairs of answers that nobody drained in time.
    public var lostPairs: UInt64 = 0

    static func += (a: inout MirrorCounts, b: MirrorCounts) {
        a.completed += b.completed
        a.failed += b.failed
        a.dropped += b.dropped
        a.lostPairs += b.lostPairs
    }
}

/// The baseline's answer to a request and the candidate's to its copy.
public struct MirroredPair: Hashable, Sendable {
    /// The slot, as `Observation.slot`.
    public var slot: UInt32
    /// The request's hash, as `Observation.requestHash`.
    public var requestHash: UInt64
    public var primary: MirroredResponse
    public var mirrored: MirroredResponse
}

public struct MirroredResponse: Hashable, Sendable {
    public var status: Int
    /// Without its framing; content codings are as they came.
    public var body: [UInt8]
    /// The body was longer: these are its first 32 KiB.
    public var isCut: Bool

    init(_ answer: KeptResponse, _ start: UnsafePointer<UInt8>) {
        status = Int(answer.status)
        body = Array(UnsafeBufferPointer(start: start, count: answer.count))
        isCut = answer.isCut
    }
}

extension TrafficProxy {
    /// The pairs since the last call, of each loop in the order in which they were completed. The loops keep only the
    /// newest of what is not drained.
    public func drainMirrored() -> [MirroredPair] { onLoops { $0.mirror.drainPairs() }.flatMap { $0 } }

    public var mirrorCounts: MirrorCounts { onLoops { $0.mirror.counts }.reduce(into: MirrorCounts()) { $0 += $1 } }
}
