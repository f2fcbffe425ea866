/// Estimates the overdispersion of an arm's hits, that is, how much more they vary between groups of requests than
/// independent hits would: φ̂ = χ²/df, in two ways.
///
/// Between eight sub-shards, into which the split's own hash divides the requests of the baseline. A retry storm, or a
/// user whose requests always fail, affects one shard.
///
/// Between neighboring windows of the whole arm. Requests that fail together in one batch of the server, or that wait
/// together for its garbage collection, are spread over all shards and differ between windows. So does an outage, which
/// both arms share and which is no overdispersion: the few pairs that differ most are set aside, and a slow drift is
/// the same in neighbors. That the pairs set aside hold what both arms share, and no more, is a heuristic, calibrated
/// by the simulation of batches, pauses and outages in bench/judge.
///
/// Windows of several lengths are used, since a cluster may last a second or ten minutes; the largest φ̂ counts.
/// Windows are weighted by their hits, so that many quiet ones do not hide a storm. A window with one hit carries no
/// information about clustering.
public struct OverdispersionEstimator: Hashable, Codable, Sendable {
    public static let shards = 8
    /// Lengths of the windows in seconds, each a multiple of the one before.
    public static let windows = [1, 10, 60, 300]
    /// The number of hits that the windows of one length need in all before that length is used.
    public static let fewestHits = 20.0
    /// The number of windows with a hit that one length needs before it is used.
    public static let fewestWindows = 2
    /// The number of pairs of neighboring windows of one length that are set aside, and the number of pairs that it
    /// takes for these to be few.
    static let setAside = 4
    static let fewestPairs = 80

    /// The open window of one length, and sums over the closed ones.
    private struct Scale: Hashable, Codable, Sendable {
        var seconds = 0
        var hits = [Int](repeating: 0, count: shards)
        var trials = [Int](repeating: 0, count: shards)
        var windows = 0
        /// Σ K, where K is the number of hits of a closed window.
        var weight = 0.0
        /// Σ K χ²/df.
        var sum = 0.0
        /// Σ K² Var(χ²/df).
        var variance = 0.0
        /// The same sums over pairs of neighboring windows.
        var pairs = PairSums()
    }

    /// Sums over pairs of neighboring windows of the whole arm, K being the hits of a pair.
    private struct PairSums: Hashable, Codable, Sendable {
        /// The window that waits for its neighbor.
        var waiting: Tally?
        var count = 0
        var weight = 0.0
        var sum = 0.0
        var squares = 0.0
        /// K and K χ² of the pairs with the largest K χ², descending.
        var largest: [[Double]] = []

        mutating func add(_ window: Tally) {
            guard let first = waiting else {
                waiting = window
                return
            }
            waiting = nil
            let both = first + window
            guard first.trials > 0, window.trials > 0, both.hits > 0, both.hits < both.trials else { return }
            let p = Double(both.hits) / Double(both.trials)
            let expected = Double(first.trials) * p
            let excess = Double(first.hits) - expected
            // Given the margins, the first window's hits are hypergeometric.
            let variance =
                expected * (1 - p) * Double(window.trials) / Double(max(both.trials - 1, 1))
            let chi = excess * excess / variance
            let k = Double(both.hits)
            count += 1
            weight += k
            sum += k * chi
            squares += k * k
            if largest.count < OverdispersionEstimator.setAside || largest[largest.count - 1][1] < k * chi {
                largest.insert([k, k * chi], at: largest.firstIndex { $0[1] < k * chi } ?? largest.count)
                if largest.count > OverdispersionEstimator.setAside { largest.removeLast() }
            }
        }

        /// φ̂ less one standard error; nil without enough pairs.
        var estimate: Double? {
            var (weight, sum, squares) = (weight, sum, squares)
            for pair in largest {
                weight -= pair[0]
                sum -= pair[1]
                squares -= pair[0] * pair[0]
            }
            guard weight >= OverdispersionEstimator.fewestHits, count >= OverdispersionEstimator.fewestPairs else {
                return nil
            }
            return sum / weight * max(1 - (2 * max(squares, 0)).squareRoot() / weight, 0)
        }
    }

    private var scales = [Scale](repeating: Scale(), count: windows.count)

    public init() {}

    /// Records one second of the baseline.
    /// - Parameter second: a tally for each sub-shard.
    public mutating func observe(_ second: [Tally]) {
        precondition(second.count == Self.shards, "a tally for each of \(Self.shards) sub-shards")
        for shard in second.indices {
            scales[0].hits[shard] += second[shard].hits
            scales[0].trials[shard] += second[shard].trials
        }
        var i = 0
        while i < scales.count {
            scales[i].seconds += Self.windows[max(i, 1) - 1]
            guard scales[i].seconds >= Self.windows[i] else { break }
            close(i)
            i += 1
        }
        if i > 0 { estimate = largestEstimate }
    }

    /// Closes the window of one length and adds its counts to the window of the next longer length.
    private mutating func close(_ i: Int) {
        let counts = scales[i].hits
        let trials = scales[i].trials
        scales[i].seconds = 0
        for shard in 0..<Self.shards {
            if i + 1 < scales.count {
                scales[i + 1].hits[shard] += counts[shard]
                scales[i + 1].trials[shard] += trials[shard]
            }
            scales[i].hits[shard] = 0
            scales[i].trials[shard] = 0
        }
        let k = counts.reduce(0, +)
        let n = trials.reduce(0, +)
        if Self.windows[i] == 60 {
            hits += k
            mostTogether = max(mostTogether, k)
        }
        let df = Double(trials.count { $0 > 0 } - 1)
        scales[i].pairs.add(Tally(k, of: n))
        guard k > 0 && k < n && df > 0 else { return }
        let p = Double(k) / Double(n)
        var chi = 0.0
        for shard in 0..<Self.shards where trials[shard] > 0 {
            let expected = Double(trials[shard]) * p
            chi += (Double(counts[shard]) - expected) * (Double(counts[shard]) - expected) / (expected * (1 - p))
        }
        // Given its margins, χ² has the mean df·n/(n − 1).
        let ratio = chi / df * Double(n - 1) / Double(n)
        scales[i].windows += 1
        scales[i].weight += Double(k)
        scales[i].sum += Double(k) * ratio
        scales[i].variance += Double(k) * Double(k) * 2 / df * (1 - 1 / Double(k))
    }

    /// The hits so far, and the most of them in one window of a minute.
    private var hits = 0
    private var mostTogether = 0

    /// The largest cluster that is possible in the few hits seen, 1 ... 5, for the time before φ̂ is known. Hits that
    /// came one by one show that they do not come five at a time; before the first hits anything is possible.
    public var largestPossibleCluster: Double {
        min(max(Double(mostTogether), CountingMode.clustered + 1 - Double(hits), 1), CountingMode.clustered)
    }

    /// φ̂, at least 1: the largest of the estimates for the four lengths, each reduced by one standard error because
    /// the largest of four estimates is biased upward. Nil until one length has enough hits.
    public private(set) var estimate: Double?

    private var largestEstimate: Double? {
        var largest: Double?
        for scale in scales where scale.weight >= Self.fewestHits && scale.windows >= Self.fewestWindows {
            let error = scale.variance.squareRoot() / scale.weight
            largest = max(largest ?? 1, scale.sum / scale.weight * max(1 - error, 0))
        }
        for i in scales.indices {
            if let estimate = scales[i].pairs.estimate { largest = max(largest ?? 1, estimate) }
        }
        return largest
    }
}

/// The mode in which counts are bet on, chosen by their overdispersion.
public enum CountingMode: Hashable, Codable, Sendable {
    /// Likelihood ratios of counts, raised to the power η = `discount`, because failures cluster.
    case counts(discount: Double)
    /// One bounded bet per tick (`TickProcess`), for strongly clustered data.
    case ticks

    /// The largest φ̂ at which counts are not discounted.
    public static let independent = 1.5
    /// The largest φ̂ at which a discount is sufficient; beyond it the mode is `ticks`.
    public static let clustered = 5.0

    /// - Parameter overdispersion: φ̂; nil, before it is known, is treated as 5.
    public init(overdispersion: Double?) {
        let phi = overdispersion ?? Self.clustered
        self = phi > Self.clustered ? .ticks : .counts(discount: phi < Self.independent ? 1 : 1 / phi)
    }
}
