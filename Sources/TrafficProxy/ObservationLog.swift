import Analysis

/// The observations of a loop, in two logs of fixed size: the loop writes one while the other is read.
struct ObservationLog {
    /// The number of observations that one log holds; further ones are only counted as dropped. A loop with 26,000
    /// requests a second fills a log in a second, and logs are read twice a second.
    static let capacity = 26_000

    private var active: UnsafeMutablePointer<Observation>
    private var resting: UnsafeMutablePointer<Observation>
    private var count = 0
    private var dropped: UInt64 = 0

    init() {
        active = .allocate(capacity: Self.capacity)
        resting = .allocate(capacity: Self.capacity)
    }

    @inline(__always) mutating func append(_ observation: Observation) {
        guard count < Self.capacity else {
            dropped += 1
            return
        }
        (active + count).initialize(to: observation)
        count += 1
    }

    /// Returns the observations since the last call, which are valid until the next.
    mutating func swap() -> (entries: UnsafeBufferPointer<Observation>, dropped: UInt64) {
        let filled = UnsafeBufferPointer(start: UnsafePointer(active), count: count)
        let lost = dropped
        Swift.swap(&active, &resting)
        count = 0
        dropped = 0
        return (filled, lost)
    }

    func deallocate() {
        active.deallocate()
        resting.deallocate()
    }
}
