import PolicyModel
import Statistics

/// Finds the first request of each key (user) in a cohort. Under sticky routing the unit of analysis is the key: its
/// requests are alike, and those of a heavy user are many. A cohort begins with each step of a rollout, and every
/// `length` seconds within a step, so that what changes late is seen; a cohort counts every key once, so the cohorts of
/// one rollout are not independent of each other and share the risk.
struct FirstRequests: Hashable, Codable, Sendable {
    /// The length of a cohort in seconds.
    static let length: Int64 = 1800

    private var filter = KeyFilter()
    private var step: UInt16?
    private var beganAt: Int64 = 0
    /// The number of the cohort, from 1; 0 before the first.
    private(set) var cohort = 0

    /// Sets the step and second of the requests that follow.
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

    /// The present cohort's share of the risk: 1/(g(g + 1)) for the g-th, so that all shares together are at most 1.
    var shareOfRisk: Double {
        let g = Double(max(cohort, 1))
        return 1 / (g * (g + 1))
    }
}

extension LatencyTick {
    /// The tick with only the first request of each key.
    /// - Parameter isFirst: returns true if a key comes for the first time.
    func firsts(_ isFirst: (UInt32) -> Bool) -> LatencyTick {
        var tick = self
        tick.entries = zip(entries, keys.map(isFirst)).filter(\.1).map(\.0)
        tick.keys = []
        return tick
    }

    /// Sorts entries and keys, so that which request counts as a key's first does not depend on their order of arrival
    /// within the second, which a recording does not keep.
    mutating func order() {
        let ordered = zip(entries, keys).sorted { ($0.0.sortable, $0.1) < ($1.0.sortable, $1.1) }
        entries = ordered.map(\.0)
        keys = ordered.map(\.1)
    }
}

extension ErrorTick {
    /// All responses in this tick of the keys that come for the first time, sorted by key.
    /// - Parameter isFirst: returns true if a key comes for the first time.
    func firsts(_ isFirst: (UInt32) -> Bool) -> [KeyedResponse] {
        var known: (key: UInt32, isFirst: Bool)?
        return keys.sorted().filter { response in
            if known?.key != response.key { known = (response.key, isFirst(response.key)) }
            return known?.isFirst ?? false
        }
    }
}

extension [KeyedResponse] {
    /// Counts keys as trials, and keys of which a response has one of the codes as hits.
    /// - Precondition: the responses are sorted by key.
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
