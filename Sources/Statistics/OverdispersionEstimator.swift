/// How much more an arm's hits clump than independent ones would: φ̂ = χ²/df between eight sub-shards, into which the
/// split's own hash divides the requests of the baseline. A storm of retries, or a user who always fails, fills one
/// shard; an outage of the whole arm fills all alike and is no clumping, as it hits the other arm too.
///
/// Windows of several lengths, since what clumps may last a second or ten minutes; the largest φ̂ counts. Windows
/// weigh by their hits, so that many quiet ones do not hide the storm; a window with one hit says nothing of clumping.
public struct OverdispersionEstimator: Hashable, Codable, Sendable {
    public static let shards = 8
    /// Lengths of the windows in seconds, each a multiple of the one before.
    public static let windows = [1, 10, 60, 300]
    /// A length speaks once its windows held this many hits in all, …
    public static let fewestHits = 20.0
    /// … in at least so many windows with a hit.
    public static let fewestWindows = 2

    private struct Scale: Hashable, Codable, Sendable {
        var seconds = 0
        var hits = [Int](repeating: 0, count: shards)
        var trials = [Int](repeating: 0, count: shards)
        var windows = 0
        /// Σ K, Σ K χ²/df and Σ K² Var(χ²/df) over the closed windows; K their hits.
        var weight = 0.0
        var sum = 0.0
        var variance = 0.0
    }

    private var scales = [Scale](repeating: Scale(), count: windows.count)

    public init() {}

    /// Takes one second of the baseline.
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
    }

    /// Ends a window; what it held belongs to the next longer one as well.
    private mutating func close(_ i: Int) {
        let hits = scales[i].hits
        let trials = scales[i].trials
        scales[i].seconds = 0
        for shard in 0..<Self.shards {
            if i + 1 < scales.count {
                scales[i + 1].hits[shard] += hits[shard]
                scales[i + 1].trials[shard] += trials[shard]
            }
            scales[i].hits[shard] = 0
            scales[i].trials[shard] = 0
        }
        let k = hits.reduce(0, +)
        let n = trials.reduce(0, +)
        let df = Double(trials.count { $0 > 0 } - 1)
        guard k > 0 && k < n && df > 0 else { return }
        let p = Double(k) / Double(n)
        var chi = 0.0
        for shard in 0..<Self.shards where trials[shard] > 0 {
            let expected = Double(trials[shard]) * p
            chi += (Double(hits[shard]) - expected) * (Double(hits[shard]) - expected) / (expected * (1 - p))
        }
        // Given its margins, χ² is df·n/(n − 1) on average.
        let ratio = chi / df * Double(n - 1) / Double(n)
        scales[i].windows += 1
        scales[i].weight += Double(k)
        scales[i].sum += Double(k) * ratio
        scales[i].variance += Double(k) * Double(k) * 2 / df * (1 - 1 / Double(k))
    }

    /// φ̂, at least 1: the largest of the windows' estimates, each less one standard error (four estimates are looked
    /// at, and the largest of four is too large). Nil until a length has enough hits.
    public var estimate: Double? {
        var largest: Double?
        for scale in scales where scale.weight >= Self.fewestHits && scale.windows >= Self.fewestWindows {
            let error = scale.variance.squareRoot() / scale.weight
            largest = max(largest ?? 1, scale.sum / scale.weight * max(1 - error, 0))
        }
        return largest
    }
}

/// How counts are bet on, given how they clump.
public enum Lane: Hashable, Codable, Sendable {
    /// Likelihood ratios of counts, raised to η.
    case counts(temper: Double)
    /// `TickLane`: one bounded bet a tick.
    case ticks

    /// Up to this φ̂ counts are taken as they are.
    public static let independent = 1.5
    /// Beyond this no tempering is trusted.
    public static let clumped = 5.0

    /// - Parameter overdispersion: φ̂; nil, before it is known, counts as 5.
    public init(overdispersion: Double?) {
        let phi = overdispersion ?? Self.clumped
        self = phi > Self.clumped ? .ticks : .counts(temper: phi < Self.independent ? 1 : 1 / phi)
    }
}
