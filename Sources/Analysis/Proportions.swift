import Statistics

/// A count among a number of trials.
public struct Proportion: Hashable, Codable, Sendable {
    public var hits: UInt64
    public var trials: UInt64

    public init(_ hits: UInt64, of trials: UInt64) {
        self.hits = min(hits, trials)
        self.trials = trials
    }

    /// The largest count that is accepted: up to 2^53 a Double represents every whole number.
    public static let largestCount = 0x1p53

    /// Creates a proportion from counts that a server reported, or from sums of these; nil if they cannot be counts,
    /// because they are negative, not a number, or larger than `largestCount`.
    public init?(counted hits: Double, of trials: Double) {
        guard (0...Self.largestCount).contains(hits), (0...Self.largestCount).contains(trials) else { return nil }
        self.init(UInt64(hits.rounded()), of: UInt64(trials.rounded()))
    }

    /// The share of hits, 0 ... 1; nil without a trial.
    public var rate: Double? { trials == 0 ? nil : Double(hits) / Double(trials) }

    /// The estimated variance of one trial, with one hit and one miss added, so that it is not 0 if no trial was a hit.
    var variance: Double {
        let p = (Double(hits) + 1) / (Double(trials) + 2)
        return p * (1 - p)
    }

    /// The lower end of the Wilson score interval at `deviations` standard errors; 0 without a trial.
    public func lowerBound(deviations z: Double = uncertainty) -> Double {
        guard trials > 0 else { return 0 }
        let n = Double(trials)
        let p = Double(hits) / n
        let centre = p + z * z / (2 * n)
        let spread = z * (p * (1 - p) / n + z * z / (4 * n * n)).squareRoot()
        return max((centre - spread) / (1 + z * z / n), 0)
    }

    /// True if this rate is above `factor` times the other's by more than `deviations` standard errors.
    public func isAbove(_ other: Proportion, times factor: Double, deviations z: Double = uncertainty) -> Bool {
        guard let mine = rate, let theirs = other.rate else { return false }
        let error =
            (variance / Double(trials) + factor * factor * other.variance / Double(other.trials)).squareRoot()
        return mine - factor * theirs > z * error
    }

    /// A bound counts as crossed when it is crossed by this many standard errors; within them a measurement is
    /// inconclusive.
    public static let uncertainty = 2.0
}
