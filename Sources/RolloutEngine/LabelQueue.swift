import Analysis

/// Holds labels back until a fixed time after the start of their request, so that at release the requests of one period
/// have all had the same time for their labels to come. Labels of the earliest requests are released first.
struct LabelQueue: Sendable {
    /// The maximum number of waiting labels.
    static let capacity = 1 << 18
    /// The length in nanoseconds of a span whose requests' labels are released together.
    private static let grain: Int64 = 10_000_000_000

    /// The labels by the span in which their requests began, ascending.
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
        let due = spans.prefix { ($0.began + 1) * Self.grain <= instant }
        guard !due.isEmpty else { return [] }
        let labels = due.flatMap(\.labels)
        spans.removeFirst(due.count)
        count -= labels.count
        return labels
    }
}
