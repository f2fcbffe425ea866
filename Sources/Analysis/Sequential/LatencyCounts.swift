import PolicyModel
import Statistics

/// How many of a tick's requests took at least as long as a bucket, for either arm: gathered in one pass, as several
/// checks ask at several points.
struct LatencyCounts {
    /// Requests in a bucket or above, by arm; one place more, for errors. Of requests whose latency is known, and of
    /// those that outlived a bucket.
    private var known: [[UInt32]]
    private var outlived: [[UInt32]]
    private static let places = LatencyBuckets.count + 1

    init(_ tick: LatencyTick, _ measure: LatencyMeasure) {
        known = [[UInt32]](repeating: [UInt32](repeating: 0, count: Self.places), count: 2)
        outlived = [[], []]
        var anyOutlived = false
        for entry in tick.entries where entry.bucket(measure).isOutlived { anyOutlived = true }
        if anyOutlived { outlived = known }
        for entry in tick.entries {
            let (bucket, isOutlived) = entry.bucket(measure)
            let place = min(bucket, Self.places - 1)
            if isOutlived {
                outlived[Int(entry.arm.rawValue)][place] += 1
            } else {
                known[Int(entry.arm.rawValue)][place] += 1
            }
        }
        for arm in 0..<2 {
            Self.sum(&known[arm])
            Self.sum(&outlived[arm])
        }
    }

    private static func sum(_ counts: inout [UInt32]) {
        var sum: UInt32 = 0
        for i in counts.indices.reversed() {
            sum += counts[i]
            counts[i] = sum
        }
    }

    /// Requests in these buckets and above, of those of which it can be told.
    /// - Parameter outlived: in a proof a request of the candidate that was given up counts as slow from here on, as one
    ///   of the baseline does: that clients lose patience between the two thresholds must not look fast.
    func beyond(candidate: Int, baseline: Int, outlived: Int? = nil) -> Stratum {
        Stratum(
            candidate: tally(1, candidate, outlived: outlived ?? candidate),
            baseline: tally(0, baseline, outlived: baseline))
    }

    private func tally(_ arm: Int, _ bucket: Int, outlived from: Int) -> Tally {
        let longer = outlived[arm].isEmpty ? 0 : Int(outlived[arm][min(from, Self.places - 1)])
        return Tally(Int(known[arm][min(bucket, Self.places - 1)]) + longer, of: Int(known[arm][0]) + longer)
    }
}
