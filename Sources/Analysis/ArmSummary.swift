import PolicyModel
import Statistics

/// One arm over a span of start times.
public struct ArmSummary: Sendable {
    public var outcomes = OutcomeCounts()
    /// Latencies of successes by bucket of `LatencyBuckets`.
    public var total = [UInt64](repeating: 0, count: LatencyBuckets.count)
    public var firstByte = [UInt64](repeating: 0, count: LatencyBuckets.count)
    /// Ages of requests that were open or abandoned: each was at least that slow.
    public var censored = [UInt64](repeating: 0, count: LatencyBuckets.count)
    public var open: UInt64 = 0

    public init() {}

    public mutating func recordOpen(age: UInt32) {
        censored[LatencyBuckets.index(age)] += 1
        open += 1
    }

    public func histogram(_ measure: LatencyMeasure) -> [UInt64] { measure == .total ? total : firstByte }

    /// How many were slower than a threshold, of how many that can be told. An error counts as slower than any
    /// threshold, so that failing fast cannot look fast; an open or abandoned request counts as slower than what it
    /// has outlived and is left out of the rest.
    /// - Parameter bucket: the threshold is the lower bound of this bucket; requests in it and above are slower.
    public func exceedances(_ measure: LatencyMeasure, atOrAbove bucket: Int) -> (slower: UInt64, of: UInt64) {
        let histogram = histogram(measure)
        let finished = histogram.reduce(0, +)
        let slow = bucket < histogram.count ? histogram[bucket...].reduce(0, +) : 0
        let outlived = bucket < censored.count ? censored[bucket...].reduce(0, +) : 0
        return (slow + outcomes.errors + outlived, finished + outcomes.errors + outlived)
    }

    /// The p-quantile of latency in seconds: the least value that at most a share 1 − p is slower than, counted as in
    /// `exceedances`; linear inside the bucket. Infinite where that many are errors. Where nothing has ended, what the
    /// longest open request has outlived: it is at least that. Nil without samples.
    public func quantile(_ p: Double, of measure: LatencyMeasure) -> (value: Double, samples: UInt64)? {
        let histogram = histogram(measure)
        let told = histogram.reduce(0, +) + outcomes.errors
        var outlived = censored.reduce(0, +)
        guard told + outlived > 0 else { return nil }
        var slower = told + outlived
        var shareBefore = 1.0
        var populationBefore = slower
        for bucket in 0..<LatencyBuckets.count {
            slower -= histogram[bucket] + censored[bucket]
            outlived -= censored[bucket]
            let population = told + outlived
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
        return (.infinity, told)
    }
}
