/// A share of traffic in basis points: 0 is none, 10 000 is all.
public struct Weight: Hashable, Comparable, Codable, Sendable, CustomStringConvertible {
    /// 0 ... 10 000.
    public let basisPoints: Int

    public static let zero = Weight(clamping: 0)
    public static let full = Weight(clamping: 10_000)

    /// Creates a weight from basis points; nil outside 0 ... 10,000.
    public init?(basisPoints: Int) {
        guard (0...10_000).contains(basisPoints) else { return nil }
        self.basisPoints = basisPoints
    }

    /// The nearest weight in range.
    public init(clamping basisPoints: Int) { self.basisPoints = min(max(basisPoints, 0), 10_000) }

    public init(from decoder: any Decoder) throws {
        self.init(clamping: try decoder.singleValueContainer().decode(Int.self))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(basisPoints)
    }

    /// What is left for the other arm.
    public var complement: Weight { Weight(clamping: 10_000 - basisPoints) }

    /// 0 ... 1.
    public var fraction: Double { Double(basisPoints) / 10_000 }

    public static func < (a: Weight, b: Weight) -> Bool { a.basisPoints < b.basisPoints }

    /// `25%`, `0.5%`, `0.25%`.
    public var description: String {
        let whole = basisPoints / 100
        let rest = basisPoints % 100
        if rest == 0 { return "\(whole)%" }
        if rest % 10 == 0 { return "\(whole).\(rest / 10)%" }
        return "\(whole).\(rest < 10 ? "0" : "")\(rest)%"
    }
}
