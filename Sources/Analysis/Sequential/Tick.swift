import PolicyModel
import Statistics

/// An input of the sequential judge. The judge is a fold over these, so a decision can be recomputed from a recording
/// of them in their order.
public enum JudgedItem: Hashable, Sendable {
    case errors(ErrorTick)
    case latencies(LatencyTick)
    case rows([QualityRow])
}

/// The outcomes of the requests of one second on both arms.
public struct ErrorTick: Hashable, Sendable {
    /// The number of sub-shards into which a hash divides each arm's requests.
    public static let shards = OverdispersionEstimator.shards
    /// The limit of requests of one arm in a second and a sub-shard, far above what an agent can serve: 33 million a
    /// second for an arm. A judge's work grows with the requests of a tick, so a recording with more of them is refused
    /// as damaged.
    public static let mostTrials: UInt32 = 1 << 22

    /// The second of the monotonic clock.
    public var second: Int64
    /// The number of the step, which grows with each step of a rollout; 0 before the first.
    public var step: UInt16
    /// The number of requests, and the response codes of those that did not succeed, by arm and shard: the index is
    /// `arm * shards + shard`.
    public var trials: [UInt32]
    public var responses: [ResponseCounts]
    /// The key and response code of each request if traffic is assigned by key; otherwise empty.
    public var keys: [KeyedResponse]

    public init(second: Int64, step: UInt16) {
        self.second = second
        self.step = step
        trials = [UInt32](repeating: 0, count: 2 * Self.shards)
        responses = [ResponseCounts](repeating: ResponseCounts(), count: 2 * Self.shards)
        keys = []
    }

    /// The requests of one arm and shard.
    /// - Parameter counted: the response codes that are hits.
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

/// One request of a key in 64 bits: the key's hash, the arm, and the response code.
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
    /// The second of the monotonic clock.
    public var second: Int64
    public var step: UInt16
    /// The candidate's intended share in this second; zero if it changed during it.
    public var share: Weight
    /// The number of requests assigned to each arm, whatever their outcome.
    public var assigned: [UInt32]
    /// The latencies, in no order.
    public var entries: [LatencyEntry]
    /// The key of each entry if traffic is assigned by key; otherwise empty.
    public var keys: [UInt32] = []

    public init(second: Int64, step: UInt16, share: Weight) {
        self.second = second
        self.step = step
        self.share = share
        assigned = [0, 0]
        entries = []
    }
}

/// The latencies of one request in 32 bits: arm, sub-shard, and the buckets of the total latency and of that to the
/// first byte, each of which may be only a lower bound.
public struct LatencyEntry: Hashable, Sendable {
    public let bits: UInt32

    public init(bits: UInt32) { self.bits = bits }

    /// - Parameters:
    ///   - total: the bucket of the total latency; `slowest` for an error.
    ///   - isCensored: true if `total` is only a lower bound, because the request was still open or its client left.
    ///   - firstByte: the bucket of the latency to the first byte; nil for that of `total`.
    ///   - isFirstByteCensored: true if `firstByte` is only a lower bound.
    public init(
        _ arm: Arm, shard: Int, total: Int, isCensored: Bool = false, firstByte: Int? = nil,
        isFirstByteCensored: Bool = false
    ) {
        let flags: UInt32 = (isCensored ? 1 << 22 : 0) | (isFirstByteCensored ? 1 << 23 : 0)
        bits =
            UInt32(arm.rawValue) << 27 | UInt32(shard) << 24 | flags | UInt32(firstByte ?? total) << 11 | UInt32(total)
    }

    /// The bucket of an error, which counts as slower than every threshold.
    public static let slowest = 0x7ff

    public var arm: Arm { bits & 1 << 27 == 0 ? .baseline : .candidate }
    public var shard: Int { Int(bits >> 24 & 7) }

    /// The bucket of a latency, and whether it is only a lower bound.
    @inline(__always) public func bucket(_ measure: LatencyMeasure) -> (bucket: Int, isCensored: Bool) {
        switch measure {
        case .total: (Int(bits & 0x7ff), bits & 1 << 22 != 0)
        case .firstByte: (Int(bits >> 11 & 0x7ff), bits & 1 << 23 != 0)
        }
    }
}

/// A labeled response, with the attributes that checks name.
public struct QualityRow: Hashable, Sendable {
    public var arm: Arm
    /// The number of the step in which its request began.
    public var step: UInt16
    public var label: Int?
    public var prediction: Int?
    public var score: Double?
    /// The values of the attributes that checks name, such as `sex=Female`, ascending.
    public var groups: [String]
    /// The key of its request if traffic is assigned by key; otherwise nil.
    public var key: UInt32?
    /// True if the row came after the longest maturity of the quality checks. Late rows are counted but not compared.
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
    ///   - attributes: the attributes that checks name; others are left out.
    ///   - step: the number of the step in which its request began.
    ///   - isKeyed: true if traffic is assigned by key.
    ///   - isLate: true if it came after the longest maturity of the quality checks.
    public init(
        _ joined: JoinedFeedback, attributes: Set<String>, step: UInt16, isKeyed: Bool = false, isLate: Bool = false
    ) {
        let row = joined.row
        self.init(
            arm: joined.arm, step: step, label: row.label, prediction: row.prediction, score: row.score,
            groups: row.groups.filter { attributes.contains($0.key) }.map { "\($0.key)=\($0.value)" }.sorted(),
            key: isKeyed ? joined.key : nil, isLate: isLate)
    }

    /// The value of a measure for this row, 0 ... 1; nil if the row does not belong to the measure's population.
    /// - Parameter range: the range of scores. A score counts by its position in it, and not at all if it is outside.
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
