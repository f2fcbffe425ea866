import Glibc

/// How the cost of work grows with its input, in CPU time of the calling thread: what other processes do to a shared
/// machine does not count.
public enum Growth {
    /// The largest factor that linear work may show when its input is doubled: 2, a logarithm, and what is lost when
    /// the caches are shared with other tests. Quadratic work shows 4.
    public static let limit = 3.0
    private static let fewestRuns = 4
    private static let mostRuns = 40

    /// The cost of `work` on an input of `2 * size` over that on one of `size`.
    public static func factor<Input>(
        _ size: Int, _ make: (Int) throws -> Input, _ work: (Input) throws -> Void
    ) rethrows -> Double {
        let (small, large) = (try make(size), try make(2 * size))
        return try ratio(small: { try work(small) }, large: { try work(large) })
    }

    /// The cost of `large` over that of `small`, each the cheapest of several runs.
    /// - Parameter bound: the runs end as soon as the ratio is at or below this. A busy machine only takes more of
    ///   them, while work that is quadratic stays at 4 however many there are.
    public static func ratio(
        bound: Double = limit, small: () throws -> Void, large: () throws -> Void
    ) rethrows -> Double {
        var least = (small: Double.infinity, large: Double.infinity)
        for run in 1...mostRuns {
            least.small = min(least.small, try seconds(small))
            least.large = min(least.large, try seconds(large))
            if run >= fewestRuns, least.large <= bound * least.small { break }
        }
        return least.large / max(least.small, 1e-9)
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
