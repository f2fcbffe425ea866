import Analysis

/// Two fixed logs of a loop: it writes into one while the other is read. Nothing in it grows or waits.
struct ObservationLog {
    /// The number of observations that one log holds: it lasts a second at 26 000 requests a second and loop, and is read twice a second.
    /// What does not fit is counted.
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

    /// Returns what was written since the last call. Valid until the next.
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
