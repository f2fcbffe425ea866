import Analysis

/// A part of a recording: consecutive items that a judge took, to be written.
public struct RecordingPart: Sendable {
    /// The id of the rollout; nil between rollouts, when only the serving version is observed.
    public var rollout: String?
    /// The judge before its first item, from which a replay starts; nil if the part does not begin with the first item.
    public var head: Judge?
    public var items: [JudgedItem]
    /// The number of the rollout's items before this part; nil between rollouts, when items are not counted.
    public var first: Int?
    /// True if items before this part were lost, because nothing could be written for too long.
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

/// Keeps the items that the judge took until they are on disk.
struct Recorder {
    /// The limit on the memory for items while nothing can be written, in bytes: five hours of traffic at 1 request/s,
    /// two hours at 100, a quarter of an hour at 1,000.
    static let maximumBytes = 8 << 20

    /// The parts to be written, oldest first; items are appended to the last one.
    private(set) var parts: [RecordingPart] = []
    private var bytes = 0

    /// Begins the recording of a rollout, or with nil that of the time after one.
    mutating func begin(_ judge: Judge, rollout: String?) {
        parts.append(RecordingPart(rollout: rollout, head: rollout == nil ? nil : judge))
    }

    /// Continues the recording of a rollout after a restart.
    mutating func resume(rollout: String) { parts = [RecordingPart(rollout: rollout)] }

    var isOfRollout: Bool { parts.last?.rollout != nil }

    /// Appends items to the last part. If that exceeds `maximumBytes`, all unwritten items are dropped.
    /// - Parameter first: the number of the rollout's items before these; nil between rollouts.
    mutating func append(_ items: [JudgedItem], first: Int?) {
        if parts.isEmpty { parts.append(RecordingPart(rollout: nil)) }
        if parts[parts.count - 1].items.isEmpty { parts[parts.count - 1].first = first }
        parts[parts.count - 1].items += items
        for item in items { bytes += Self.size(item) }
        guard bytes > Self.maximumBytes else { return }
        bytes = 0
        parts = [RecordingPart(rollout: parts[parts.count - 1].rollout, hasGap: true)]
    }

    /// Drops all items, because they have been written.
    mutating func written() {
        bytes = 0
        // A gap is remembered until something after it is written.
        parts = parts.last.map { [RecordingPart(rollout: $0.rollout, hasGap: $0.hasGap && $0.items.isEmpty)] } ?? []
    }

    /// The approximate size of an item in memory in bytes, as measured, with the capacity that arrays reserve.
    private static func size(_ item: JudgedItem) -> Int {
        switch item {
        case .errors(let tick):
            350 + 12 * tick.keys.count
                + tick.responses.reduce(0) { $0 + ($1.entries.isEmpty ? 0 : 32 + 16 * $1.entries.count) }
        case .latencies(let tick): 170 + 7 * tick.entries.count
        case .rows(let rows): 100 + 160 * rows.count
        }
    }

    /// The parts that hold something to write.
    var unwritten: [RecordingPart] { parts.filter { !$0.items.isEmpty || $0.head != nil } }
}
