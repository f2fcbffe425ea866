import Glibc
import Threading

/// Runs a model on batches of requests, on a thread of its own.
final class Batcher<Token: Sendable>: @unchecked Sendable {
    /// The rows of one request.
    struct Job: Sendable {
        /// The encoded rows, `rows × width`.
        var features: [Float]
        var rows: Int
        /// Identifies the request in its `Output`.
        var token: Token
    }

    /// The scores of one request.
    struct Output: Sendable {
        var token: Token
        var scores: [Float]
    }

    private struct Shared {
        var queue: BatchQueue<Job>
        var isDraining = false
        var isClosing = false
    }

    private let shared: Monitor<Shared>
    /// The model, which is used on the batcher's thread only.
    private let session: InferenceSession
    private var thread: WorkerThread?
    private let deliver: @Sendable ([Output]) -> Void

    /// - Parameter deliver: called on the batcher's thread with the outputs of one batch.
    init(artifact: Artifact, limits: BatchLimits, deliver: @escaping @Sendable ([Output]) -> Void) {
        shared = Monitor(Shared(queue: BatchQueue(limits: limits)))
        session = InferenceSession(artifact.weights, rows: limits.rows)
        self.deliver = deliver
        do { thread = try WorkerThread(named: "batcher") { self.work() } } catch { preconditionFailure("\(error)") }
    }

    /// Queues a job, from any thread; false when the queue is full or closed.
    func submit(_ job: Job) -> Bool {
        let now = Self.now()
        return shared.update { !$0.isClosing && $0.queue.push(job, rows: job.rows, now: now) }
    }

    /// The number of requests in the queue.
    var depth: Int { shared.withLock { $0.queue.count } }

    /// Runs batches at once from now on, without waiting for more requests.
    func drain() { shared.update { $0.isDraining = true } }

    /// Runs the jobs in the queue and ends the thread. It may be called only once.
    func close() {
        shared.update { $0.isClosing = true }
        thread?.join()
    }

    private func work() {
        while let jobs = next() {
            var features = jobs[0].features
            for job in jobs.dropFirst() { features += job.features }
            let scores = session.scores(features)
            var start = 0
            deliver(
                jobs.map { job in
                    defer { start += job.rows }
                    return Output(token: job.token, scores: Array(scores[start..<start + job.rows]))
                })
        }
    }

    /// Blocks until a batch is ready; nil after `close` when the queue is empty.
    private func next() -> [Job]? {
        shared.wait { shared in
            switch shared.queue.decide(now: Self.now(), isDraining: shared.isDraining || shared.isClosing) {
            case .run: .done(shared.queue.popBatch())
            case .idle: shared.isClosing ? .done(nil) : .wait(until: .max)
            case .wait(let until): .wait(until: until)
            }
        }
    }

    /// The monotonic clock in nanoseconds.
    private static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
