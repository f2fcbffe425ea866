import PolicyModel

/// The labeled rows that came in, by what became of them. Every row is counted in exactly one of these; `pending` while
/// it waits.
public struct FeedbackCounts: Hashable, Codable, Sendable {
    public var joined: UInt64 = 0
    /// Rows whose request was labeled before.
    public var duplicate: UInt64 = 0
    /// Rows whose request id was seen on both arms, or in two rollouts.
    public var ambiguous: UInt64 = 0
    /// Rows for whose id no request was seen in time.
    public var unmatched: UInt64 = 0
    /// Rows whose request belongs to an earlier rollout or ended before a check asked for labels, and rows that came
    /// later than the checks wait for.
    public var late: UInt64 = 0
    /// Rows that came while no rollout was running, so that there was nothing to compare.
    public var noRollout: UInt64 = 0
    /// Rows that came during a rollout none of whose checks asks for labels.
    public var noCheck: UInt64 = 0
    /// Rows that wait for their request to end, or for the next `takeJoined`.
    public var pending: UInt64 = 0

    public init() {}
}

/// A labeled row with the arm that responded and the start of its request.
public struct JoinedFeedback: Sendable {
    public var row: Feedback
    public var arm: Arm
    /// The start of the request in monotonic nanoseconds, rounded down to a whole second.
    public var startedAt: Int64
    /// The hash of the key that the request was assigned by.
    public var key: UInt32

    public init(row: Feedback, arm: Arm, startedAt: Int64, key: UInt32 = 0) {
        self.key = key
        self.row = row
        self.arm = arm
        self.startedAt = startedAt
    }
}

/// Joins feedback with the arm that responded. Requests and feedback may come in either order; both sides are bounded.
///
/// A row whose request is known waits only for the next `takeJoined`. Rows whose ids are unknown have places of their own,
/// so that however many of them are posted, they do not take those of rows whose requests are known. The work of a call
/// is linear in the rows and requests that it brings, however many are waiting.
public struct FeedbackJoin: Sendable {
    /// The number of newest requests that are remembered for certain; at most twice as many are, in two dictionaries,
    /// and the older dictionary is dropped as a whole. The number is what a Swift dictionary of 2^18 slots holds at its
    /// load factor of 3/4: with 24 bytes a slot, 6 MiB for each of the two.
    public static let capacity = 196_608
    private let capacity: Int
    /// The largest number of rows whose requests are not known yet, and that of rows that wait for the next `takeJoined`.
    public static let maximumPending = 50_000
    /// The largest memory that the rows of either kind may take, in bytes, estimated. Rows with many groups reach it
    /// before `maximumPending`.
    public static let maximumBytes = 16 << 20
    /// The largest number of rows that one `takeJoined` joins, since the control thread also judges them: a row takes about
    /// 1 µs with two groups, and 5 µs for each check with sixteen.
    public static let maximumJoined = 10_000
    /// The time for which a row waits for its request. The data plane reports requests once a tick, after their end.
    public static let matchTimeout: Duration = .seconds(30)

    /// The time after the last unremembered request (`skip`) during which rows of unknown requests count as late and
    /// not as unmatched, because they may be labels of such requests.
    public static let lateness: Duration = .seconds(300)

    /// The consumer of feedback at the moment.
    public enum Audience: Sendable {
        /// A rollout with a check that reads labels.
        case rollout
        case noRollout
        /// A rollout without a check that reads labels.
        case noCheck
    }

    private enum Seen {
        /// The request has ended; `second` is its start in seconds of the monotonic clock.
        case answered(slot: UInt32, arm: Arm, second: UInt32, key: UInt32)
        case labeled
        /// The id was seen on both arms, or in two rollouts.
        case ambiguous
    }
    /// The newest requests, and the generation before them.
    private var recent: [UInt64: Seen] = [:]
    private var earlier: [UInt64: Seen] = [:]
    /// The end of the request with which `earlier` was last replaced, in monotonic nanoseconds; nil before the first
    /// replacement.
    private var renewedAt: Int64?
    /// The time for which requests had been remembered when some were last forgotten; nil if none has been forgotten.
    private var lastMemory: Duration?
    /// Rows to be joined by the next `takeJoined`, in the order in which they became known.
    private var ready = RowQueue<Feedback>()
    /// Rows whose requests are unknown, by request.
    private var waiting: [UInt64: (row: Feedback, since: Int64)] = [:]
    private var waitingBytes = 0
    /// The arrival time of each waiting row, the oldest first. Entries of rows that no longer wait are skipped.
    private var arrivals = RowQueue<(hash: UInt64, since: Int64)>()
    public private(set) var counts = FeedbackCounts()
    /// The start of the last request that was not remembered, in monotonic nanoseconds.
    private var lastSkipped: Int64?

    public init(capacity: Int = Self.capacity) { self.capacity = max(capacity, 1) }

    private subscript(hash: UInt64) -> Seen? {
        get { recent[hash] ?? earlier[hash] }
        set { if earlier[hash] == nil { recent[hash] = newValue } else { earlier[hash] = newValue } }
    }

    /// Remembers a judged request that ended.
    public mutating func record(_ o: Observation) {
        guard o.requestHash != 0 else { return }
        switch self[o.requestHash] {
        case nil:
            if recent.count >= capacity {
                let ended = o.startedAt &+ Int64(o.total) * 1_000
                if let renewedAt { lastMemory = .nanoseconds(max(ended &- renewedAt, 0)) }
                renewedAt = ended
                earlier = recent
                recent = [:]
            }
            recent[o.requestHash] = .answered(
                slot: o.slot, arm: o.arm, second: UInt32(clamping: o.startedAt / ObservationWindow.cohortLength),
                key: o.key)
            if let entry = waiting.removeValue(forKey: o.requestHash) {
                waitingBytes -= entry.row.footprint
                ready.append(entry.row, bytes: entry.row.footprint)
            }
        case .answered(let slot, let arm, _, _):
            if slot != o.slot || arm != o.arm { self[o.requestHash] = .ambiguous }
        case .labeled, .ambiguous: break
        }
    }

    /// The time for which requests are remembered at least; nil if none was forgotten yet. Since the last were forgotten no
    /// request was, so after a peak of traffic the time grows again.
    /// - Parameter now: in monotonic nanoseconds.
    public func memory(now: Int64) -> Duration? {
        guard let lastMemory, let renewedAt else { return nil }
        return max(lastMemory, .nanoseconds(now &- renewedAt))
    }

    /// Notes a judged request that is not remembered, because no check asks for labels.
    public mutating func skip(_ o: Observation) { lastSkipped = max(lastSkipped ?? o.startedAt, o.startedAt) }

    /// Accepts a row, to be joined by `takeJoined`.
    /// - Returns: false if too much is waiting, so that the row was refused.
    public mutating func submit(_ row: Feedback, for audience: Audience = .rollout, now: Int64) -> Bool {
        let bytes = row.footprint
        if self[row.requestHash] != nil {
            guard ready.count < Self.maximumPending, ready.bytes + bytes <= Self.maximumBytes else { return false }
            ready.append(row, bytes: bytes)
        } else {
            switch audience {
            case .noRollout: counts.noRollout += 1
            case .noCheck: counts.noCheck += 1
            case .rollout:
                guard waiting[row.requestHash] == nil else {
                    counts.duplicate += 1
                    break
                }
                guard waiting.count < Self.maximumPending, waitingBytes + bytes <= Self.maximumBytes else {
                    return false
                }
                waiting[row.requestHash] = (row, now)
                waitingBytes += bytes
                arrivals.append((row.requestHash, now))
            }
        }
        countPending()
        return true
    }

    /// Joins the rows that can be joined now, at most `maximumJoined`. Call it after the requests of a tick were
    /// recorded.
    /// - Parameter slot: the slot of the running rollout; nil without one.
    public mutating func takeJoined(slot: UInt32?, for audience: Audience = .rollout, now: Int64) -> [JoinedFeedback] {
        var joined: [JoinedFeedback] = []
        for _ in 0..<Self.maximumJoined {
            guard let row = ready.popFirst(bytes: \.footprint) else { break }
            // The request was known when the row was queued, but may have been forgotten since.
            switch self[row.requestHash] {
            case nil: counts.unmatched += 1
            case .answered(let itsSlot, let arm, let second, let key):
                if itsSlot != slot {
                    counts.late += 1
                } else {
                    switch audience {
                    case .noRollout: counts.noRollout += 1
                    case .noCheck: counts.noCheck += 1
                    case .rollout:
                        counts.joined += 1
                        let startedAt = Int64(second) * ObservationWindow.cohortLength
                        joined.append(JoinedFeedback(row: row, arm: arm, startedAt: startedAt, key: key))
                    }
                }
                self[row.requestHash] = .labeled
            case .labeled: counts.duplicate += 1
            case .ambiguous: counts.ambiguous += 1
            }
        }
        expire(now: now)
        countPending()
        return joined
    }

    /// Counts labels that were joined as late instead, because they are not judged.
    public mutating func countLate(_ labels: Int) {
        let late = min(UInt64(clamping: labels), counts.joined)
        counts.joined -= late
        counts.late += late
    }

    private mutating func expire(now: Int64) {
        while let oldest = arrivals.first, now - oldest.since > Self.matchTimeout.nanoseconds {
            _ = arrivals.popFirst()
            guard let entry = waiting[oldest.hash], entry.since == oldest.since else { continue }
            waiting[oldest.hash] = nil
            waitingBytes -= entry.row.footprint
            if let lastSkipped, entry.since - lastSkipped <= Self.lateness.nanoseconds {
                counts.late += 1
            } else {
                counts.unmatched += 1
            }
        }
        // Entries of joined rows are removed only when they outnumber those of waiting rows.
        guard arrivals.count > 2 * waiting.count + 1_000 else { return }
        let current = waiting
        arrivals.removeAll { current[$0.hash]?.since != $0.since }
    }

    private mutating func countPending() { counts.pending = UInt64(waiting.count + ready.count) }
}

extension Feedback {
    /// The memory that the row takes, in bytes, estimated.
    var footprint: Int {
        var bytes = 160
        for (attribute, value) in groups { bytes += 96 + attribute.utf8.count + value.utf8.count }
        return bytes
    }
}

/// A first-in, first-out queue whose operations take constant time on average.
private struct RowQueue<Element: Sendable>: Sendable {
    private var elements: [Element] = []
    private var head = 0
    private(set) var bytes = 0

    var count: Int { elements.count - head }
    var first: Element? { head < elements.count ? elements[head] : nil }

    mutating func append(_ element: Element, bytes: Int = 0) {
        elements.append(element)
        self.bytes += bytes
    }

    mutating func popFirst(bytes size: (Element) -> Int = { _ in 0 }) -> Element? {
        guard let first else { return nil }
        head += 1
        bytes -= size(first)
        if head == elements.count {
            elements = []
            head = 0
        } else if head > elements.count / 2 {
            elements.removeFirst(head)
            head = 0
        }
        return first
    }

    mutating func removeAll(where isGone: (Element) -> Bool) {
        elements = elements[head...].filter { !isGone($0) }
        head = 0
    }
}
