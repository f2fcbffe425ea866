/// Counts short bursts of a whole arm: seconds in which it mostly failed, alone or a few in a row. Sub-shards cannot
/// see them, as they fill all shards alike, and a burst of one arm cannot be told from a fault of it. So an arm known
/// to have them is judged tick by tick (`Lane.ticks`), where bursts as frequent in both arms cancel.
public struct BurstCounter: Hashable, Codable, Sendable {
    /// A second is one of a burst with at least so many hits, …
    public static let fewestHits = 3
    /// … and this share of its requests.
    public static let share = 0.2
    /// More such seconds in a row are an outage, which the other arm shares.
    public static let longest = 3
    /// So many bursts in the time looked at are a habit.
    public static let habit = 2

    public private(set) var bursts = 0
    private var run = 0

    public init() {}

    /// Takes one second of the baseline.
    public mutating func observe(_ second: Tally) {
        if second.hits >= Self.fewestHits && Double(second.hits) >= Self.share * Double(second.trials) {
            run += 1
        } else {
            if run > 0 && run <= Self.longest { bursts += 1 }
            run = 0
        }
    }

    public var isHabit: Bool { bursts >= Self.habit }
}
