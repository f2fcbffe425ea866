/// Joins ticks into strata that are large enough to test. Given the margins of a stratum with one request per arm,
/// hardly any information is left: which arm failed is a coin toss. With twenty requests, a hit of the candidate
/// carries nearly as much information as the split allows. The rule looks at time and numbers of requests, never at
/// outcomes.
///
/// A stratum ends on a grid of seconds that doubles while it is not complete, and not with the request that completes
/// it. Where one arm gets one request in a hundred, each stratum would otherwise end with that arm's request, and what
/// changes within a stratum would always find it at the end.
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
    /// The age in seconds at which the open stratum may end next, and that at which the one before it could first end.
    private var due = 1
    private var firstDue = 1

    public init(points: Int = 1) { open = [Stratum](repeating: Stratum(), count: points) }

    /// Adds a tick.
    /// - Returns: true if the stratum is now complete; the caller then reads `open` and `discount` and calls `clear`.
    public mutating func add(_ tick: [Stratum], seconds length: Int = 1, discount: Double = 1) -> Bool {
        precondition(tick.count == open.count, "a stratum for each point")
        if age == 0 { self.discount = discount }
        for i in open.indices { open[i] += tick[i] }
        age += length
        guard age >= due else { return false }
        let total = open[0].candidate.trials + open[0].baseline.trials
        guard isWhole && (total >= Self.requests || age >= Self.seconds) else {
            while due <= age { due *= 2 }
            return false
        }
        let isAmple = open[0].candidate.trials >= 3 && open[0].baseline.trials >= 3 && total >= 2 * Self.requests
        firstDue = isAmple ? max(due / 2, 1) : due
        return true
    }

    /// True between two strata.
    public var isEmpty: Bool { age == 0 }

    /// True if both arms have requests. A change of the split has to end the stratum, because all of it must have one
    /// split; a stratum that is not whole by then is dropped.
    public var isWhole: Bool { open[0].candidate.trials > 0 && open[0].baseline.trials > 0 }

    /// Starts a new, empty stratum.
    public mutating func clear() {
        for i in open.indices { open[i] = Stratum() }
        age = 0
        due = firstDue
    }
}
