import Statistics

extension BetaBinomialMixture {
    /// - Parameters:
    ///   - bound: p0, 0 < p0 < 1.
    ///   - trials: the number of trials after which the test is to be most powerful.
    ///   - alpha: the level that the mixture is tuned for; the evidence is valid at every level.
    init(bound p0: Double, null: Null = .atMost, tightestAt trials: Double, alpha: Double) {
        precondition(p0 > 0 && p0 < 1, "a rate's bound lies between 0 and 1")
        let variance = p0 * (1 - p0)
        let spread = 2 * ln(1 / (2 * alpha))
        let rho = trials * variance / (spread + ln(1 + spread))
        let r = max(rho - variance, 1e-3 * variance)
        self.init(bound: p0, null: null, a: r / (1 - p0), b: r / p0)
    }
}
