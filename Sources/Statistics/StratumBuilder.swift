/// Joins ticks to strata that are worth testing. Given the margins of a stratum with one request an arm, hardly anything
/// is left to be seen: the arm that failed is a coin. With twenty, a hit of the candidate's is as telling as the split
/// allows. The rule looks at time and numbers of requests, never at outcomes.
public struct StratumBuilder: Hashable, Codable, Sendable {
    /// Requests of both arms together that make a stratum.
    public static let requests = 20
    /// A stratum with both arms in it is not kept open longer, in seconds.
    public static let seconds = 60

    /// What the open stratum holds: one tally of both arms for each point that is counted at.
    public private(set) var open: [Stratum]
    /// What bets on the open stratum are raised to: as it was when the stratum began, before anything of it was seen.
    public private(set) var temper = 1.0
    private var age = 0

    public init(points: Int = 1) { open = [Stratum](repeating: Stratum(), count: points) }

    /// Adds a tick; whether the stratum is now complete. Read `open` and `temper` then, and `clear`.
    public mutating func add(_ tick: [Stratum], seconds length: Int = 1, temper: Double = 1) -> Bool {
        precondition(tick.count == open.count, "a stratum for each point")
        if age == 0 { self.temper = temper }
        for i in open.indices { open[i] += tick[i] }
        age += length
        return isWhole && (open[0].candidate.trials + open[0].baseline.trials >= Self.requests || age >= Self.seconds)
    }

    /// Both arms have requests. A change of the split has to end the stratum, as its arms have to be mixed in one
    /// proportion: one that is not whole is dropped.
    public var isWhole: Bool { open[0].candidate.trials > 0 && open[0].baseline.trials > 0 }

    public mutating func clear() {
        for i in open.indices { open[i] = Stratum() }
        age = 0
    }
}
