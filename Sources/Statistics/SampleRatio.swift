/// Evidence of a sample ratio mismatch: against the null hypothesis that keys are assigned to the candidate with the
/// intended share. The share may change over time.
///
/// The process takes keys when they are assigned and not requests when they end, because a slow or crashing arm
/// finishes fewer of them. A mismatch means that the comparison of the arms is not fair and blocks a promotion; it says
/// nothing about the candidate.
public struct SampleRatioProcess: Hashable, Codable, Sendable {
    /// θ, the alternatives: shifts of the candidate's log odds of being assigned a key.
    static let tilts: [Double] = [-0.8, -0.4, -0.2, -0.1, -0.05, 0.05, 0.1, 0.2, 0.4, 0.8]
    /// N_c θ − Σ_t n_t ln(1 + ρ_t(e^θ − 1)) for each θ.
    private var logWealth = [Double](repeating: 0, count: tilts.count)

    public init() {}

    /// Takes the assignments of one tick.
    /// - Parameters:
    ///   - candidate: the keys assigned to the candidate.
    ///   - assigned: n_t, the keys assigned to either arm.
    ///   - share: ρ_t, the intended share of the candidate, 0 ... 1.
    public mutating func observe(candidate: Int, of assigned: Int, share: Double) {
        guard assigned > 0 else { return }
        for (j, tilt) in Self.tilts.enumerated() {
            logWealth[j] += Double(candidate) * tilt - Double(assigned) * ln1p(share * expm1(tilt))
        }
    }

    public var logEvidence: Double { logSumExp(logWealth) - ln(Double(Self.tilts.count)) }
}
