import Glibc

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

    // `queue`, `hurried` and `closing` belong to whoever holds the lock, `session` to the thread.
    private var queue: BatchQueue<Job>
    private var hurried = false
    private var closing = false
    private let session: InferenceSession
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var thread = pthread_t()
    private let deliver: @Sendable ([Answer]) -> Void

    /// - Parameter deliver: called on the batcher's thread with the answers of one batch.
    init(artefact: Artefact, limits: BatchLimits, deliver: @escaping @Sendable ([Answer]) -> Void) {
        queue = BatchQueue(limits: limits)
        session = InferenceSession(artefact.weights, rows: limits.rows)
        self.deliver = deliver
        pthread_mutex_init(lock, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(changed, &attributes)
        pthread_condattr_destroy(&attributes)
        thread = startThread { [self] in work() }
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(lock)
        changed.deallocate()
        lock.deallocate()
    }

    /// From any thread. False when the queue is full or closed.
    func submit(_ job: Job) -> Bool {
        let now = Self.now()
        pthread_mutex_lock(lock)
        let accepted = !closing && queue.push(job, rows: job.rows, now: now)
        if accepted { pthread_cond_signal(changed) }
        pthread_mutex_unlock(lock)
        return accepted
    }

    /// Requests that wait.
    var depth: Int {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return queue.count
    }

    /// From now on no request waits for others.
    func hurry() {
        pthread_mutex_lock(lock)
        hurried = true
        pthread_cond_signal(changed)
        pthread_mutex_unlock(lock)
    }

    /// Answers what waits and ends the thread. To be called once.
    func close() {
        pthread_mutex_lock(lock)
        closing = true
        pthread_cond_signal(changed)
        pthread_mutex_unlock(lock)
        pthread_join(thread, nil)
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

    /// Waits for a batch; nil at the end.
    private func next() -> [Job]? {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        while true {
            switch queue.decide(now: Self.now(), hurried: hurried || closing) {
            case .run: return queue.take()
            case .idle:
                if closing { return nil }
                pthread_cond_wait(changed, lock)
            case .wait(let until):
                var deadline = timespec(tv_sec: Int(until / 1_000_000_000), tv_nsec: Int(until % 1_000_000_000))
                pthread_cond_timedwait(changed, lock, &deadline)
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

/// A joinable thread that runs `body`.
private func startThread(_ body: @escaping @Sendable () -> Void) -> pthread_t {
    final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }
    var thread = pthread_t()
    let code = pthread_create(
        &thread, nil,
        { context in
            Unmanaged<Body>.fromOpaque(context!).takeRetainedValue().run()
            return nil
        }, Unmanaged.passRetained(Body(body)).toOpaque())
    precondition(code == 0, "a thread cannot be started: \(String(cString: strerror(code)))")
    return thread
}
