import Statistics

/// How fast an arm was lately: counts by bucket of `LatencyBuckets`, in which what is old fades.
public struct LatencyProfile: Hashable, Sendable {
    /// Older counts are halved whenever there are so many; at 100 requests/s that is every few minutes.
    static let fading: UInt32 = 60_000

    private var counts = [UInt32](repeating: 0, count: LatencyBuckets.count)
    /// Errors: slower than every bucket.
    public private(set) var failed: UInt32 = 0
    public private(set) var total: UInt32 = 0

    public init() {}

    /// - Parameter bucket: of `LatencyBuckets`, or `LatencyEntry.slowest`.
    public mutating func record(_ bucket: Int) {
        if bucket < counts.count { counts[bucket] += 1 } else { failed += 1 }
        total += 1
        if total >= Self.fading { fade() }
    }

    private mutating func fade() {
        failed /= 2
        total = failed
        for i in counts.indices {
            counts[i] /= 2
            total += counts[i]
        }
    }

    /// The bucket that holds the p-quantile; nil without samples, and where so many failed that it has none.
    public func quantile(_ p: Double) -> Int? {
        guard total > 0 else { return nil }
        var slower = Double(total)
        let limit = (1 - p) * Double(total)
        for i in counts.indices {
            slower -= Double(counts[i])
            if slower <= limit { return i }
        }
        return nil
    }

    var failedShare: Double { Double(failed) / Double(max(total, 1)) }

    /// Requests above the bucket that holds a latency, errors included.
    func slower(than seconds: Double) -> UInt32 {
        let bucket = LatencyBuckets.index(UInt32(min(seconds * 1e6, Double(UInt32.max))))
        return counts[(bucket + 1)...].reduce(failed, +)
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
        for (bucket, count) in zip(buckets, stored) where counts.indices.contains(bucket) && count < Self.fading {
            counts[bucket] = count
            total += count
        }
    }

    public func encode(to encoder: any Encoder) throws {
        let used = counts.indices.filter { counts[$0] > 0 }
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(failed, forKey: .failed)
        try values.encode(used, forKey: .buckets)
        try values.encode(used.map { counts[$0] }, forKey: .counts)
    }
}
