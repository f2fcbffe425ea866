import PolicyModel
import Statistics

/// What the sequential judge takes in, in this order and no other: the judge is a fold over these, so that a decision
/// can be recomputed from a recording of them.
public enum JudgedItem: Hashable, Sendable {
    case errors(ErrorTick)
    case latencies(LatencyTick)
    case rows([QualityRow])
}

/// How the requests of one second ended on both arms.
public struct ErrorTick: Hashable, Sendable {
    /// Sub-shards of an arm, by the split's own hash.
    public static let shards = OverdispersionEstimator.shards
    /// More requests than one arm can have in a second and a sub-shard: 33 million a second in all. What a judge
    /// computes for a tick takes longer the more requests it has, so a recording that says more is damaged.
    public static let mostTrials: UInt32 = 1 << 22

    /// Monotonic.
    public var second: Int64
    /// Grows with each step of a rollout; 0 before the first.
    public var step: UInt16
    /// Requests by arm and shard, index `arm * shards + shard`, and how those of them ended that were no success.
    public var trials: [UInt32]
    public var responses: [ResponseCounts]
    /// The keys, one for each request, where traffic is assigned by key.
    public var keys: [KeyedResponse]

    public init(second: Int64, step: UInt16) {
        self.second = second
        self.step = step
        trials = [UInt32](repeating: 0, count: 2 * Self.shards)
        responses = [ResponseCounts](repeating: ResponseCounts(), count: 2 * Self.shards)
        keys = []
    }

    /// One arm's shard.
    /// - Parameter counted: the endings that are hits.
    public func tally(_ arm: Arm, shard: Int, _ counted: ResponseSet) -> Tally {
        let i = Int(arm.rawValue) * Self.shards + shard
        return Tally(Int(responses[i].count(counted)), of: Int(trials[i]))
    }

    public func tally(_ arm: Arm, _ counted: ResponseSet) -> Tally {
        var sum = Tally()
        for shard in 0..<Self.shards { sum += tally(arm, shard: shard, counted) }
        return sum
    }

    public func requests(_ arm: Arm) -> Int {
        let first = Int(arm.rawValue) * Self.shards
        return trials[first..<first + Self.shards].reduce(0) { $0 + Int($1) }
    }

    public func stratum(_ counted: ResponseSet) -> Stratum {
        Stratum(candidate: tally(.candidate, counted), baseline: tally(.baseline, counted))
    }

    /// Counts one request.
    public mutating func add(_ arm: Arm, shard: Int, _ code: ResponseCode) {
        let i = Int(arm.rawValue) * Self.shards + shard
        trials[i] += 1
        responses[i].add(code)
    }
}

/// One request of a key, in 64 bits: the key's hash, the arm, and how the request ended.
public struct KeyedResponse: Hashable, Comparable, Sendable {
    public let bits: UInt64

    private static let codeBits: UInt64 = 10
    private static let codeMask: UInt64 = 1 << codeBits - 1

    public init(key: UInt32, _ arm: Arm, _ code: ResponseCode) {
        bits = (UInt64(key) << 1 | UInt64(arm.rawValue)) << Self.codeBits | (UInt64(code.rawValue) & Self.codeMask)
    }

    public var key: UInt32 { UInt32(truncatingIfNeeded: bits >> (Self.codeBits + 1)) }
    public var arm: Arm { bits >> Self.codeBits & 1 == 0 ? .baseline : .candidate }
    public var code: ResponseCode { ResponseCode(rawValue: UInt16(truncatingIfNeeded: bits & Self.codeMask)) }

    public static func < (a: Self, b: Self) -> Bool { a.bits < b.bits }
}

/// The latencies of the requests that began in one second on both arms.
public struct LatencyTick: Hashable, Sendable {
    /// Monotonic.
    public var second: Int64
    public var step: UInt16
    /// The candidate's intended share while they were assigned; zero where it changed meanwhile.
    public var share: Weight
    /// Requests assigned to each arm, whatever became of them.
    public var assigned: [UInt32]
    /// The latencies, in no order.
    public var entries: [LatencyEntry]
    /// The key of each entry, where traffic is assigned by key; otherwise empty.
    public var keys: [UInt32] = []

    public init(second: Int64, step: UInt16, share: Weight) {
        self.second = second
        self.step = step
        self.share = share
        assigned = [0, 0]
        entries = []
    }
}

/// One request's latency in 32 bits: arm, sub-shard, and a bucket of `LatencyBuckets` for the whole and for the first
/// byte, each of which may be a mere lower bound.
public struct LatencyEntry: Hashable, Sendable {
    public let bits: UInt32

    public init(bits: UInt32) { self.bits = bits }

    /// - Parameters:
    ///   - total: bucket; of an error, `slowest`.
    ///   - isOutlived: the request was still open, or its client left: it took at least that long.
    ///   - firstByte: nil: as `total`.
    public init(
        _ arm: Arm, shard: Int, total: Int, isOutlived: Bool = false, firstByte: Int? = nil,
        isFirstByteOutlived: Bool = false
    ) {
        let flags: UInt32 = (isOutlived ? 1 << 22 : 0) | (isFirstByteOutlived ? 1 << 23 : 0)
        bits =
            UInt32(arm.rawValue) << 27 | UInt32(shard) << 24 | flags | UInt32(firstByte ?? total) << 11 | UInt32(total)
    }

    /// The bucket of an error: slower than every threshold.
    public static let slowest = 0x7ff

    public var arm: Arm { bits & 1 << 27 == 0 ? .baseline : .candidate }
    public var shard: Int { Int(bits >> 24 & 7) }

    /// Bucket, and whether it is a lower bound.
    @inline(__always) public func bucket(_ measure: LatencyMeasure) -> (bucket: Int, isOutlived: Bool) {
        switch measure {
        case .total: (Int(bits & 0x7ff), bits & 1 << 22 != 0)
        case .firstByte: (Int(bits >> 11 & 0x7ff), bits & 1 << 23 != 0)
        }
    }
}

/// A labeled response, as far as checks ask about it.
public struct QualityRow: Hashable, Sendable {
    public var arm: Arm
    /// The number of the step in which its request began.
    public var step: UInt16
    public var label: Int?
    public var prediction: Int?
    public var score: Double?
    /// `sex=Female`, of the attributes that a check names, ascending.
    public var groups: [String]
    /// The key of its request, where traffic is assigned by key.
    public var key: UInt32?
    /// True if the row came after its check's maturity. Late rows are counted and not compared.
    public var isLate: Bool

    public init(
        arm: Arm, step: UInt16, label: Int?, prediction: Int?, score: Double?, groups: [String], key: UInt32? = nil,
        isLate: Bool = false
    ) {
        self.key = key
        self.isLate = isLate
        self.arm = arm
        self.step = step
        self.label = label
        self.prediction = prediction
        self.score = score
        self.groups = groups
    }

    /// - Parameters:
    ///   - attributes: those that a check names; others are left out.
    ///   - step: of the step in which its request began.
    ///   - isKeyed: whether traffic is assigned by key.
    ///   - isLate: whether it came after its check's maturity.
    public init(
        _ joined: JoinedFeedback, attributes: Set<String>, step: UInt16, isKeyed: Bool = false, isLate: Bool = false
    ) {
        let row = joined.row
        self.init(
            arm: joined.arm, step: step, label: row.label, prediction: row.prediction, score: row.score,
            groups: row.groups.filter { attributes.contains($0.key) }.map { "\($0.key)=\($0.value)" }.sorted(),
            key: isKeyed ? joined.key : nil, isLate: isLate)
    }

    /// What a measure makes of it, 0 ... 1; nil where it does not belong to the measure's population.
    /// - Parameter range: of scores, which count by their position in it; one outside it does not count.
    public func value(_ measure: QualityMeasure, scores range: ScoreRange = .unit) -> Double? {
        switch measure {
        case .accuracy:
            guard let label, let prediction else { return nil }
            return label == prediction ? 1 : 0
        case .recall: return label == 1 ? prediction.map { $0 == 1 ? 1 : 0 } : nil
        case .falsePositiveRate:
            guard let label, label != 1 else { return nil }
            return prediction.map { $0 == 1 ? 1 : 0 }
        case .selectionRate: return prediction.map { $0 == 1 ? 1 : 0 }
        case .score: return score.flatMap { range.position(of: $0) }
        }
    }
}
