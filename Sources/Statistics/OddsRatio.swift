/// The test of «the candidate's odds are at most ψ0 times the baseline's», stratum by stratum, given the margins:
/// requests of each arm and hits of both together. Given those, the candidate's hits follow Fisher's noncentral
/// hypergeometric law, whatever the rate that both arms share at the time: a changed weight, a drifting load and an
/// outage of both cancel. (Hao, Turner, Grünwald: exact e-values for 2 × 2 tables; Turner and Grünwald 2302.11401.)
public enum OddsRatio {
    /// ln { P_ψ(x | margins) / P_ψ0(x | margins) } = x ln(ψ/ψ0) − ln Z(ψ) + ln Z(ψ0),
    /// Z(ψ) = Σ_u C(n_c, u) C(n_b, k − u) ψᵘ.
    ///
    /// At most 1 on average, as e^ℓ, for every odds ratio ≤ ψ0 if ψ > ψ0, and for every one ≥ ψ0 if ψ < ψ0.
    public static func logLikelihoodRatio(_ stratum: Stratum, _ odds: Double, against null: Double) -> Double {
        stratum.isInformative ? OddsBet(stratum, against: null).logEValue(odds) : 0
    }
}

/// The bets on one stratum against an odds ratio of ψ0, given the margins: P_ψ(x)/P_ψ0(x) for as many ψ as are asked for.
///
/// With h_u = C(n_c, u) C(n_b, k − u), 1/P_ψ(x) = Σ_u h_u/h_x ψᵘ⁻ˣ. Where the hits can fall in few ways, as nearly always,
/// the h_u/h_x are reckoned once, and each ψ costs a polynomial: no logarithm, no division.
struct OddsBet {
    /// Hits that can fall in more ways than this are summed for each ψ by itself, as powers of ψ might overflow.
    static let widest = 64

    private let margins: Margins
    private let null: Double
    /// h_u/h_x for u above x and below it, outermost last; empty where there are too many.
    private var above: [Double] = []
    private var below: [Double] = []
    private var isNarrow = false
    /// 1/P_ψ0(x), or −ln of it.
    private var ofNull = 0.0

    init(_ stratum: Stratum, against null: Double) {
        let m = Margins(stratum)
        margins = m
        self.null = null
        if m.high - m.low <= Self.widest {
            above = Self.products(m.high - m.x, (m.nc - m.x, m.hits - m.x), (m.x + 1, m.nb - m.hits + m.x + 1))
            below = Self.products(m.x - m.low, (m.x, m.nb - m.hits + m.x), (m.nc - m.x + 1, m.hits - m.x + 1))
            ofNull = inverse(null)
            isNarrow = ofNull < 1e150
        }
        if !isNarrow { ofNull = m.logLikelihood(null) }
    }

    /// Π ab/cd, a and b falling and c and d rising by one at each factor.
    private static func products(_ count: Int, _ falling: (Int, Int), _ rising: (Int, Int)) -> [Double] {
        guard count > 0 else { return [] }
        return [Double](unsafeUninitializedCapacity: count) { buffer, filled in
            var (a, b) = (Double(falling.0), Double(falling.1))
            var (c, d) = (Double(rising.0), Double(rising.1))
            var product = 1.0
            for i in 0..<count {
                product *= a * b / (c * d)
                buffer[i] = product
                a -= 1
                b -= 1
                c += 1
                d += 1
            }
            filled = count
        }
    }

    private func inverse(_ odds: Double) -> Double {
        var (up, down) = (0.0, 0.0)
        for h in above.reversed() { up = (up + h) * odds }
        let reciprocal = 1 / odds
        for h in below.reversed() { down = (down + h) * reciprocal }
        return 1 + up + down
    }

    func eValue(_ odds: Double) -> Double {
        isNarrow ? ofNull / inverse(odds) : exp(margins.logLikelihood(odds) - ofNull)
    }

    func logEValue(_ odds: Double) -> Double {
        isNarrow ? ln(ofNull / inverse(odds)) : margins.logLikelihood(odds) - ofNull
    }
}

/// A stratum with its hits pooled; the normaliser of the noncentral hypergeometric law by odds.
struct Margins {
    let nc: Int
    let nb: Int
    let hits: Int
    let x: Int
    let low: Int
    let high: Int

    init(_ stratum: Stratum) {
        nc = stratum.candidate.trials
        nb = stratum.baseline.trials
        x = stratum.candidate.hits
        hits = x + stratum.baseline.hits
        low = max(0, hits - nb)
        high = min(hits, nc)
    }

    /// ln ψˣ/Z(ψ); what does not hang on ψ is left out.
    func logLikelihood(_ odds: Double) -> Double { Double(x) * ln(odds) - logNormalizer(odds) }

    /// ln Z(ψ): sums from the largest term to both sides until a term is below 1e-14 of it, each term from its
    /// neighbour. A few standard deviations are enough, so the cost grows with the root of the counts.
    func logNormalizer(_ odds: Double) -> Double {
        let mode = mode(odds)
        var sum = 1.0
        // As Doubles: C(n_c, u) C(n_b, k − u) ψᵘ from u to u + 1 is ψ a b / (c d).
        var (a, b) = (Double(nc - mode), Double(hits - mode))
        var (c, d) = (Double(mode + 1), Double(nb - hits + mode + 1))
        var term = 1.0
        for _ in mode..<high {
            term *= odds * (a * b) / (c * d)
            sum += term
            if term < 1e-14 { break }
            a -= 1
            b -= 1
            c += 1
            d += 1
        }
        (a, b) = (Double(nc - mode + 1), Double(hits - mode + 1))
        (c, d) = (Double(mode), Double(nb - hits + mode))
        let inverse = 1 / odds
        term = 1
        for _ in low..<mode {
            term *= inverse * (c * d) / (a * b)
            sum += term
            if term < 1e-14 { break }
            a += 1
            b += 1
            c -= 1
            d -= 1
        }
        return logChoose(nc, mode) + logChoose(nb, hits - mode) + Double(mode) * ln(odds) + ln(sum)
    }

    /// Where the term is largest: the root of (n_c − u)(k − u) ψ = u (n_b − k + u), rounded down.
    private func mode(_ odds: Double) -> Int {
        let a = odds - 1
        let b = -(odds * Double(nc + hits + 2) + Double(nb - hits))
        let c = odds * Double(nc + 1) * Double(hits + 1)
        // a u² + b u + c = 0, in the form that keeps its digits as a goes to 0; b < 0.
        let root = 2 * c / (-b + max(b * b - 4 * a * c, 0).squareRoot())
        return min(max(Int(root), low), high)
    }
}
