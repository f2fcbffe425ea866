import Glibc

/// How the cost of work grows with its input, in CPU time of the calling thread: what other processes do to a shared
/// machine does not count, and of several runs the cheapest does.
public enum ThreadTime {
    /// How many times as much `large` costs as `small`.
    /// - Parameter bound: the runs end as soon as the ratio is at or below it, so that one lucky pair suffices where
    ///   the machine is noisy, and no number of them where the cost grows faster.
    public static func ratio(
        bound: Double, small: () throws -> Void, large: () throws -> Void
    ) rethrows -> Double {
        var least = (small: Double.infinity, large: Double.infinity)
        for run in 1...40 {
            least.small = min(least.small, try seconds(small))
            least.large = min(least.large, try seconds(large))
            if run >= 2, least.large / least.small <= bound { break }
        }
        return least.large / least.small
    }

    private static func seconds(_ work: () throws -> Void) rethrows -> Double {
        let start = now()
        try work()
        return now() - start
    }

    private static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}
