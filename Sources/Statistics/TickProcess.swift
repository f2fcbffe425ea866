/// Evidence against the null hypothesis that the candidate's rate is at most `factor` times the baseline's, or at most
/// `floor`, for clustered data: each tick is one bet on a bounded number, so dependence between the requests of a tick
/// does not matter.
///
/// With X = k_c/n_c, Y = k_b/n_b, u = `clip` and f = `floor`:
///
///     d = min(X, u) − max(ψ0 · min(Y, u), f),     E = mean over λ of Π (1 + λ d),     0 < λ < 1/max(ψ0 u, f)
///
/// **Why the mean of each factor is at most 1.** Let the requests of one arm in a tick be exchangeable: given some
/// environment, they fail independently with a rate Q_c or Q_b (de Finetti), the environments of retry storms and
/// bursts included. Let g_n(q) = E min(Bin(n, q)/n, u). It is the Bernstein polynomial of a concave function, so it is
/// concave in q, with g_n(0) = 0, and grows with n. The null is that the candidate's environments are at most ψ0 times
/// as bad, or at most ψ0 times as frequent, or a combination: E h(Q_c) ≤ ψ0 E h(Q_b) for every concave increasing h ≥ 0
/// with h(0) = 0. (Worse: Q_c = ψ0 Q_b, and h(ψ0 q) ≤ ψ0 h(q) by concavity. More frequent: Q_c has Q_b's distribution
/// with ψ0 times the probability of not being 0.) Then, if n_c ≤ n_b,
///
///     E min(X, u) = E g_{n_c}(Q_c) ≤ ψ0 E g_{n_c}(Q_b) ≤ ψ0 E g_{n_b}(Q_b) = ψ0 E min(Y, u).
///
/// If n_c > n_b the last step would fail, so the candidate is thinned to n_b requests drawn at random. Nothing is
/// actually drawn: X's term is replaced by its mean over all draws, which has the same expectation and less variance.
/// The maximum with f only subtracts, so the mean of d is at most 0 under a rate of at most f as well:
/// E min(X, u) ≤ E X ≤ f. Clipping after the factor, min(ψ0 Y, u), would be wrong for ψ0 > 1: with one request per arm
/// and a rate q, E min(X, u) = u ψ0 q, but E min(ψ0 Y, u) = u q.
public struct TickProcess: Hashable, Codable, Sendable {
    /// ψ0 ≥ 1, the largest acceptable ratio of the candidate's rate to the baseline's.
    public let factor: Double
    /// u: a tick's rate is counted as at most this.
    public let clip: Double
    /// f: a rate at or below this is acceptable whatever the baseline's rate; 0 for no floor.
    public let floor: Double
    private var bank: Bank

    /// The bets λ as shares of the largest one that cannot lose everything, 1/max(ψ0 u, f).
    static let shares: [Double] = [0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 0.95]

    public init(factor: Double, floor: Double = 0, clip: Double = 0.2, restarts: RestartWeights = .standard) {
        precondition(factor >= 1 && clip > 0 && clip <= 1, "a factor of at least 1, and a clip in 0 ... 1")
        self.factor = factor
        self.clip = clip
        self.floor = floor
        bank = Bank(BankSettings(alternatives: Self.shares.count, restarts: restarts, cap: nil))
    }

    public var logEvidence: Double { bank.logEvidence }
    public var strata: Int { bank.strata }

    /// Takes one tick. A tick in which an arm has no requests changes nothing.
    public mutating func observe(_ tick: Stratum) {
        guard tick.candidate.trials > 0 && tick.baseline.trials > 0 else { return }
        let d = Self.difference(tick, factor: factor, floor: floor, clip: clip)
        let scale = max(factor * clip, floor)
        bank.observe { 1 + Self.shares[$0] / scale * d }
    }

    /// d of one tick.
    static func difference(_ tick: Stratum, factor: Double, floor: Double, clip: Double) -> Double {
        let thinned = clippedMean(tick.candidate, thinnedTo: tick.baseline.trials, clip: clip)
        return thinned - max(factor * min(Double(tick.baseline.hits) / Double(tick.baseline.trials), clip), floor)
    }

    /// E min(K/m, u), where K is the number of hits among m trials drawn without replacement.
    static func clippedMean(_ tally: Tally, thinnedTo m: Int, clip: Double) -> Double {
        let (k, n) = (tally.hits, tally.trials)
        guard n > m else { return min(Double(k) / Double(n), clip) }
        // Computed as u − Σ (u − i/m)⁺ P(K = i), which needs only the few terms below the clip.
        var shortfall = 0.0
        let logAll = logChoose(n, m)
        for i in max(0, m - (n - k))...min(k, m) {
            let gap = clip - Double(i) / Double(m)
            if gap <= 0 { break }
            shortfall += gap * exp(logChoose(k, i) + logChoose(n - k, m - i) - logAll)
        }
        return clip - shortfall
    }
}
