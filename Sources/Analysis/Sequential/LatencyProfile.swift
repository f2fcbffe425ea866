import Statistics

/// How fast an arm was lately: counts by bucket of `LatencyBuckets`, in which what is old fades.
public struct LatencyProfile: Hashable, Sendable {
    /// Older counts are halved whenever there are so many; at 100 requests/s that is every few minutes.
    static let fading: UInt32 = 60_000

    /// By bucket, then by 64 of them, so that a quantile is soon found.
    private var counts = [UInt32](repeating: 0, count: buckets + buckets >> 6)
    private static let buckets = LatencyBuckets.count
    /// Errors: slower than every bucket.
    public private(set) var failed: UInt32 = 0
    public private(set) var total: UInt32 = 0

    public init() {}

    /// - Parameter bucket: of `LatencyBuckets`, or `LatencyEntry.slowest`.
    public mutating func record(_ bucket: Int) {
        if bucket < Self.buckets {
            add(1, to: bucket)
        } else {
            failed += 1
            total += 1
        }
        if total >= Self.fading { fade() }
    }

    private mutating func fade() {
        let old = self
        self = LatencyProfile()
        failed = old.failed / 2
        total = failed
        for i in 0..<Self.buckets { add(old.counts[i] / 2, to: i) }
    }

    private mutating func add(_ count: UInt32, to bucket: Int) {
        counts[bucket] += count
        counts[Self.buckets + bucket >> 6] += count
        total += count
    }

    /// The bucket that holds the p-quantile; nil without samples, and where so many failed that it has none.
    public func quantile(_ p: Double) -> Int? {
        guard total > 0 else { return nil }
        // A count is at most the limit where it is at most the limit's whole part.
        let limit = UInt32((1 - p) * Double(total))
        var slower = total
        var i = 0
        while Self.buckets + i < counts.count, slower - counts[Self.buckets + i] > limit {
            slower -= counts[Self.buckets + i]
            i += 1
        }
        for bucket in i << 6..<min((i + 1) << 6, Self.buckets) {
            slower -= counts[bucket]
            if slower <= limit { return bucket }
        }
        return nil
    }

    var failedShare: Double { Double(failed) / Double(max(total, 1)) }

    /// Requests above the bucket that holds a latency, errors included.
    func slower(than seconds: Double) -> UInt32 {
        let bucket = LatencyBuckets.index(UInt32(min(seconds * 1e6, Double(UInt32.max))))
        return counts[(bucket + 1)..<Self.buckets].reduce(failed, +)
    }

    /// Seconds, the middle of the bucket; infinite where that many failed.
    public func seconds(_ p: Double) -> Double? {
        guard total > 0 else { return nil }
        guard let bucket = quantile(p) else { return .infinity }
        return Double(LatencyBuckets.lowerBound(bucket) + LatencyBuckets.upperBound(bucket)) / 2e6
    }
}

/// Stored as pairs of bucket and count: most buckets are empty.
extension LatencyProfile: Codable {
    private enum CodingKeys: String, CodingKey { case failed, buckets, counts }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        failed = try values.decode(UInt32.self, forKey: .failed)
        total = failed
        let buckets = try values.decode([Int].self, forKey: .buckets)
        let stored = try values.decode([UInt32].self, forKey: .counts)
        for (bucket, count) in zip(buckets, stored) where (0..<Self.buckets).contains(bucket) && count < Self.fading {
            add(count, to: bucket)
        }
    }

    public func encode(to encoder: any Encoder) throws {
        let used = (0..<Self.buckets).filter { counts[$0] > 0 }
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(failed, forKey: .failed)
        try values.encode(used, forKey: .buckets)
        try values.encode(used.map { counts[$0] }, forKey: .counts)
    }
}
