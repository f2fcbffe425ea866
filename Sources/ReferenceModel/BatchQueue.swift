/// How requests are put together.
public struct BatchLimits: Hashable, Sendable {
    /// Rows that are computed together; a request of more is computed by itself.
    public var rows: Int
    /// How long the first request of a batch waits for others. 0: only what gathered while the last batch ran.
    public var delay: Duration
    /// Requests that wait; more are refused.
    public var waiting: Int

    public init(rows: Int = 64, delay: Duration = .zero, waiting: Int = 256) {
        self.rows = rows
        self.delay = delay
        self.waiting = waiting
    }
}

/// What waits for the worker, and when it has to start. Pure: time comes from outside, in nanoseconds.
struct BatchQueue<Job> {
    enum Decision: Hashable {
        case idle
        case wait(until: Int64)
        case run
    }

    private struct Entry {
        var job: Job
        var rows: Int
        var arrival: Int64
    }

    private let limits: BatchLimits
    private let delay: Int64
    private var entries: [Entry] = []
    private var rows = 0

    init(limits: BatchLimits) {
        self.limits = limits
        let (seconds, attoseconds) = limits.delay.components
        delay = seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }

    var count: Int { entries.count }

    /// False when the queue is full.
    mutating func push(_ job: Job, rows: Int, now: Int64) -> Bool {
        guard entries.count < limits.waiting else { return false }
        entries.append(Entry(job: job, rows: rows, arrival: now))
        self.rows += rows
        return true
    }

    /// A batch starts when it is full, or its first request has waited for long enough, or nothing is to wait any more.
    func decide(now: Int64, hurried: Bool) -> Decision {
        guard let first = entries.first else { return .idle }
        if hurried || rows >= limits.rows || now >= first.arrival + delay { return .run }
        return .wait(until: first.arrival + delay)
    }

    /// The oldest requests that fit into a batch, at least one.
    mutating func take() -> [Job] {
        var taken = 0
        var count = 0
        for entry in entries {
            if count > 0, taken + entry.rows > limits.rows { break }
            taken += entry.rows
            count += 1
        }
        let jobs = entries.prefix(count).map(\.job)
        entries.removeFirst(count)
        rows -= taken
        return jobs
    }
}
