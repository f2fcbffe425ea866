import Statistics

/// How fast an arm was lately: counts by bucket of `LatencyBuckets`, in which what is old fades.
public struct LatencyProfile: Hashable, Sendable {
    /// Older counts are halved whenever there are so many; at 100 requests/s that is every few minutes.
    static let fading: UInt32 = 60_000

    /// Requests by doubling of the latency, and by bucket, 64 to each doubling, from the first doubling that has any to
    /// the last: a service's latencies are within a few.
    private var doublings = [UInt32](repeating: 0, count: LatencyBuckets.count >> 6)
    private var counts: [UInt32] = []
    private var first = 0
    /// Errors: slower than every bucket.
    public private(set) var failed: UInt32 = 0
    public private(set) var total: UInt32 = 0

    public init() {}

    /// - Parameter bucket: of `LatencyBuckets`, or `LatencyEntry.slowest`.
    public mutating func record(_ bucket: Int) {
        if bucket < LatencyBuckets.count {
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
        for (i, count) in old.counts.enumerated() { add(count / 2, to: old.first << 6 + i) }
    }

    private mutating func add(_ count: UInt32, to bucket: Int) {
        guard count > 0 else { return }
        let doubling = bucket >> 6
        if counts.isEmpty { first = doubling }
        if doubling < first {
            counts = [UInt32](repeating: 0, count: (first - doubling) << 6) + counts
            first = doubling
        }
        let missing = (doubling + 1 - first) << 6 - counts.count
        if missing > 0 { counts += [UInt32](repeating: 0, count: missing) }
        counts[bucket - first << 6] += count
        doublings[doubling] += count
        total += count
    }

    /// The bucket that holds the p-quantile; nil without samples, and where so many failed that it has none.
    public func quantile(_ p: Double) -> Int? {
        guard total > 0 else { return nil }
        // A count is at most the limit where it is at most the limit's whole part.
        let limit = UInt32((1 - p) * Double(total))
        var slower = total
        for (doubling, inIt) in doublings.enumerated() {
            guard slower - inIt <= limit else {
                slower -= inIt
                continue
            }
            // Nothing is in doublings before the first one.
            guard doubling >= first else { return doubling << 6 }
            for i in (doubling - first) << 6..<(doubling + 1 - first) << 6 {
                slower -= counts[i]
                if slower <= limit { return first << 6 + i }
            }
        }
        return nil
    }

    var failedShare: Double { Double(failed) / Double(max(total, 1)) }

    /// Requests above the bucket that holds a latency, errors included.
    func slower(than seconds: Double) -> UInt32 {
        let bucket = LatencyBuckets.index(UInt32(min(seconds * 1e6, Double(UInt32.max))))
        return counts.dropFirst(bucket + 1 - first << 6).reduce(failed, +)
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
        for (bucket, count) in zip(buckets, stored)
        where (0..<LatencyBuckets.count).contains(bucket) && count < Self.fading {
            add(count, to: bucket)
        }
    }

    public func encode(to encoder: any Encoder) throws {
        let used = counts.indices.filter { counts[$0] > 0 }
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(failed, forKey: .failed)
        try values.encode(used.map { first << 6 + $0 }, forKey: .buckets)
        try values.encode(used.map { counts[$0] }, forKey: .counts)
    }
}
