import Statistics

/// The interval in which the candidate's value less the baseline's lies, in the unit of the measurement. It may be read at
/// any time and as often as one likes: over the whole rollout it misses the true difference with a probability of at most
/// 5 %, if requests are as independent as the judge assumes.
public struct DifferenceInterval: Hashable, Codable, Sendable {
    public var low: Double
    /// Infinite is written as `.greatestFiniteMagnitude`, which JSON can represent.
    public var high: Double
    /// The quantile whose difference it is, 0 ... 1, where the measurement shows another one.
    public var quantile: Double?

    init(_ range: ClosedRange<Double>) {
        low = max(range.lowerBound, -.greatestFiniteMagnitude)
        high = min(range.upperBound, .greatestFiniteMagnitude)
    }
}
