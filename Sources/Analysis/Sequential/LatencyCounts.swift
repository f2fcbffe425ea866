import PolicyModel
import Statistics

/// How many of a tick's requests took at least as long as a bucket, for either arm: gathered in one pass, as several
/// checks ask at several points.
struct LatencyCounts {
    /// Requests in a bucket or above: a row for the baseline's and one for the candidate's whose latency is known,
    /// then, where there are any, those of either arm that outlived the bucket. A row begins with the first bucket that
    /// has a request, and ends with a place for errors.
    private let beyond: [UInt32]
    private let first: Int
    private let places: Int

    init(_ tick: LatencyTick, _ measure: LatencyMeasure) {
        var anyOutlived = false
        var (low, high) = (LatencyBuckets.count, 0)
        for entry in tick.entries {
            let (bucket, isOutlived) = entry.bucket(measure)
            anyOutlived = anyOutlived || isOutlived
            if bucket < LatencyBuckets.count { (low, high) = (min(low, bucket), max(high, bucket + 1)) }
        }
        let (first, places) = (min(low, high), max(high - low, 0) + 1)
        (self.first, self.places) = (first, places)
        let size = (anyOutlived ? 4 : 2) * places
        beyond = [UInt32](unsafeUninitializedCapacity: size) { counts, filled in
            counts.initialize(repeating: 0)
            for entry in tick.entries {
                let (bucket, isOutlived) = entry.bucket(measure)
                let row = (isOutlived ? 2 : 0) + Int(entry.arm.rawValue)
                counts[row * places + min(bucket - first, places - 1)] += 1
            }
            for row in 0..<size / places {
                var sum: UInt32 = 0
                for i in (row * places..<(row + 1) * places).reversed() {
                    sum += counts[i]
                    counts[i] = sum
                }
            }
            filled = size
        }
    }

    /// Requests in these buckets and above, of those of which it can be told.
    /// - Parameter outlived: in a proof a request of the candidate that was given up counts as slow from here on, as
    ///   one of the baseline does: that clients lose patience between the two thresholds must not look fast.
    func beyond(candidate: Int, baseline: Int, outlived: Int? = nil) -> Stratum {
        Stratum(
            candidate: tally(1, candidate, outlived: outlived ?? candidate),
            baseline: tally(0, baseline, outlived: baseline))
    }

    private func tally(_ arm: Int, _ bucket: Int, outlived from: Int) -> Tally {
        let longer = beyond.count > 2 * places ? self[2 + arm, from] : 0
        return Tally(self[arm, bucket] + longer, of: self[arm, first] + longer)
    }

    private subscript(row: Int, bucket: Int) -> Int {
        Int(beyond[row * places + min(max(bucket - first, 0), places - 1)])
    }
}
