/// The numbers of mirrored requests since the start, by result.
public struct MirrorCounts: Hashable, Sendable {
    /// Requests to which the candidate gave a complete response, whatever the status.
    public var completed: UInt64 = 0
    /// Requests without a connection, without a response in time, or with a malformed or incomplete one.
    public var failed: UInt64 = 0
    /// Requests that were chosen but not sent, because too many were under way, the body was too large, or the primary
    /// got no complete response.
    public var dropped: UInt64 = 0
    /// Pairs of responses that were discarded because they were not drained in time.
    public var lostPairs: UInt64 = 0

    static func += (a: inout MirrorCounts, b: MirrorCounts) {
        a.completed += b.completed
        a.failed += b.failed
        a.dropped += b.dropped
        a.lostPairs += b.lostPairs
    }
}

/// The responses of both arms to one request.
public struct MirroredPair: Hashable, Sendable {
    /// The slot, as `Observation.slot`.
    public var slot: UInt32
    /// The request's hash, as `Observation.requestHash`.
    public var requestHash: UInt64
    /// The baseline's response, which the client got.
    public var primary: MirroredResponse
    /// The candidate's response.
    public var mirrored: MirroredResponse
}

public struct MirroredResponse: Hashable, Sendable {
    public var status: Int
    /// The body without its framing; content codings are left as they came.
    public var body: [UInt8]
    /// True if the body was longer: `body` is its first 32 KiB.
    public var isCut: Bool

    init(_ response: KeptResponse, _ start: UnsafePointer<UInt8>) {
        status = Int(response.status)
        body = Array(UnsafeBufferPointer(start: start, count: response.count))
        isCut = response.isCut
    }
}

extension TrafficProxy {
    /// Returns the pairs since the last call, those of each loop in the order of their completion. A loop keeps only
    /// the newest (`ProxyLimits.maxPairs`).
    public func drainMirrored() -> [MirroredPair] { onLoops { $0.mirror.drainPairs() }.flatMap { $0 } }

    public var mirrorCounts: MirrorCounts { onLoops { $0.mirror.counts }.reduce(into: MirrorCounts()) { $0 += $1 } }
}
