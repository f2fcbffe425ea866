/// The parameters of a `Bank`, fixed before the first stratum.
public struct BankSettings: Hashable, Codable, Sendable {
    /// J, the number of alternatives; each gets the same share of the wealth.
    public var alternatives: Int
    public var restarts: RestartWeights
    /// C, the largest factor by which one stratum may multiply the wealth, so that no single second decides; nil for no
    /// cap. If E is an e-value, so is min(E, C).
    public var cap: Double?

    public init(alternatives: Int, restarts: RestartWeights = .standard, cap: Double? = 10) {
        precondition(alternatives > 0, "a bank needs an alternative to bet on")
        self.alternatives = alternatives
        self.restarts = restarts
        self.cap = cap
    }
}

/// The wealth of a gambler who bets against a null hypothesis on several alternatives at once, and on every stratum as
/// the one at which the regression may have begun.
///
///     R_j ← (R_j + w_s) · min(e_jᶯ, C)        E_s = Σ_j R_j/J + 1 − Σ_{i ≤ s} w_i
///
/// Each e_j is an e-value: given the past, its mean is at most 1 while the null holds. The same is then true of e_jᶯ
/// for η ≤ 1 (Jensen's inequality), and of its minimum with C. R_j is the sum, over the strata i up to now, of the
/// wealth of a gambler who started at i with w_i; wealth that is not yet at stake does not change. So E is a
/// supermartingale that starts at 1, and by Ville's inequality P(E ever reaches 1/α) ≤ α however often it is evaluated.
/// The restarts follow Shin, Ramdas and Rinaldo, E-detectors (2022).
///
/// η < 1 for dependent data is a heuristic that was calibrated by simulation, not a theorem.
public struct Bank: Hashable, Codable, Sendable {
    public let settings: BankSettings
    /// The number of strata so far.
    public private(set) var strata = 0
    /// R_j/2^`exponent` for each alternative, so that large values do not overflow and no logarithm is needed at each
    /// step; empty before the first stratum.
    private var wealth: [Double] = []
    private var exponent = 0
    /// Σ w_i so far.
    private var spent = 0.0
    /// ln E, the evidence against the null; 0 before the first stratum.
    public private(set) var logEvidence = 0.0

    /// The change of `exponent` when the wealth leaves 2^±512.
    private static let rescaling = 512
    /// The cap that applies without a configured one. It is small enough to keep the wealth finite.
    private static let implicitCap = 1e140
    /// The least wealth of an alternative; 0 would have no logarithm.
    private static let leastWealth = 1e-300

    public init(_ settings: BankSettings) { self.settings = settings }

    /// Takes one stratum.
    /// - Parameters:
    ///   - discount: η, the discount for clustered data, 0 < η ≤ 1, fixed before the stratum.
    ///   - eValue: e_j of alternative j; at least 0 and never NaN.
    public mutating func observe(discount: Double = 1, _ eValue: (_ alternative: Int) -> Double) {
        strata += 1
        let weight = settings.restarts.weight(strata)
        let fresh = exponent == 0 ? weight : scaled(weight, by: -exponent)
        let cap = settings.cap ?? Self.implicitCap
        if wealth.isEmpty { wealth = [Double](repeating: 0, count: settings.alternatives) }
        var sum = 0.0
        for j in wealth.indices {
            let value = eValue(j)
            let bet = discount == 1 ? value : exp(discount * ln(value))
            let now = max((wealth[j] + fresh) * min(bet, cap), Self.leastWealth)
            wealth[j] = now
            sum += now
        }
        spent += weight
        // A remainder of a few 1e-17 is a rounding error.
        let rest = 1 - spent > 1e-15 ? scaled(1 - spent, by: -exponent) : 0
        logEvidence = ln(sum / Double(wealth.count) + rest) + Double(exponent) * ln(2)
        if sum > 0x1p512 {
            rescale(by: Self.rescaling)
        } else if exponent > 0 && sum < 0x1p-512 {
            rescale(by: -Self.rescaling)
        }
    }

    private mutating func rescale(by places: Int) {
        exponent += places
        for j in wealth.indices { wealth[j] = max(scaled(wealth[j], by: -places), Self.leastWealth) }
    }

    private func scaled(_ x: Double, by places: Int) -> Double {
        places == 0 ? x : Double(sign: .plus, exponent: places, significand: x)
    }

    /// The index of the alternative with the most wealth; nil before the first stratum.
    public var strongestAlternative: Int? { wealth.indices.max { wealth[$0] < wealth[$1] } }

    /// The expected number of further strata until the evidence reaches a threshold, without further restarts; nil if
    /// it never does.
    /// - Parameter growth: the expected change of ln R_j per stratum.
    public func strataNeeded(logThreshold: Double, _ growth: (_ alternative: Int) -> Double) -> Double? {
        if logEvidence >= logThreshold { return 0 }
        let rates = (0..<settings.alternatives).map(growth)
        let now =
            wealth.isEmpty
            ? rates.map { _ in ln(max(settings.restarts.weight(1), Self.leastWealth)) }
            : wealth.map { ln($0) + Double(exponent) * ln(2) }
        let share = ln(Double(settings.alternatives))
        func evidence(_ n: Double) -> Double { logSumExp(zip(now, rates).map { $0 + n * $1 }) - share }
        return leastCount(from: Double(max(strata, 1)), reaching: logThreshold, evidence)
    }
}

/// The smallest count at which an increasing function reaches a target, to within 1 %; nil if it is beyond 1e12.
/// - Parameter first: the first count to try, > 0.
func leastCount(from first: Double, reaching target: Double, _ value: (Double) -> Double) -> Double? {
    var (low, high) = (0.0, first)
    while value(high) < target {
        low = high
        high *= 2
        if high > 1e12 { return nil }
    }
    // Evidence grows about linearly: try where the line between the two ends meets the target, and a little beyond.
    var (below, above) = (value(low), value(high))
    while high - low > 0.01 * high {
        let share = min(max((target - below) / (above - below), 0.02), 0.98)
        let guess = low + (high - low) * share
        let middle = share < 0.5 ? guess + 0.004 * high : guess - 0.004 * high
        let there = value(middle)
        if there < target { (low, below) = (middle, there) } else { (high, above) = (middle, there) }
    }
    return high
}
