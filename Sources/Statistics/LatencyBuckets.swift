/// Log-linear histogram buckets for latencies in microseconds: exact below 64 µs, then 64 buckets for each doubling, so
/// that a bucket is at most 1/64 (1.6 %) wide. 1,728 buckets cover 0 ... 2^32 − 1 µs (71 minutes).
public enum LatencyBuckets {
    public static let count = 1_728

    /// The index of the bucket that a latency falls into.
    @inlinable public static func index(_ microseconds: UInt32) -> Int {
        if microseconds < 64 { return Int(microseconds) }
        let exponent = 31 - microseconds.leadingZeroBitCount
        return (exponent - 5) << 6 + Int(microseconds >> UInt32(exponent - 6)) - 64
    }

    /// The smallest latency in a bucket, in microseconds.
    @inlinable public static func lowerBound(_ index: Int) -> UInt64 {
        if index < 64 { return UInt64(index) }
        let exponent = index >> 6 + 5
        return UInt64(64 + index & 63) << UInt64(exponent - 6)
    }

    /// The largest latency in a bucket plus one, in microseconds.
    @inlinable public static func upperBound(_ index: Int) -> UInt64 { lowerBound(index + 1) }
}
