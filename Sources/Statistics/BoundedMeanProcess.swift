/// Evidence about the mean of differences D in [−1, 1], by a bet on each: Π (1 + λ(D − m)). D is the baseline's quality
/// minus the candidate's, either of a pair (the same request scored by both arms, one of them mirrored) or of the means
/// of a block of requests of each arm. A drop in points is a difference and not an odds ratio, so a test of odds does
/// not apply.
/// (Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting, 2024; Chugg et al. 2305.17570.)
public struct BoundedMeanProcess: Hashable, Codable, Sendable {
    public enum Null: String, Codable, Sendable {
        /// E[D | past] ≤ m: the quality fell by at most the margin. Evidence against it supports a revert.
        case atMost
        /// E[D | past] ≥ m: the quality fell by at least the margin. Evidence against it supports a promotion.
        case atLeast
    }

    /// m, the margin of the mean difference, 0 ≤ m < 1.
    public let margin: Double
    public let null: Null
    private var bank: Bank

    /// The bets λ as shares of the largest one that cannot lose everything, 1/(1 + m) or 1/(1 − m).
    static let shares: [Double] = [1.0 / 64, 1.0 / 32, 1.0 / 16, 1.0 / 8, 1.0 / 4, 1.0 / 2, 3.0 / 4, 15.0 / 16]

    public init(margin: Double, null: Null = .atMost, restarts: RestartWeights = .never, cap: Double? = nil) {
        precondition(margin >= 0 && margin < 1, "a margin lies in 0 ..< 1")
        self.margin = margin
        self.null = null
        bank = Bank(BankSettings(alternatives: Self.shares.count, restarts: restarts, cap: cap))
    }

    public var logEvidence: Double { bank.logEvidence }
    public var strata: Int { bank.strata }

    /// Takes one difference as a stratum of its own.
    public mutating func observe(_ difference: Double, discount: Double = 1) {
        observe(stratum: CollectionOfOne(difference), discount: discount)
    }

    /// Takes the differences of one stratum. An empty stratum changes nothing.
    /// - Precondition: each difference is in −1 ... 1.
    public mutating func observe(stratum differences: some Collection<Double>, discount: Double = 1) {
        guard !differences.isEmpty else { return }
        let scale = null == .atMost ? 1 / (1 + margin) : -1 / (1 - margin)
        bank.observe(discount: discount) { [margin] j in
            var product = 1.0
            for d in differences {
                precondition(abs(d) <= 1, "a difference of qualities of \(d)")
                product *= 1 + Self.shares[j] * scale * (d - margin)
            }
            return product
        }
    }
}
