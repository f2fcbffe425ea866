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
    /// The most seconds in a row that count as a burst; a longer run is an outage, which both arms share as well.
    public static let longest = 3
    /// Bursts that follow each other within this many seconds belong to an incident, which both arms share, and do not
    /// count.
    public static let apart = 60
    /// The number of bursts from which on they count as usual for the service.
    public static let fewestUsual = 2

    public private(set) var bursts = 0
    /// Seconds of the burst that has not ended yet.
    private var run = 0
    /// True if a burst waits for `apart` quiet seconds to be counted.
    private var isPending = false
    /// True if several bursts came close together, or a longer run: an incident, which ends after `apart` quiet
    /// seconds.
    private var isIncident = false
    private var quiet = 0
    private var usual = Tally()

    public init() {}

    /// Records one second of the baseline.
    public mutating func observe(_ second: Tally) {
        let share = max(Self.share, Self.timesUsual * usual.smoothedRate)
        usual += second
        if second.hits >= Self.fewestHits && Double(second.hits) >= share * Double(second.trials) {
            if isPending { isIncident = true }
            run += 1
            quiet = 0
            return
        }
        if run > 0 {
            isPending = true
            if run > Self.longest { isIncident = true }
            run = 0
        }
        guard isPending else { return }
        quiet += 1
        guard quiet >= Self.apart else { return }
        if !isIncident { bursts += 1 }
        isPending = false
        isIncident = false
    }

    /// True if bursts are usual for the service.
    public var areUsual: Bool { bursts >= Self.fewestUsual }
}
