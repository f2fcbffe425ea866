import PolicyModel

/// What became of feedback. Every row that came in is counted in exactly one of these, `pending` while it waits.
public struct FeedbackCounts: Hashable, Codable, Sendable {
    public var joined: UInt64 = 0
    /// The id was labelled before.
    public var duplicate: UInt64 = 0
    /// The id was seen on both arms.
    public var ambiguous: UInt64 = 0
    /// No request with this id was seen in time.
    public var unmatched: UInt64 = 0
    /// The request is of a rollout that is over.
    public var late: UInt64 = 0
    /// Waits for its request to end.
    public var pending: UInt64 = 0

    public init() {}
}

/// A labelled row with the arm that answered, and when its request began.
public struct JoinedFeedback: Sendable {
    public var row: Feedback
    public var arm: Arm
    /// Monotonic nanoseconds, to the second.
    public var startedAt: Int64

    public init(row: Feedback, arm: Arm, startedAt: Int64) {
        self.row = row
        self.arm = arm
        self.startedAt = startedAt
    }
}

/// Joins feedback with the arm that answered. Requests and feedback may come in either order; both sides are bounded.
public struct FeedbackJoin: Sendable {
    /// So many requests are remembered at least, and up to twice as many; the oldest go first. What a dictionary of 2^18
    /// places of 20 bytes holds: twice 5 MiB.
    public static let capacity = 196_608
    private let capacity: Int
    /// Feedback that may wait for its request, and for how long: requests are handed over once a tick.
    public static let maximumPending = 50_000
    public static let patience: Duration = .seconds(30)

    private enum Seen {
        /// Seconds of the monotonic clock.
        case answered(slot: UInt32, arm: Arm, second: UInt32)
        case labelled
        case ambiguous
    }
    /// Those that came last, and those before.
    private var recent: [UInt64: Seen] = [:]
    private var earlier: [UInt64: Seen] = [:]
    private var pending: [(row: Feedback, since: Int64)] = []
    public private(set) var counts = FeedbackCounts()

    public init(capacity: Int = Self.capacity) { self.capacity = max(capacity, 1) }

    private subscript(hash: UInt64) -> Seen? {
        get { recent[hash] ?? earlier[hash] }
        set { if earlier[hash] == nil { recent[hash] = newValue } else { earlier[hash] = newValue } }
    }

    /// A judged request ended.
    public mutating func record(_ o: Observation) {
        guard o.requestHash != 0 else { return }
        switch self[o.requestHash] {
        case nil:
            if recent.count >= capacity {
                earlier = recent
                recent = [:]
            }
            recent[o.requestHash] = .answered(
                slot: o.slot, arm: o.arm, second: UInt32(clamping: o.startedAt / ObservationWindow.cohortLength))
        case .answered(let slot, let arm, _):
            if slot != o.slot || arm != o.arm { self[o.requestHash] = .ambiguous }
        case .labelled, .ambiguous: break
        }
    }

    /// Takes feedback in; it is joined by `settle`.
    /// - Returns: false when too much is waiting and this row was not taken.
    public mutating func submit(_ row: Feedback, now: Int64) -> Bool {
        guard pending.count < Self.maximumPending else { return false }
        pending.append((row, now))
        counts.pending = UInt64(pending.count)
        return true
    }

    /// Joins what can be joined now. Call it after the requests of a tick were recorded.
    /// - Parameter slot: the rollout that is running.
    public mutating func settle(slot: UInt32?, now: Int64) -> [JoinedFeedback] {
        var joined: [JoinedFeedback] = []
        var waiting: [(row: Feedback, since: Int64)] = []
        for entry in pending {
            switch self[entry.row.requestHash] {
            case nil:
                if now - entry.since > Self.patience.nanoseconds {
                    counts.unmatched += 1
                } else {
                    waiting.append(entry)
                }
            case .answered(let itsSlot, let arm, let second):
                if itsSlot == slot {
                    counts.joined += 1
                    let startedAt = Int64(second) * ObservationWindow.cohortLength
                    joined.append(JoinedFeedback(row: entry.row, arm: arm, startedAt: startedAt))
                } else {
                    counts.late += 1
                }
                self[entry.row.requestHash] = .labelled
            case .labelled: counts.duplicate += 1
            case .ambiguous: counts.ambiguous += 1
            }
        }
        pending = waiting
        counts.pending = UInt64(pending.count)
        return joined
    }
}
