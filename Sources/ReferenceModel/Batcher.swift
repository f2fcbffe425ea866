import Glibc
import Threading

/// A thread that runs a model on batches of requests.
final class Batcher<Token: Sendable>: @unchecked Sendable {
    struct Job: Sendable {
        /// `rows × width`.
        var features: [Float]
        var rows: Int
        var token: Token
    }

    struct Answer: Sendable {
        var token: Token
        var scores: [Float]
    }

    private struct Shared {
        var queue: BatchQueue<Job>
        var hurried = false
        var closing = false
    }

    private let shared: Monitor<Shared>
    /// Used on the batcher's thread only.
    private let session: InferenceSession
    private var thread: WorkerThread?
    private let deliver: @Sendable ([Answer]) -> Void

    /// - Parameter deliver: called on the batcher's thread with the answers of one batch.
    init(artefact: Artefact, limits: BatchLimits, deliver: @escaping @Sendable ([Answer]) -> Void) {
        shared = Monitor(Shared(queue: BatchQueue(limits: limits)))
        session = InferenceSession(artefact.weights, rows: limits.rows)
        self.deliver = deliver
        do { thread = try WorkerThread(named: "batcher") { self.work() } } catch { preconditionFailure("\(error)") }
    }

    /// Queues a job, from any thread; false when the queue is full or closed.
    func submit(_ job: Job) -> Bool {
        let now = Self.now()
        return shared.update { !$0.closing && $0.queue.push(job, rows: job.rows, now: now) }
    }

    /// The number of requests that wait.
    var depth: Int { shared.withLock { $0.queue.count } }

    /// From now on no request waits for others.
    func hurry() { shared.update { $0.hurried = true } }

    /// Runs what waits and ends the thread. To be called once.
    func close() {
        shared.update { $0.closing = true }
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
                    return Answer(token: job.token, scores: Array(scores[start..<start + job.rows]))
                })
        }
    }

    /// Blocks until a batch is ready; nil after `close` when nothing is left.
    private func next() -> [Job]? {
        shared.wait { shared in
            switch shared.queue.decide(now: Self.now(), hurried: shared.hurried || shared.closing) {
            case .run: .done(shared.queue.take())
            case .idle: shared.closing ? .done(nil) : .wait(until: .max)
            case .wait(let until): .wait(until: until)
            }
        }
    }

    /// Monotonic, in nanoseconds.
    private static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
