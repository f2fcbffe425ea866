/// The time that a client has for its body: a grace, and a second for each so many bytes that came. It stands still
/// while no server takes the body, since the client is not read from then. Pure: times are given, in monotonic
/// nanoseconds.
struct BodyClock {
    /// The time at which the body began, moved on by each pause.
    private var startedAt: Int64 = 0
    /// The time at which the clock was paused; 0: it runs.
    private var pausedAt: Int64 = 0

    @inline(__always) mutating func pause(at now: Int64) {
        if pausedAt == 0 { pausedAt = now }
    }

    @inline(__always) mutating func resume(at now: Int64) {
        guard pausedAt != 0 else { return }
        // Before its first run there is nothing to move.
        startedAt = startedAt == 0 ? now : startedAt + (now - pausedAt)
        pausedAt = 0
    }

    /// Returns the time from which on the client is too slow. Sums saturate, however many bytes came.
    func deadline(bytes: Int64, rate: Int64, grace: Int64) -> Int64 {
        let (earned, isTooLong) = (bytes / max(rate, 1)).multipliedReportingOverflow(by: 1_000_000_000)
        let (allowed, isTooMuch) = earned.addingReportingOverflow(grace)
        let (deadline, isTooLate) = startedAt.addingReportingOverflow(allowed)
        return isTooLong || isTooMuch || isTooLate ? .max : deadline
    }
}
