/// A confidence interval for the odds ratio of two arms that may be read at any time, and as often as one likes.
///
/// The likelihood is that of the candidate's hits given the margins of each stratum (`OddsRatio`), so drifting rates
/// that both arms share cancel. An odds ratio ψ is excluded once the mean likelihood of all ratios on a grid is 1/α
/// times as large as its own:
///
///     Σ_j L(ψ_j)/J ≥ L(ψ)/α
///
/// If ψ is the true ratio, the left side divided by L(ψ) is a supermartingale that starts at 1, so by Ville's
/// inequality the true ratio is ever excluded with a probability of at most α (the method of mixtures; Robbins 1970).
/// The logarithm of L is concave in ln ψ, so the ratios that are not excluded form an interval. It is shown with the
/// nearest excluded points of the grid as its ends.
public struct OddsInterval: Hashable, Codable, Sendable {
    /// ln ψ of the grid, ascending: dense around 0, up to a factor of 3,000.
    static let grid: [Double] = {
        var positive: [Double] = []
        for (step, end) in [(0.05, 0.5), (0.1, 1.5), (0.25, 4), (0.5, 8)] {
            while (positive.last ?? 0) < end - step / 2 { positive.append((positive.last ?? 0) + step) }
        }
        return positive.reversed().map { -$0 } + [0] + positive
    }()
    private static let odds = grid.map(exp)
    /// The length of the longest strata in seconds. At first each stratum is as long as all before it together, so that
    /// an interval is shown soon.
    static let seconds = 30

    private var open = Stratum()
    private var age = 0
    /// The length of all whole strata together, in seconds, at most `seconds`.
    private var elapsed = 0
    /// The discount of the open stratum.
    private var discount = 1.0
    /// ln L of the points of the grid up to a constant, in units of `scale`; empty before the first informative
    /// stratum. Whole numbers take a third of the space in JSON.
    private var likelihood: [Int] = []
    static let scale = 1.0 / 1_024
    /// The largest change of a logarithm by one stratum.
    private static let largestChange = 600.0

    /// A change of a logarithm in units of `scale`, limited to `largestChange` in both directions. The limit never adds
    /// more than e^−600 to what the stratum multiplies evidence by.
    static func steps(_ logarithm: Double) -> Int {
        Int((min(max(logarithm, -largestChange), largestChange) / scale).rounded())
    }

    /// An arm's hits and requests in whole strata, each stratum multiplied by its discount, and the smallest and the
    /// largest rate that they do not exclude.
    private struct OwnRate: Hashable, Codable, Sendable {
        private(set) var hits = 0.0
        private(set) var trials = 0.0
        private(set) var low = 0.0
        private(set) var high = 1.0

        mutating func add(_ tally: Tally, discount: Double, alpha: Double) {
            guard tally.trials > 0 else { return }
            hits += discount * Double(tally.hits)
            trials += discount * Double(tally.trials)
            low = 1 - OddsInterval.greatestRate(hits: max(trials - hits, 0), trials: trials, alpha: alpha)
            high = OddsInterval.greatestRate(hits: hits, trials: trials, alpha: alpha)
        }
    }
    private var baseline = OwnRate()
    private var candidate = OwnRate()
    /// The ends of the interval of odds ratios after the last whole stratum: 0 for no lower end, nil for no upper end.
    private var lowest = 0.0
    private var highest: Double?

    public init() {}

    /// Takes one tick.
    /// - Parameter discount: η, the discount for clustered data, 0 < η ≤ 1.
    public mutating func observe(_ tick: Stratum, seconds: Int = 1, discount: Double = 1) {
        if age == 0 { self.discount = discount }
        open += tick
        age += seconds
        if age >= min(max(elapsed, 1), Self.seconds) { close() }
    }

    /// Ends the open stratum because the split changed.
    public mutating func weightChanged() { close() }

    private mutating func close() {
        // The odds ratio and the two arms' own rates have a third of α each.
        let alpha = MeanInterval.alpha / 3
        baseline.add(open.baseline, discount: discount, alpha: alpha)
        candidate.add(open.candidate, discount: discount, alpha: alpha)
        if open.isInformative {
            if likelihood.isEmpty { likelihood = [Int](repeating: 0, count: Self.grid.count) }
            let ratios = OddsRatio.eValues(open, against: 1, Self.odds)
            for j in likelihood.indices {
                likelihood[j] += Self.steps(discount * ln(ratios[j]))
            }
            let odds = odds(alpha: alpha)
            (lowest, highest) = (odds.low, odds.high.isFinite ? odds.high : nil)
        }
        elapsed = min(elapsed + age, Self.seconds)
        open = Stratum()
        age = 0
    }

    /// The ends of the interval of odds ratios that are not excluded: 0 for no lower end, infinite for no upper end.
    /// - Parameter alpha: the probability that the true one is ever excluded, 0 < α < 1.
    func odds(alpha: Double) -> (low: Double, high: Double) {
        guard let best = likelihood.indices.max(by: { likelihood[$0] < likelihood[$1] }) else { return (0, .infinity) }
        let mean = logSumExp(likelihood.map { Double($0) * Self.scale }) - ln(Double(likelihood.count))
        let least = (mean + ln(alpha)) / Self.scale
        let low = likelihood[..<best].lastIndex { Double($0) <= least }
        let high = likelihood[best...].dropFirst().firstIndex { Double($0) <= least }
        return (low.map { Self.odds[$0] } ?? 0, high.map { Self.odds[$0] } ?? .infinity)
    }

    /// The interval of the candidate's rate less the baseline's: the differences that neither the odds ratios nor the
    /// arms' own rates exclude. Nil before a stratum with requests of both arms has ended.
    public var difference: ClosedRange<Double>? {
        guard baseline.trials > 0, candidate.trials > 0 else { return nil }
        /// The smallest and the largest difference that an odds ratio ψ allows over the baseline's possible rates. The
        /// difference is 0 at rates of 0 and 1 and extreme at 1/(1 + √ψ).
        func shifts(_ odds: Double) -> (least: Double, greatest: Double) {
            let extreme = min(max(1 / (1 + odds.squareRoot()), baseline.low), baseline.high)
            let all = [baseline.low, extreme, baseline.high].map { rate in
                rate < 1 ? odds * rate / (1 - rate + odds * rate) - rate : 0
            }
            return (all.min() ?? -1, all.max() ?? 1)
        }
        let low = max(lowest > 0 ? shifts(lowest).least : -baseline.high, candidate.low - baseline.high)
        let high = min(highest.map { shifts($0).greatest } ?? 1 - baseline.low, candidate.high - baseline.low)
        return min(low, high)...high
    }

    /// The largest rate that the hits do not exclude, by the same method with a Beta(½, ½) mixture over the rates.
    static func greatestRate(hits: Double, trials: Double, alpha: Double) -> Double {
        let misses = max(trials - hits, 0)
        let mixture = logBeta(hits + 0.5, misses + 0.5) - logBeta(0.5, 0.5)
        func isExcluded(_ p: Double) -> Bool { mixture - hits * ln(p) - misses * ln(1 - p) >= -ln(alpha) }
        var (low, high) = (min(hits / max(trials, 1), 1 - 1e-9), 1.0)
        for _ in 0..<40 {
            let middle = (low + high) / 2
            if middle > 0, isExcluded(middle) { high = middle } else { low = middle }
        }
        return high
    }
}
