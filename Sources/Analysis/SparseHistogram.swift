import Statistics

/// Exact counts by latency bucket. Only buckets that are not empty are stored, so that a quiet second takes bytes and
/// not kilobytes.
public struct SparseHistogram: Hashable, Sendable {
    /// Bucket indices of `LatencyBuckets`, ascending, without repeats.
    public private(set) var buckets: [UInt16] = []
    /// The count of each bucket in `buckets`.
    public private(set) var counts: [UInt32] = []
    public private(set) var total: UInt64 = 0

    public init() {}

    public mutating func record(_ microseconds: UInt32) {
        total += 1
        let bucket = UInt16(LatencyBuckets.index(microseconds))
        var low = 0
        var high = buckets.count
        while low < high {
            let middle = (low + high) / 2
            if buckets[middle] < bucket { low = middle + 1 } else { high = middle }
        }
        if low < buckets.count, buckets[low] == bucket {
            counts[low] &+= 1
        } else {
            buckets.insert(bucket, at: low)
            counts.insert(1, at: low)
        }
    }

    /// Adds these counts to a dense array of `LatencyBuckets.count` places.
    public func add(to dense: inout [UInt64]) {
        for (i, bucket) in buckets.enumerated() { dense[Int(bucket)] += UInt64(counts[i]) }
    }
}
