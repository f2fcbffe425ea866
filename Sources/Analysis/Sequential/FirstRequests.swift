import PolicyModel
import Statistics

/// Finds the first request of each key (user) in a cohort. Under sticky routing the unit of analysis is the key: its
/// requests are alike, and those of a heavy user are many. A cohort begins with each step of a rollout, and every
/// `length` seconds within a step, so that what changes late is seen; a cohort counts every key once, so the cohorts of
/// one rollout are not independent of each other and share the risk.
struct FirstRequests: Hashable, Codable, Sendable {
    /// Seconds of a cohort.
    static let length: Int64 = 1800

    private var filter = KeyFilter()
    private var step: UInt16?
    private var beganAt: Int64 = 0
    /// The number of the cohort, from 1; 0 before the first.
    private(set) var cohort = 0

    /// Notes the step and second of the requests that follow.
    /// - Returns: true if a cohort begins with them.
    @discardableResult
    mutating func begin(step: UInt16, second: Int64) -> Bool {
        guard step != self.step || second < beganAt || second - beganAt >= Self.length else { return false }
        self.step = step
        beganAt = second
        cohort += 1
        filter = KeyFilter()
        return true
    }

    /// True for the first request of a key in the cohort.
    mutating func isFirst(_ key: UInt32) -> Bool { filter.insert(UInt64(key)) }

    /// The share of the risk that pays for a cohort, 1/(g(g + 1)): however many there are, the sum is at most 1.
    var shareOfRisk: Double {
        let g = Double(max(cohort, 1))
        return 1 / (g * (g + 1))
    }
}

extension LatencyTick {
    /// The tick with the first request of each key alone.
    /// - Parameter isFirst: whether a key comes for the first time.
    func firsts(_ isFirst: (UInt32) -> Bool) -> LatencyTick {
        var tick = self
        tick.entries = zip(entries, keys.map(isFirst)).filter(\.1).map(\.0)
        tick.keys = []
        return tick
    }

    /// Orders entries with their keys, so that which request of a key is its first does not depend on the order in which
    /// those of one second came: a recording does not keep it.
    mutating func order() {
        let ordered = zip(entries, keys).sorted { ($0.0.sortable, $0.1) < ($1.0.sortable, $1.1) }
        entries = ordered.map(\.0)
        keys = ordered.map(\.1)
    }
}

extension ErrorTick {
    /// The responses of keys that come for the first time, all of them, ordered by key.
    /// - Parameter isFirst: whether a key comes for the first time.
    func firsts(_ isFirst: (UInt32) -> Bool) -> [KeyedResponse] {
        var known: (key: UInt32, isFirst: Bool)?
        return keys.sorted().filter { response in
            if known?.key != response.key { known = (response.key, isFirst(response.key)) }
            return known?.isFirst ?? false
        }
    }
}

extension [KeyedResponse] {
    /// The keys, and those of which a request ended in one of these ways.
    /// - Precondition: ordered by key.
    func stratum(_ counted: ResponseSet) -> Stratum {
        var stratum = Stratum()
        var i = startIndex
        while i < endIndex {
            let first = self[i]
            var isHit = false
            while i < endIndex, self[i].key == first.key {
                isHit = isHit || counted.contains(self[i].code)
                i += 1
            }
            let tally = Tally(isHit ? 1 : 0, of: 1)
            if first.arm == .candidate { stratum.candidate += tally } else { stratum.baseline += tally }
        }
        return stratum
    }
}
