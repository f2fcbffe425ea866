/// Hits (errors, requests slower than a threshold, misses) among trials.
public struct Tally: Hashable, Codable, Sendable {
    public var hits: Int
    public var trials: Int

    /// - Precondition: 0 ≤ hits ≤ trials.
    public init(_ hits: Int = 0, of trials: Int = 0) {
        precondition(hits >= 0 && hits <= trials, "\(hits) hits of \(trials) trials")
        self.hits = hits
        self.trials = trials
    }

    public static func + (a: Tally, b: Tally) -> Tally { Tally(a.hits + b.hits, of: a.trials + b.trials) }
    public static func += (a: inout Tally, b: Tally) { a = a + b }

    public var rate: Double? { trials == 0 ? nil : Double(hits) / Double(trials) }
}

/// One stratum of both arms: what began in one tick, or in one block of ticks.
public struct Stratum: Hashable, Codable, Sendable {
    public var candidate: Tally
    public var baseline: Tally

    public init(candidate: Tally = Tally(), baseline: Tally = Tally()) {
        self.candidate = candidate
        self.baseline = baseline
    }

    public static func += (a: inout Stratum, b: Stratum) {
        a.candidate += b.candidate
        a.baseline += b.baseline
    }

    /// A hit is there and a miss, and both arms have requests: given these totals, the split of the hits may still fall
    /// either way. All other strata say nothing of the odds ratio.
    public var isInformative: Bool {
        let hits = candidate.hits + baseline.hits
        return candidate.trials > 0 && baseline.trials > 0 && hits > 0 && hits < candidate.trials + baseline.trials
    }
}

/// The alternatives to a null that bounds an odds ratio, as multiples of the bound.
public enum Alternatives {
    /// From a third above the bound to a hundred times it.
    public static let worse: [Double] = [1.3, 1.7, 2.2, 3.2, 5, 8, 14, 30, 100]
    /// For error rates: dense where a few nats more or less are much of the whole, from five to ten times the bound. A
    /// regression that is far beyond is found after a handful of failures by any of them.
    public static let regressions: [Double] = [1.5, 5, 7, 10, 25]
    /// For a proof that the candidate stays below the bound.
    public static let better: [Double] = [0.15, 0.3, 0.45, 0.6, 0.75, 0.9]
}
