import Analysis

/// The totals of all requests that a version got since the agent started, judged or not, for the agent's own metrics.
struct VersionTotals {
    /// Upper bounds of the exported histogram in seconds.
    static let bounds: [Double] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
    private(set) var outcomes = OutcomeCounts()
    /// The number of requests in each bucket, not cumulative; the last bucket holds those above all bounds.
    private(set) var buckets = [UInt64](repeating: 0, count: bounds.count + 1)
    /// The sum of the durations.
    private(set) var seconds = 0.0
    /// The number of requests without the key by which the service assigns arms.
    private(set) var keyless: UInt64 = 0
    /// The number of requests whose arm a header chose.
    private(set) var matched: UInt64 = 0
    /// The number of requests that this version failed and the baseline served.
    private(set) var rescued: UInt64 = 0

    mutating func record(_ o: Observation) {
        outcomes.add(o)
        if o.flags.contains(.keyless) { keyless += 1 }
        if o.flags.contains(.matched) { matched += 1 }
        if o.flags.contains(.rescued) { rescued += 1 }
        let duration = Double(o.total) / 1e6
        seconds += duration
        buckets[Self.bounds.firstIndex { duration <= $0 } ?? Self.bounds.count] += 1
    }
}
