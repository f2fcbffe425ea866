/// The test of the null hypothesis that the candidate's odds are at most ψ0 times the baseline's, stratum by stratum
/// and conditional on the margins: the requests of each arm and the hits of both together. Given the margins, the
/// candidate's hits follow Fisher's noncentral hypergeometric distribution whatever rate both arms share at the time,
/// so a changed weight, a drifting load and an outage of both arms cancel. (Hao, Turner, Grünwald: exact e-values for 2
/// × 2 tables; Turner and Grünwald 2302.11401.)
public enum OddsRatio {
    /// The log likelihood ratio of the odds ratios ψ and ψ0 given the margins,
    /// ℓ = ln { P_ψ(x | margins) / P_ψ0(x | margins) } = x ln(ψ/ψ0) − ln Z(ψ) + ln Z(ψ0),
    /// where Z(ψ) = Σ_u C(n_c, u) C(n_b, k − u) ψᵘ.
    ///
    /// The mean of e^ℓ is at most 1 for every odds ratio ≤ ψ0 if ψ > ψ0, and for every odds ratio ≥ ψ0 if ψ < ψ0.
    public static func logLikelihoodRatio(_ stratum: Stratum, _ odds: Double, against null: Double) -> Double {
        guard stratum.isInformative else { return 0 }
        let margins = Margins(stratum)
        return margins.logLikelihood(odds) - margins.logLikelihood(null)
    }

    /// The likelihood ratios P_ψ(x | margins)/P_ψ0(x | margins) with ψ = ψ0 times each of the alternatives.
    ///
    /// With h_u = C(n_c, u) C(n_b, k − u), 1/P_ψ(x) = Σ_u h_u/h_x ψᵘ⁻ˣ: each term is computed from its neighbor, for
    /// eight ψ at once, without a logarithm.
    static func eValues(_ stratum: Stratum, against null: Double, _ alternatives: [Double]) -> [Double] {
        guard stratum.isInformative else { return [Double](repeating: 1, count: alternatives.count) }
        let margins = Margins(stratum)
        let lanes = SIMD8<Double>.scalarCount
        return [Double](unsafeUninitializedCapacity: alternatives.count) { values, filled in
            // The first of the eight lanes holds the null.
            while filled < alternatives.count {
                var odds = SIMD8(repeating: null)
                let count = min(lanes - 1, alternatives.count - filled)
                for i in 0..<count { odds[i + 1] = null * alternatives[filled + i] }
                let inverse = margins.inverseLikelihood(odds)
                for i in 1...count {
                    let ratio = inverse[0] / inverse[i]
                    values[filled] =
                        ratio.isFinite
                        ? ratio : exp(margins.logLikelihood(odds[i]) - margins.logLikelihood(null))
                    filled += 1
                }
            }
        }
    }
}

/// The margins of a stratum, and the likelihood of the candidate's hits given them.
struct Margins {
    /// n_c, the requests of the candidate.
    let nc: Int
    /// n_b, the requests of the baseline.
    let nb: Int
    /// k, the hits of both arms.
    let hits: Int
    /// x, the hits of the candidate.
    let x: Int
    /// The smallest and the largest x that the margins allow.
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

    /// The log likelihood up to a constant that does not depend on ψ: ln ψˣ/Z(ψ).
    func logLikelihood(_ odds: Double) -> Double { Double(x) * ln(odds) - logNormalizer(odds) }

    /// 1/P_ψ(x) for each ψ; infinite if too large for a Double.
    func inverseLikelihood(_ odds: SIMD8<Double>) -> SIMD8<Double> {
        // h_(u+1)/h_u = a b / (c d).
        let up = sum(high - x, odds, (nc - x, hits - x), (x + 1, nb - hits + x + 1))
        let down = sum(x - low, 1 / odds, (x, nb - hits + x), (nc - x + 1, hits - x + 1))
        return 1 + up + down
    }

    /// The sum of at most `count` terms, each the one before times ψ a b / (c d), where a and b decrease and c and d
    /// increase by one. The terms have a single maximum, so the sum may stop once they are small.
    private func sum(
        _ count: Int, _ odds: SIMD8<Double>, _ falling: (Int, Int), _ rising: (Int, Int)
    ) -> SIMD8<Double> {
        var (a, b) = (Double(falling.0), Double(falling.1))
        var (c, d) = (Double(rising.0), Double(rising.1))
        var term = SIMD8<Double>(repeating: 1)
        var sum = SIMD8<Double>()
        for _ in 0..<count {
            term *= odds * (a * b / (c * d))
            sum += term
            if all(term .<= 1e-18 * sum) { break }
            a -= 1
            b -= 1
            c += 1
            d += 1
        }
        return sum
    }

    /// ln Z(ψ), summed from the largest term to both sides until a term is below 1e-14 of it, each term computed from
    /// its neighbor. A few standard deviations suffice, so the cost grows with the square root of the counts.
    func logNormalizer(_ odds: Double) -> Double {
        let mode = mode(odds)
        var sum = 1.0
        // The ratio of the terms u + 1 and u, C(n_c, u) C(n_b, k − u) ψᵘ each, is ψ a b / (c d).
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

    /// The index of the largest term: the root of (n_c − u)(k − u) ψ = u (n_b − k + u), rounded down.
    private func mode(_ odds: Double) -> Int {
        let a = odds - 1
        let b = -(odds * Double(nc + hits + 2) + Double(nb - hits))
        let c = odds * Double(nc + 1) * Double(hits + 1)
        // The solution of a u² + b u + c = 0, in the form that does not lose digits as a goes to 0; b < 0.
        let root = 2 * c / (-b + max(b * b - 4 * a * c, 0).squareRoot())
        return Int(min(max(root.isNaN ? 0 : root, Double(low)), Double(high)))
    }
}
