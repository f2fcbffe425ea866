import PolicyModel
import Statistics

/// The requests of one arm that began in a span of time.
public struct ArmSummary: Sendable {
    public var outcomes = OutcomeCounts()
    /// The latencies of successes to the last and to the first byte, counted by bucket of `LatencyBuckets`.
    public var total = [UInt64](repeating: 0, count: LatencyBuckets.count)
    public var firstByte = [UInt64](repeating: 0, count: LatencyBuckets.count)
    /// The ages of requests that were open or abandoned, counted by bucket; each was at least that slow.
    public var censored = [UInt64](repeating: 0, count: LatencyBuckets.count)
    public var open: UInt64 = 0

    public init() {}

    public mutating func recordOpen(age: UInt32) {
        censored[LatencyBuckets.index(age)] += 1
        open += 1
    }

    public func histogram(_ measure: LatencyMeasure) -> [UInt64] { measure == .total ? total : firstByte }

    /// Counts the requests that were slower than a threshold, and all requests that can be compared with it. An error
    /// counts as slower than any threshold, so that failing fast does not look fast. An open or abandoned request that
    /// is older than the threshold counts as slower; a younger one is left out of both counts.
    /// - Parameter bucket: the bucket whose lower bound is the threshold; requests in it and above are slower.
    public func exceedances(_ measure: LatencyMeasure, atOrAbove bucket: Int) -> (slower: UInt64, of: UInt64) {
        let histogram = histogram(measure)
        let finished = histogram.reduce(0, +)
        let slow = bucket < histogram.count ? histogram[bucket...].reduce(0, +) : 0
        let outlived = bucket < censored.count ? censored[bucket...].reduce(0, +) : 0
        return (slow + outcomes.errors + outlived, finished + outcomes.errors + outlived)
    }

    /// The p-quantile of latency in seconds, interpolated linearly within its bucket: the smallest value such that at
    /// most a share 1 − p of the requests is slower, counted as in `exceedances`. It is infinite if more than that
    /// share are errors. If no request has ended, it is a lower bound: the age of the oldest open one. Nil without
    /// samples.
    public func quantile(_ p: Double, of measure: LatencyMeasure) -> (value: Double, samples: UInt64)? {
        let histogram = histogram(measure)
        let known = histogram.reduce(0, +) + outcomes.errors
        var outlived = censored.reduce(0, +)
        guard known + outlived > 0 else { return nil }
        var slower = known + outlived
        var shareBefore = 1.0
        var populationBefore = slower
        for bucket in 0..<LatencyBuckets.count {
            slower -= histogram[bucket] + censored[bucket]
            outlived -= censored[bucket]
            let population = known + outlived
            if population == 0 { return (Double(LatencyBuckets.lowerBound(bucket)) / 1e6, populationBefore) }
            let share = Double(slower) / Double(population)
            if share <= 1 - p {
                let low = Double(LatencyBuckets.lowerBound(bucket))
                let high = Double(LatencyBuckets.upperBound(bucket))
                let inside = shareBefore > share ? (shareBefore - (1 - p)) / (shareBefore - share) : 1
                return ((low + (high - low) * min(max(inside, 0), 1)) / 1e6, population)
            }
            shareBefore = share
            populationBefore = population
        }
        return (.infinity, known)
    }
}
