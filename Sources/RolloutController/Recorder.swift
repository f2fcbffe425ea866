import Analysis

/// A stretch of what a judge took in, to be written down.
public struct RecordingPart: Sendable {
    /// Nil between rollouts, where only the version that serves is seen.
    public var rollout: String?
    /// The judge before its first item, where the stretch begins with it: what a replay starts from.
    public var head: Judge?
    public var items: [JudgedItem]
    /// How many items of the rollout came before; nil where nobody counts.
    public var first: Int?
    /// Something that came before the stretch was lost: the disk could not be written for too long.
    public var hasGap: Bool

    public init(
        rollout: String?, head: Judge? = nil, items: [JudgedItem] = [], first: Int? = nil, hasGap: Bool = false
    ) {
        self.first = first
        self.rollout = rollout
        self.head = head
        self.items = items
        self.hasGap = hasGap
    }
}

/// Keeps what the judge takes in until it is on disk.
struct Recorder {
    /// Requests kept in memory while nothing can be written, about 8 bytes each.
    static let maximumRequests = 500_000

    /// Oldest first; the last is open.
    private(set) var parts: [RecordingPart] = []
    private var requests = 0

    /// A rollout begins, or ends.
    mutating func begin(_ judge: Judge, rollout: String?) {
        parts.append(RecordingPart(rollout: rollout, head: rollout == nil ? nil : judge))
    }

    /// Goes on with a rollout that was recorded before a restart.
    mutating func resume(rollout: String) { parts = [RecordingPart(rollout: rollout)] }

    var isOfRollout: Bool { parts.last?.rollout != nil }

    mutating func append(_ items: [JudgedItem], first: Int?) {
        if parts.isEmpty { parts.append(RecordingPart(rollout: nil)) }
        if parts[parts.count - 1].items.isEmpty { parts[parts.count - 1].first = first }
        parts[parts.count - 1].items += items
        for item in items {
            switch item {
            case .errors(let tick): requests += tick.keys.count + 4
            case .latencies(let tick): requests += tick.entries.count + 4
            case .rows(let rows): requests += 8 * rows.count
            }
        }
        guard requests > Self.maximumRequests else { return }
        requests = 0
        parts = [RecordingPart(rollout: parts[parts.count - 1].rollout, hasGap: true)]
    }

    /// Everything is on disk.
    mutating func written() {
        requests = 0
        // A hole is remembered until something behind it is written.
        parts = parts.last.map { [RecordingPart(rollout: $0.rollout, hasGap: $0.hasGap && $0.items.isEmpty)] } ?? []
    }

    /// What is worth writing.
    var unwritten: [RecordingPart] { parts.filter { !$0.items.isEmpty || $0.head != nil } }
}
