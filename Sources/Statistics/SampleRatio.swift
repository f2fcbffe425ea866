/// Evidence against «keys are assigned to the candidate with the intended share», while the share may change.
///
/// Feed it keys when they are assigned, not requests when they end: a slow or crashing arm finishes fewer. A mismatch
/// says that the comparison is not fair and blocks a promotion; it says nothing of the candidate.
public struct SampleRatioProcess: Hashable, Codable, Sendable {
    static let tilts: [Double] = [-0.8, -0.4, -0.2, -0.1, -0.05, 0.05, 0.1, 0.2, 0.4, 0.8]
    /// N_c θ − Σ_t n_t ln(1 + ρ_t(e^θ − 1)) by tilt.
    private var logWealth = [Double](repeating: 0, count: tilts.count)

    public init() {}

    /// Takes what was assigned in one tick.
    /// - Parameter share: ρ_t, the intended probability of the candidate, 0 ... 1.
    public mutating func observe(candidate: Int, of assigned: Int, share: Double) {
        guard assigned > 0 else { return }
        for (j, tilt) in Self.tilts.enumerated() {
            logWealth[j] += Double(candidate) * tilt - Double(assigned) * ln1p(share * expm1(tilt))
        }
    }

    public var logEvidence: Double { logSumExp(logWealth) - ln(Double(Self.tilts.count)) }
}

/// The same against shares that stay as they are, over any number of arms, by a Dirichlet-multinomial mixture (Lindon
/// and Malek, Anytime-valid inference for multinomial count data, 2022).
public struct FixedSampleRatioProcess: Hashable, Codable, Sendable {
    /// Intended shares; they sum to 1.
    public let shares: [Double]
    /// κ, how closely the mixture sits on the intended shares.
    public let concentration: Double
    public private(set) var counts: [Int]

    public init(shares: [Double], concentration: Double = 100) {
        precondition(shares.allSatisfy { $0 > 0 } && abs(shares.reduce(0, +) - 1) < 1e-9, "shares sum to 1")
        self.shares = shares
        self.concentration = concentration
        counts = [Int](repeating: 0, count: shares.count)
    }

    public mutating func observe(_ assigned: [Int]) {
        precondition(assigned.count == counts.count, "a count for each arm")
        for i in counts.indices { counts[i] += assigned[i] }
    }

    /// lnΓ(κ) − lnΓ(κ + n) + Σ [lnΓ(κρ_i + n_i) − lnΓ(κρ_i) − n_i ln ρ_i].
    public var logEvidence: Double {
        let n = Double(counts.reduce(0, +))
        var sum = logGamma(concentration) - logGamma(concentration + n)
        for (share, count) in zip(shares, counts) {
            let prior = concentration * share
            sum += logGamma(prior + Double(count)) - logGamma(prior) - Double(count) * ln(share)
        }
        return sum
    }
}
