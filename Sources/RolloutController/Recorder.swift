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
    /// Bytes kept in memory while nothing can be written: five hours at 1 request/s, two at 100, a quarter at 1,000.
    static let maximumBytes = 8 << 20

    /// Oldest first; the last is open.
    private(set) var parts: [RecordingPart] = []
    private var bytes = 0

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
        for item in items { bytes += Self.size(item) }
        guard bytes > Self.maximumBytes else { return }
        bytes = 0
        parts = [RecordingPart(rollout: parts[parts.count - 1].rollout, hasGap: true)]
    }

    /// Everything is on disk.
    mutating func written() {
        bytes = 0
        // A hole is remembered until something behind it is written.
        parts = parts.last.map { [RecordingPart(rollout: $0.rollout, hasGap: $0.hasGap && $0.items.isEmpty)] } ?? []
    }

    /// In memory, about: what was measured with the room that arrays keep.
    private static func size(_ item: JudgedItem) -> Int {
        switch item {
        case .errors(let tick):
            350 + 12 * tick.keys.count
                + tick.responses.reduce(0) { $0 + ($1.entries.isEmpty ? 0 : 32 + 16 * $1.entries.count) }
        case .latencies(let tick): 170 + 7 * tick.entries.count
        case .rows(let rows): 100 + 160 * rows.count
        }
    }

    /// What is worth writing.
    var unwritten: [RecordingPart] { parts.filter { !$0.items.isEmpty || $0.head != nil } }
}
