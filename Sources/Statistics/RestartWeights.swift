/// How the wealth of a bank is spread over the strata at which a regression may begin. The weights sum to 1 over all
/// strata for ever, so there is no horizon.
public enum RestartWeights: Hashable, Codable, Sendable {
    /// Everything on the first stratum: no restarts.
    case never
    /// `early` at once, and the rest as 1/(s(s+1)): an onset at stratum s costs about 2 ln s nats.
    case inverseSquare(early: Double)
    /// `early` at once, the rest ∝ 1/((s+1) ln²(s+1)): an onset at stratum s costs about ln s + 2 ln ln s nats.
    case logarithmic(early: Double)
    /// As `logarithmic`, but from stratum 64 on only 64 restarts to each doubling: an onset at s waits for at most
    /// s/64 strata for its restart, and costs about ln of the number of restarts before it instead of ln s.
    case sparse(early: Double)

    /// Σ_{m ≥ 2} 1/(m ln² m), to all the digits of a Double that matter here (rounded up, so that Σw ≤ 1).
    static let logarithmicSum = 2.109_742_801_236_892_5

    /// w_s.
    /// - Parameter stratum: from 1.
    public func weight(_ stratum: Int) -> Double {
        let s = Double(stratum)
        switch self {
        case .never: return stratum == 1 ? 1 : 0
        case .inverseSquare(let early): return (stratum == 1 ? early : 0) + (1 - early) / (s * (s + 1))
        case .logarithmic(let early):
            return (stratum == 1 ? early : 0) + (1 - early) * Self.tail(s)
        case .sparse(let early):
            guard let place = Self.place(stratum) else { return 0 }
            return (stratum == 1 ? early : 0) + (1 - early) * Self.tail(Double(place))
        }
    }

    private static func tail(_ s: Double) -> Double {
        let l = ln(s + 1)
        return 1 / (logarithmicSum * (s + 1) * l * l)
    }

    /// The number of the restart at this stratum, from 1; nil where there is none. 64 places to each doubling, as the
    /// buckets of latency.
    static func place(_ stratum: Int) -> Int? {
        if stratum < 64 { return stratum }
        let exponent = Int.bitWidth - 1 - stratum.leadingZeroBitCount
        guard stratum & ((1 << (exponent - 6)) - 1) == 0 else { return nil }
        return (exponent - 5) << 6 + (stratum >> (exponent - 6)) - 64
    }
}
