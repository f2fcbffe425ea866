import Statistics

/// A confidence interval of the candidate's value less the baseline's, in the unit of the measurement. It may be read
/// at any time and as often as one likes: over the whole rollout it misses the true difference with a probability of at
/// most 5 %, if requests are as independent as the judge assumes.
public struct DifferenceInterval: Hashable, Codable, Sendable {
    /// The ends of the interval. An infinite one is stored as `.greatestFiniteMagnitude`, because JSON has no infinity.
    public var low: Double
    public var high: Double
    /// The quantile whose difference this is, 0 ... 1, if the measurement shows another one; otherwise nil.
    public var quantile: Double?

    init(_ range: ClosedRange<Double>) {
        low = max(range.lowerBound, -.greatestFiniteMagnitude)
        high = min(range.upperBound, .greatestFiniteMagnitude)
    }
}
