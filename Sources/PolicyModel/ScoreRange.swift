/// The values that a score may have. Evidence about a mean needs bounds on what is averaged, so a score outside them is
/// refused where it is posted: cutting it to the nearer bound would hide the very difference that a check looks for.
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

    /// Returns where a score lies in the range, 0 ... 1; nil outside it.
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
    /// What the scores of feedback may be; nil where no check looks at them. All score checks of a service have the
    /// same range.
    public var scoreRange: ScoreRange? {
        for policy in self {
            for check in policy.checks {
                if case .quality(let quality) = check.kind, quality.measure == .score { return quality.range ?? .unit }
            }
        }
        return nil
    }
}
