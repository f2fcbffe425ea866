import Glibc

/// How the cost of reading something grows with its size.
public enum Growth {
    /// Twice the input may cost at most this many times as much: linear work with a logarithm and the caches' share.
    public static let limit = 2.5

    /// The cost of `2 * size` over that of `size`, in CPU time of this thread, so that waiting for a processor does not
    /// count. Of several runs the cheapest counts, and a factor above the limit has to be seen eight times: work that
    /// is quadratic is at 4 each time.
    public static func factor<Input>(
        _ size: Int, _ make: (Int) throws -> Input, _ work: (Input) throws -> Void
    ) rethrows -> Double {
        let inputs = [try make(size), try make(2 * size)]
        var smallest = Double.infinity
        for _ in 0..<8 {
            var least = [Double.infinity, .infinity]
            for _ in 0..<4 {
                for place in 0..<2 {
                    let start = cpuTime()
                    try work(inputs[place])
                    least[place] = min(least[place], cpuTime() - start)
                }
            }
            smallest = min(smallest, least[1] / max(least[0], 1e-9))
            if smallest <= limit { break }
        }
        return smallest
    }

    private static func cpuTime() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}
