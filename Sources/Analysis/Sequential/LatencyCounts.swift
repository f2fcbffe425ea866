import PolicyModel
import Statistics

/// The number of a tick's requests in each bucket or above, by arm. The counts are computed once for all buckets,
/// because several checks ask for them at several points.
struct LatencyCounts {
    /// Rows of `places` counts, each of the requests in a bucket or above. The first two rows are for the baseline's
    /// and the candidate's requests of known latency; two more follow if only a lower bound of any latency is known. A
    /// row starts with bucket `first`, the lowest that has a request of either arm, and ends with the errors.
    private let beyond: [UInt32]
    private let first: Int
    private let places: Int

    init(_ tick: LatencyTick, _ measure: LatencyMeasure) {
        var anyCensored = false
        var (low, high) = (LatencyBuckets.count, 0)
        for entry in tick.entries {
            let (bucket, isCensored) = entry.bucket(measure)
            anyCensored = anyCensored || isCensored
            if bucket < LatencyBuckets.count { (low, high) = (min(low, bucket), max(high, bucket + 1)) }
        }
        let (first, places) = (min(low, high), max(high - low, 0) + 1)
        (self.first, self.places) = (first, places)
        let size = (anyCensored ? 4 : 2) * places
        beyond = [UInt32](unsafeUninitializedCapacity: size) { counts, filled in
            counts.initialize(repeating: 0)
            for entry in tick.entries {
                let (bucket, isCensored) = entry.bucket(measure)
                let row = (isCensored ? 2 : 0) + Int(entry.arm.rawValue)
                counts[row * places + min(bucket - first, places - 1)] += 1
            }
            for row in 0..<size / places {
                var sum: UInt32 = 0
                var i = (row + 1) * places
                while i > row * places {
                    i -= 1
                    sum += counts[i]
                    counts[i] = sum
                }
            }
            filled = size
        }
    }

    /// Counts the requests in a bucket or above, among those that are known to be above or below.
    /// - Parameter censored: the bucket from which on a request of the candidate that did not end counts as slow; nil
    ///   for `candidate`. A proof uses the baseline's bucket, or clients that give up between the two buckets would
    ///   make the candidate seem fast.
    func beyond(candidate: Int, baseline: Int, censored: Int? = nil) -> Stratum {
        Stratum(
            candidate: tally(1, candidate, censored: censored ?? candidate),
            baseline: tally(0, baseline, censored: baseline))
    }

    /// Counts an arm's requests in a bucket or above, among those that are known to be above or below.
    func tally(_ arm: Arm, _ bucket: Int) -> Tally { tally(Int(arm.rawValue), bucket, censored: bucket) }

    private func tally(_ arm: Int, _ bucket: Int, censored from: Int) -> Tally {
        let longer = beyond.count > 2 * places ? self[2 + arm, from] : 0
        return Tally(self[arm, bucket] + longer, of: self[arm, first] + longer)
    }

    /// The requests of an arm by bucket, ascending; errors are in the bucket `LatencyBuckets.count`.
    /// - Parameter body: takes the bucket and the number of requests in it, which is never 0.
    func forEachBucket(_ arm: Arm, censored: Bool, _ body: (_ bucket: Int, _ requests: Int) -> Void) {
        let row = (censored ? 2 : 0) + Int(arm.rawValue)
        guard row < beyond.count / places else { return }
        for place in 0..<places {
            let next = place + 1 < places ? beyond[row * places + place + 1] : 0
            let requests = Int(beyond[row * places + place] - next)
            if requests > 0 { body(place + 1 < places ? first + place : LatencyBuckets.count, requests) }
        }
    }

    private subscript(row: Int, bucket: Int) -> Int {
        Int(beyond[row * places + min(max(bucket - first, 0), places - 1)])
    }
}
