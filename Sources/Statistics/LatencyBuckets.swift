/// Log-linear buckets over microseconds: exact below 64 µs, then 64 buckets to each doubling, so that a bucket is at
/// most 1/64 (1.6 %) wide. Covers 0 ... 2^32 − 1 µs (71 minutes) in 1 728 buckets.
public enum LatencyBuckets {
    public static let count = 1_728

    /// The bucket of a latency in microseconds.
    @inlinable public static func index(_ microseconds: UInt32) -> Int {
        if microseconds < 64 { return Int(microseconds) }
        let exponent = 31 - microseconds.leadingZeroBitCount
        return (exponent - 5) << 6 + Int(microseconds >> UInt32(exponent - 6)) - 64
    }

    /// The smallest latency of a bucket, in microseconds.
    @inlinable public static func lowerBound(_ index: Int) -> UInt64 {
        if index < 64 { return UInt64(index) }
        let exponent = index >> 6 + 5
        return UInt64(64 + index & 63) << UInt64(exponent - 6)
    }

    /// One more than the largest latency of a bucket.
    @inlinable public static func upperBound(_ index: Int) -> UInt64 { lowerBound(index + 1) }
}
