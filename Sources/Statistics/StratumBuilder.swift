/// Joins ticks into strata that are large enough to test. Given the margins of a stratum with one request per arm,
/// hardly any information is left: which arm failed is a coin toss. With twenty requests, a hit of the candidate
/// carries nearly as much information as the split allows. The rule looks at time and numbers of requests, never at
/// outcomes.
public struct StratumBuilder: Hashable, Codable, Sendable {
    /// The number of requests of both arms together that completes a stratum.
    public static let requests = 20
    /// The time in seconds that completes a stratum if both arms have requests.
    public static let seconds = 60

    /// The open stratum: the tallies of both arms at each point. Latencies are counted at several points, other
    /// measurements at one.
    public private(set) var open: [Stratum]
    /// The discount of the open stratum: the power to which its bets are raised. It was fixed when the stratum began,
    /// before any of its data was seen.
    public private(set) var discount = 1.0
    private var age = 0

    public init(points: Int = 1) { open = [Stratum](repeating: Stratum(), count: points) }

    /// Adds a tick.
    /// - Returns: true if the stratum is now complete; the caller then reads `open` and `discount` and calls `clear`.
    public mutating func add(_ tick: [Stratum], seconds length: Int = 1, discount: Double = 1) -> Bool {
        precondition(tick.count == open.count, "a stratum for each point")
        if age == 0 { self.discount = discount }
        for i in open.indices { open[i] += tick[i] }
        age += length
        return isWhole && (open[0].candidate.trials + open[0].baseline.trials >= Self.requests || age >= Self.seconds)
    }

    /// True if both arms have requests. A change of the split has to end the stratum, because all of it must have one
    /// split; a stratum that is not whole by then is dropped.
    public var isWhole: Bool { open[0].candidate.trials > 0 && open[0].baseline.trials > 0 }

    /// Starts a new, empty stratum.
    public mutating func clear() {
        for i in open.indices { open[i] = Stratum() }
        age = 0
    }
}
