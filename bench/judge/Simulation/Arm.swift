import Glibc

/// The counts of one arm in one second or window: requests, failures, and successes slower than each of several points.
struct ArmCounts {
    var requests = 0
    var errors = 0
    var slower: [Int]

    init(points: Int) { slower = [Int](repeating: 0, count: points) }
}

/// Draws the counts of one arm. Arrivals are Poisson, so failures and successes by latency are independent Poisson counts,
/// and requests need not be drawn one by one.
struct ArmSampler {
    /// The latencies at which slower requests are counted, ascending, in units of the baseline's median.
    let points: [Double]
    private var condition: Condition?
    private var rate = -1.0
    private var errors = Poisson(0)
    /// The numbers of successes faster than the first point, between each two points, and slower than the last.
    private var bins: [Poisson] = []
    private var clusterSize = 1

    init(points: [Double]) { self.points = points }

    /// Draws the counts of one second.
    /// - Parameters:
    ///   - rate: the mean number of the arm's requests.
    ///   - clusters: whether failures come in clusters of five requests.
    mutating func draw(
        _ c: Condition, rate: Double, clusters: Bool = false, into counts: inout ArmCounts, random: inout Random
    ) {
        if c != condition || rate != self.rate {
            condition = c
            self.rate = rate
            clusterSize = clusters ? 5 : 1
            let arrivals = rate * c.load
            errors = Poisson(arrivals * c.errors / Double(clusterSize))
            var last = 1.0
            bins = []
            for x in points {
                let tail = c.slower(than: x)
                bins.append(Poisson(arrivals * (1 - c.errors) * max(last - tail, 0)))
                last = tail
            }
            bins.append(Poisson(arrivals * (1 - c.errors) * last))
        }
        counts.errors = random.poisson(errors) * clusterSize
        var slow = 0
        for i in stride(from: points.count, through: 1, by: -1) {
            slow += random.poisson(bins[i])
            counts.slower[i - 1] = slow
        }
        counts.requests = counts.errors + slow + random.poisson(bins[0])
    }
}

/// The baseline's quantiles in units of its median.
enum Baseline {
    static let quantiles = [0.5, 0.75, 0.9, 0.95, 0.99]
    private static let z = [0, 0.674_489_750_196, 1.281_551_565_545, 1.644_853_626_951, 2.326_347_874_041]
    static let points: [Double] = z.map { exp(Scenario.sigma * $0) }
    static let p95 = points[3]
}
