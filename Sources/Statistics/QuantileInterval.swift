/// A confidence interval for the ratio of the candidate's quantile to the baseline's, which may be read at any time.
///
/// For each ratio r of a grid, the candidate's requests beyond r·x are compared with the baseline's beyond x, its
/// quantile in earlier data (`OddsRatio`, against odds of 1). A ratio is too low once the candidate is proven to be
/// beyond r·x more often than the baseline beyond x, and too high once it is proven to be so less often, each with half
/// of α. Fewer of the candidate's requests are beyond r·x for a higher r, so what proves a ratio too low proves all
/// lower ones too low: the interval holds for all ratios at once.
public struct QuantileInterval: Hashable, Codable, Sendable {
    /// The ratios, ascending, .6 to 4, and closer to each other around 1.
    public static let ratios: [Double] = [
        -0.5, -0.4, -0.3, -0.25, -0.2, -0.15, -0.1, -0.05, 0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1,
        1.2, 1.4,
    ].map(exp)
    /// The odds ratios that are bet on, and their inverses.
    private static let alternatives = [1.3, 2, 5]
    private static let inverses = alternatives.map { 1 / $0 }
    /// The length of a stratum in seconds.
    private static let seconds = 30
    /// The probability that the true ratio is ever excluded.
    private static let alpha = 0.05
    /// ln E from which a ratio is excluded.
    private static let needed = -ln(alpha / 2)

    /// The open stratum at each ratio: for bets that the ratio is too low with the candidate's requests that are surely
    /// beyond the point, and for bets that it is too high with those that may be.
    private var higher: [Stratum]
    private var lower: [Stratum]
    private var age = 0
    private var discount = 1.0
    /// The log wealth of each bet at each ratio, in units of `OddsInterval.scale`; the index is that of the ratio times
    /// the number of bets, plus that of the bet.
    private var tooLow: [Int]
    private var tooHigh: [Int]
    /// True for each ratio whose evidence is a million times what excludes it. It is not bet on any more, which keeps
    /// the bets valid and saves time, since few other ratios remain after some strata.
    private var isSettled = [Bool](repeating: false, count: ratios.count)

    public init() {
        higher = [Stratum](repeating: Stratum(), count: Self.ratios.count)
        lower = higher
        tooLow = [Int](repeating: 0, count: Self.ratios.count * Self.alternatives.count)
        tooHigh = tooLow
    }

    /// The largest ratio that is proven too low, and the smallest that is proven too high; nil for none.
    public private(set) var lowest: Double?
    public private(set) var highest: Double?

    /// True between two strata, when the points at which requests are counted may change.
    public var isBetweenStrata: Bool { age == 0 }

    /// Takes one tick.
    /// - Parameters:
    ///   - tick: returns the requests beyond the points of a ratio, which is given by its index in `ratios`: once with
    ///     the candidate's requests that are surely beyond its point, and once with those that may be.
    ///   - discount: η, the discount for clustered data, 0 < η ≤ 1.
    public mutating func observe(
        seconds: Int = 1, discount: Double = 1, _ tick: (_ ratio: Int) -> (surely: Stratum, maybe: Stratum)
    ) {
        if age == 0 { self.discount = discount }
        for i in higher.indices where !isSettled[i] {
            let (surely, maybe) = tick(i)
            higher[i] += surely
            lower[i] += maybe
        }
        age += seconds
        if age >= Self.seconds { close() }
    }

    /// Ends the open stratum because the split changed.
    public mutating func weightChanged() { close() }

    private mutating func close() {
        for i in higher.indices where !isSettled[i] {
            bet(higher[i], Self.alternatives, &tooLow, i)
            bet(lower[i], Self.inverses, &tooHigh, i)
            let most = max(Self.evidence(tooLow, i), Self.evidence(tooHigh, i))
            isSettled[i] = most >= Self.needed + ln(1e6)
            higher[i] = Stratum()
            lower[i] = Stratum()
        }
        age = 0
        lowest = Self.ratios.indices.last { Self.evidence(tooLow, $0) >= Self.needed }.map { Self.ratios[$0] }
        highest = Self.ratios.indices.first { Self.evidence(tooHigh, $0) >= Self.needed }.map { Self.ratios[$0] }
    }

    private func bet(_ stratum: Stratum, _ odds: [Double], _ wealth: inout [Int], _ ratio: Int) {
        guard stratum.isInformative else { return }
        for (j, value) in OddsRatio.eValues(stratum, against: 1, odds).enumerated() {
            wealth[ratio * odds.count + j] += OddsInterval.steps(discount * ln(value))
        }
    }

    private static func evidence(_ wealth: [Int], _ ratio: Int) -> Double {
        let count = alternatives.count
        return logSumExp(wealth[ratio * count..<(ratio + 1) * count].map { Double($0) * OddsInterval.scale })
            - ln(Double(count))
    }
}
