/// The limits of batches and of their queue.
public struct BatchLimits: Hashable, Sendable {
    /// The largest number of rows in a batch. A request with more rows is a batch of its own.
    public var rows: Int
    /// The time that the first request of a batch waits for others. With 0, a batch consists of the requests that
    /// arrived while the batch before it ran.
    public var delay: Duration
    /// The largest number of requests in the queue. Further ones are refused.
    public var waiting: Int

    public init(rows: Int = 64, delay: Duration = .zero, waiting: Int = 256) {
        self.rows = rows
        self.delay = delay
        self.waiting = waiting
    }
}

/// The queue of jobs, which decides when a batch starts. It reads no clock: its callers pass the time in nanoseconds.
struct BatchQueue<Job> {
    enum Decision: Hashable {
        /// The queue is empty.
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

    /// Adds a job.
    /// - Returns: false if the queue is full.
    mutating func push(_ job: Job, rows: Int, now: Int64) -> Bool {
        guard entries.count < limits.waiting else { return false }
        entries.append(Entry(job: job, rows: rows, arrival: now))
        self.rows += rows
        return true
    }

    /// Decides whether a batch starts: it does when it is full, or when its first request has waited for the delay.
    /// - Parameter isDraining: true if a batch starts without waiting.
    func decide(now: Int64, isDraining: Bool) -> Decision {
        guard let first = entries.first else { return .idle }
        if isDraining || rows >= limits.rows || now >= first.arrival + delay { return .run }
        return .wait(until: first.arrival + delay)
    }

    /// Removes the oldest requests that fit into a batch, at least one.
    mutating func popBatch() -> [Job] {
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
