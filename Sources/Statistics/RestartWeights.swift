/// The division of a `Bank`'s wealth among the strata at which a regression may begin. The weights sum to 1 over
/// infinitely many strata, so there is no horizon.
public enum RestartWeights: Hashable, Codable, Sendable {
    /// All wealth is bet from the first stratum on: no restarts.
    case never
    /// A share `early` is bet at once and the rest in proportion to 1/(s(s+1)): an onset at stratum s costs about 2 ln
    /// s nats of evidence.
    case inverseSquare(early: Double)

    /// w_s, the share of the wealth that is first bet at a stratum.
    /// - Parameter stratum: s, counted from 1.
    public func weight(_ stratum: Int) -> Double {
        let s = Double(stratum)
        switch self {
        case .never: return stratum == 1 ? 1 : 0
        case .inverseSquare(let early): return (stratum == 1 ? early : 0) + (1 - early) / (s * (s + 1))
        }
    }

    /// The weights that the judge uses. Most regressions are present from the first request; in simulation, .8 at once
    /// instead of ½ finds those about 5 % sooner, and one that begins after fifteen minutes about 5 % later.
    public static let standard = RestartWeights.inverseSquare(early: 0.8)
}
