/// Counts short bursts of failures of a whole arm: single seconds, or a few in a row, in which a large part of its
/// requests failed. `OverdispersionEstimator` cannot see them, because they affect all sub-shards alike, and a single
/// burst of one arm cannot be told from a fault of that arm. A service known to have bursts is therefore judged tick by
/// tick (`CountingMode.ticks`), where bursts that are equally frequent in both arms cancel.
public struct BurstCounter: Hashable, Codable, Sendable {
    /// The fewest hits in a second that belongs to a burst.
    public static let fewestHits = 3
    /// The smallest share of hits among the requests of a second that belongs to a burst.
    public static let share = 0.2
    /// A second of a burst also has at least this many times the usual share of hits: where a third of the requests hit
    /// all day, an ordinary second is no burst.
    public static let timesUsual = 3.0
    /// The most seconds in a row that count as a burst; a longer run is an outage, which both arms share.
    public static let longest = 3
    /// The number of bursts from which on they count as usual for the service.
    public static let fewestUsual = 2

    public private(set) var bursts = 0
    /// Seconds of the burst that has not ended yet.
    private var run = 0
    private var usual = Tally()

    public init() {}

    /// Records one second of the baseline.
    public mutating func observe(_ second: Tally) {
        let share = max(Self.share, Self.timesUsual * usual.smoothedRate)
        usual += second
        if second.hits >= Self.fewestHits && Double(second.hits) >= share * Double(second.trials) {
            run += 1
        } else {
            if run > 0 && run <= Self.longest { bursts += 1 }
            run = 0
        }
    }

    /// True if bursts are usual for the service.
    public var areUsual: Bool { bursts >= Self.fewestUsual }
}
