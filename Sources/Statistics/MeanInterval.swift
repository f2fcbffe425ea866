/// A confidence interval for the mean of bounded values that may be read at any time: the predictable plug-in empirical
/// Bernstein interval (Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting, 2023, theorem
/// 2).
///
/// The interval is the following, where X is a value scaled to 0 ... 1, m is the running mean and λ the bet, both
/// computed from earlier values only, v = 4(X − m)², and ψ(λ) = (−ln(1 − λ) − λ)/4:
///
///     Σ λX/Σ λ ± (ln(2/α) + Σ v ψ(λ))/Σ λ
public struct MeanInterval: Hashable, Codable, Sendable {
    /// The probability that the true mean is ever outside the interval.
    public static let alpha = 0.05
    /// The largest bet λ.
    private static let cap = 0.5

    /// Σ λ, Σ λX and Σ v ψ(λ).
    private var bets = 0.0
    private var weighted = 0.0
    private var variation = 0.0
    /// The number of values, their sum, and the sum of their squared distances from the running mean, from which the
    /// next bet is computed.
    private var count = 0.0
    private var sum = 0.0
    private var squares = 0.0

    public init() {}

    /// Takes a value.
    /// - Parameter value: −1 ... 1.
    public mutating func observe(_ value: Double) {
        let x = (min(max(value, -1), 1) + 1) / 2
        let mean = (0.5 + sum) / (count + 1)
        let variance = (0.25 + squares) / (count + 1)
        let n = count + 1
        let bet = min((2 * ln(2 / Self.alpha) / (variance * n * ln(1 + n))).squareRoot(), Self.cap)
        bets += bet
        weighted += bet * x
        variation += 4 * (x - mean) * (x - mean) * (-ln(1 - bet) - bet) / 4
        count = n
        sum += x
        let newMean = (0.5 + sum) / (count + 1)
        squares += (x - newMean) * (x - newMean)
    }

    /// The interval, −1 ... 1; nil before the first value.
    public var interval: ClosedRange<Double>? {
        guard bets > 0 else { return nil }
        let center = weighted / bets
        let radius = (ln(2 / Self.alpha) + variation) / bets
        return max(2 * (center - radius) - 1, -1)...min(2 * (center + radius) - 1, 1)
    }
}
