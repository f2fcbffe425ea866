/// The range of the values of a score. Evidence about a mean needs bounds on the averaged values, so a score outside
/// the range is refused when it is posted; clamping it would hide the difference that a check has to find.
public struct ScoreRange: Hashable, Codable, Sendable, CustomStringConvertible {
    /// The largest bound that may be declared. It keeps sums and squares of very many scores exact enough.
    public static let largest = 1e9

    public let lower: Double
    public let upper: Double

    /// The range of a check that declares none.
    public static let unit = ScoreRange(unchecked: 0, 1)

    /// Creates a range; nil if the bounds are not finite, too large, or too close to each other.
    public init?(_ lower: Double, _ upper: Double) {
        guard lower >= -Self.largest, upper <= Self.largest, upper - lower >= 1e-9 else { return nil }
        self.init(unchecked: lower, upper)
    }

    private init(unchecked lower: Double, _ upper: Double) {
        self.lower = lower
        self.upper = upper
    }

    public var width: Double { upper - lower }

    public func contains(_ score: Double) -> Bool { score >= lower && score <= upper }

    /// The position of a score in the range, 0 ... 1; nil outside it.
    public func position(of score: Double) -> Double? {
        contains(score) ? min(max((score - lower) / width, 0), 1) : nil
    }

    /// The score at a position.
    public func score(at position: Double) -> Double { lower + position * width }

    public var description: String { "[\(Self.text(lower)), \(Self.text(upper))]" }

    private static func text(_ bound: Double) -> String {
        Int64(exactly: bound).map { "\($0)" } ?? "\(bound)"
    }
}

extension [Policy] {
    /// The range of the scores in feedback; nil if no check uses scores. All score checks of a service have the same
    /// range.
    public var scoreRange: ScoreRange? {
        for policy in self {
            for check in policy.checks {
                if case .quality(let quality) = check.kind, quality.measure == .score { return quality.range ?? .unit }
            }
        }
        return nil
    }
}
