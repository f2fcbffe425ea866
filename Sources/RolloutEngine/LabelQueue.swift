import Analysis

/// Labels that wait until the labels of all requests of their time have had the same time to come. Those of requests that
/// began first are released first.
struct LabelQueue: Sendable {
    /// More labels cannot wait.
    static let capacity = 1 << 18
    /// The requests of this many nanoseconds are released together.
    private static let grain: Int64 = 10_000_000_000

    /// Labels by the time in which their requests began, ascending.
    private var spans: [(began: Int64, labels: [JoinedFeedback])] = []
    private(set) var count = 0

    /// - Returns: false if there is no room.
    mutating func insert(_ label: JoinedFeedback) -> Bool {
        guard count < Self.capacity else { return false }
        count += 1
        let began = label.startedAt / Self.grain
        var (low, high) = (0, spans.count)
        while low < high {
            let middle = (low + high) / 2
            if spans[middle].began < began { low = middle + 1 } else { high = middle }
        }
        if low < spans.count, spans[low].began == began {
            spans[low].labels.append(label)
        } else {
            spans.insert((began, [label]), at: low)
        }
        return true
    }

    /// Removes the labels of requests that began before an instant, in monotonic nanoseconds.
    mutating func release(before instant: Int64) -> [JoinedFeedback] {
        let ripe = spans.prefix { ($0.began + 1) * Self.grain <= instant }
        guard !ripe.isEmpty else { return [] }
        let labels = ripe.flatMap(\.labels)
        spans.removeFirst(ripe.count)
        count -= labels.count
        return labels
    }
}
