/// Measures the time that a client has for its body: a grace, and a second for each `rate` bytes that came. The clock
/// is paused while no server takes the body, since nothing is read from the client then. Pure: times are arguments, in
/// monotonic nanoseconds.
struct BodyClock {
    /// The time at which the body began, plus the length of all pauses; 0 before.
    private var startedAt: Int64 = 0
    /// The time at which the clock was paused; 0 while it runs.
    private var pausedAt: Int64 = 0

    @inline(__always) mutating func pause(at now: Int64) {
        if pausedAt == 0 { pausedAt = now }
    }

    @inline(__always) mutating func resume(at now: Int64) {
        guard pausedAt != 0 else { return }
        // The first run has no pause before it.
        startedAt = startedAt == 0 ? now : startedAt + (now - pausedAt)
        pausedAt = 0
    }

    /// The time from which on the client is too slow. Sums saturate.
    /// - Parameters:
    ///   - bytes: the number of bytes that came.
    ///   - rate: bytes per second.
    ///   - grace: nanoseconds.
    func deadline(bytes: Int64, rate: Int64, grace: Int64) -> Int64 {
        let (earned, isTooLong) = (bytes / max(rate, 1)).multipliedReportingOverflow(by: 1_000_000_000)
        let (allowed, isTooMuch) = earned.addingReportingOverflow(grace)
        let (deadline, isTooLate) = startedAt.addingReportingOverflow(allowed)
        return isTooLong || isTooMuch || isTooLate ? .max : deadline
    }
}
