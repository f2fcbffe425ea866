/// Evidence against the null hypothesis that the candidate's latency is nowhere longer than the baseline's allows, from
/// the order of all requests of a stratum.
///
/// A request's place is its latency, for the baseline multiplied by the allowed increase. Going from the slowest place
/// to the fastest, the next request is the candidate's with probability w n_c/(w n_c + n_b) if the bet is right, n_c
/// and n_b being the requests of the arms that are left and w the weight of the place, and with n_c/(n_c + n_b) if the
/// arms are alike. The product of these ratios is the bet's value E. The weights are at least 1 and do not fall toward
/// slower places.
///
/// **Why the mean of E is at most 1.** For arms that are alike, every order of the arms over the places is equally
/// likely, and E is a likelihood ratio. Let the candidate be faster: there are places Y of its requests and Y′ ≥ Y that
/// are distributed as the baseline's, independently of those. It remains to see that E does not fall if a request of
/// the candidate becomes slower. If it only gets to a place of more weight, its own factor w(n_c + n_b)/(w n_c + n_b)
/// grows. If it changes places with the next slower request, of the baseline, the product of their two factors is
/// multiplied by
///
///     (w′/w) (w n_c + n_b − 1)/(w n_c + n_b − w)
///
/// with w′ ≥ w ≥ 1 the weights of the slower and the faster place. This factor is at least 1, so E(Y) ≤ E(Y′), whose
/// mean is 1. The baseline's requests count as slower than the candidate's in the same place, which gives the smallest
/// E of all orders among them. The same holds for the powers of E that discount clustered data (`Bank`).
public struct LatencyOrderProcess: Hashable, Codable, Sendable {
    /// The weights of each bet below the baseline's P50, from there to its P90, to its P99, and beyond. Five bets fit
    /// normal latencies that are shifted by .15 to 1.5 standard deviations; the last is on the upper half only.
    static let weights: [[Double]] = [
        [1.1, 1.2, 1.3, 1.4], [1.15, 1.4, 1.8, 2.2], [1.3, 1.7, 2.2, 3], [1.5, 2.5, 4, 6], [2, 4, 8, 15],
        [1, 1.3, 1.8, 2.5],
    ]
    /// The weights of all bets at once, for each of the four classes of places. Unused lanes have the weight 1, which
    /// bets on nothing.
    private static let lanes: [SIMD8<Double>] = (0..<4).map { place in
        var lanes = SIMD8<Double>(repeating: 1)
        for (i, bet) in weights.enumerated() { lanes[i] = bet[place] }
        return lanes
    }

    /// The number of requests of one arm above which a stratum without requests of the other is dropped. Such a stratum
    /// is no evidence, and may last for as long as the candidate gets no traffic.
    static let mostOfOneArm = 1 << 17

    private var bank: Bank
    private var builder = StratumBuilder()
    /// The places of the open stratum's requests.
    private var baseline: [UInt16] = []
    private var candidate: [UInt16] = []
    private var isSorted = true
    /// The places where the second, third and fourth weight begin, ascending, fixed when the stratum began.
    private var knots: [UInt16] = []

    public init(restarts: RestartWeights = .standard, cap: Double? = 10) {
        bank = Bank(BankSettings(alternatives: Self.weights.count, restarts: restarts, cap: cap))
    }

    public var logEvidence: Double { bank.logEvidence }
    /// The number of requests in the open stratum.
    var openRequests: Int { baseline.count + candidate.count }

    /// Takes one tick.
    /// - Parameters:
    ///   - baseline: the places of the baseline's requests, ascending.
    ///   - candidate: the places of the candidate's requests, ascending.
    ///   - knots: the places of the baseline's P50, P90 and P99 in earlier data.
    public mutating func observe(
        baseline: [UInt16], candidate: [UInt16], knots: [UInt16], seconds: Int = 1, discount: Double = 1
    ) {
        precondition(knots.count == 3, "three knots")
        if builder.isEmpty { self.knots = knots }
        if !baseline.isEmpty || !candidate.isEmpty {
            isSorted = self.baseline.isEmpty && self.candidate.isEmpty
            self.baseline += baseline
            self.candidate += candidate
        }
        let tick = Stratum(candidate: Tally(0, of: candidate.count), baseline: Tally(0, of: baseline.count))
        if builder.add([tick], seconds: seconds, discount: discount) {
            close()
        } else if !builder.isWhole, openRequests > Self.mostOfOneArm {
            clear()
        }
    }

    /// Ends the open stratum because the split changed; an incomplete one is dropped.
    public mutating func weightChanged() {
        if builder.isWhole { close() } else { clear() }
    }

    private mutating func close() {
        if !isSorted {
            baseline.sort()
            candidate.sort()
        }
        let values = Self.eValues(baseline: baseline, candidate: candidate, knots: knots)
        bank.observe(discount: builder.discount) { values[$0] }
        clear()
    }

    private mutating func clear() {
        builder.clear()
        baseline.removeAll(keepingCapacity: true)
        candidate.removeAll(keepingCapacity: true)
        isSorted = true
    }

    /// The value of each bet on a stratum, for ascending places.
    static func eValues(baseline: [UInt16], candidate: [UInt16], knots: [UInt16]) -> SIMD8<Double> {
        var (b, c) = (baseline.count, candidate.count)
        var place = knots.count
        var value = SIMD8<Double>(repeating: 1)
        var logarithm = SIMD8<Double>()
        var numerator = value
        var denominator = value
        var factors = 0
        while b > 0, c > 0 {
            let isBaseline = baseline[b - 1] >= candidate[c - 1]
            let next = isBaseline ? baseline[b - 1] : candidate[c - 1]
            while place > 0, next < knots[place - 1] { place -= 1 }
            let weight = lanes[place]
            let left = Double(b + c)
            numerator *= isBaseline ? SIMD8(repeating: left) : weight * left
            denominator *= weight * Double(c) + Double(b)
            if isBaseline { b -= 1 } else { c -= 1 }
            factors += 1
            if factors % 16 == 0 {
                value *= numerator / denominator
                numerator = SIMD8(repeating: 1)
                denominator = numerator
            }
            // A product may leave the range of a Double halfway and return to it, so its logarithm is kept.
            if factors % 256 == 0 {
                for i in weights.indices { logarithm[i] += ln(value[i]) }
                value = SIMD8(repeating: 1)
            }
        }
        value *= numerator / denominator
        guard factors >= 256 else { return value }
        for i in weights.indices { value[i] = exp(logarithm[i] + ln(value[i])) }
        return value
    }
}
