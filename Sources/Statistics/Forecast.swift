/// Numbers to plan a rollout by.
public enum Forecast {
    /// Requests of the candidate without a hit that prove a rate below `floor`.
    public static func errorFreeRequests(floor: Double, alpha: Double) -> Int {
        let mixture = BetaBinomialMixture(bound: floor, null: .atLeast, a: 0.5, b: 0.5 / floor)
        let threshold = -ln(alpha)
        var high = 1
        while mixture.logEvidence(hits: 0, misses: Double(high)) < threshold { high *= 2 }
        var low = high / 2
        while high - low > 1 {
            let middle = (low + high) / 2
            if mixture.logEvidence(hits: 0, misses: Double(middle)) < threshold { low = middle } else { high = middle }
        }
        return high
    }
}
