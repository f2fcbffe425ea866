import CLinuxEngine
import Glibc

/// State that several threads share, with a lock around it and a condition variable to wait for changes.
///
/// The lock and the condition variable are on the heap for as long as the monitor lives, since POSIX requires fixed
/// addresses. Waiting uses the monotonic clock: a change of the wall clock neither shortens nor lengthens a wait.
public final class Monitor<State>: @unchecked Sendable {
    /// What a waiting thread does next.
    public enum Step<Value> {
        /// The wait is over.
        case done(Value)
        /// The thread sleeps until the state changes, or until a time in monotonic nanoseconds (`.max` for no limit),
        /// and decides again.
        case wait(until: Int64)
    }

    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var state: State

    public init(_ state: State) {
        self.state = state
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Reads or writes the state without waking threads that wait.
    public func withLock<Value>(_ body: (inout State) throws -> Value) rethrows -> Value {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&state)
    }

    /// Writes the state and wakes all threads that wait.
    public func update<Value>(_ body: (inout State) throws -> Value) rethrows -> Value {
        pthread_mutex_lock(mutex)
        defer {
            pthread_cond_broadcast(condition)
            pthread_mutex_unlock(mutex)
        }
        return try body(&state)
    }

    /// Blocks the calling thread until `step` is done. `step` runs under the lock: first at once, then after each
    /// change and at each deadline that it named; it may run without a change too.
    public func wait<Value>(_ step: (inout State) -> Step<Value>) -> Value {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            switch step(&state) {
            case .done(let value): return value
            case .wait(until: .max): pthread_cond_wait(condition, mutex)
            case .wait(let moment):
                let moment = max(moment, 0)
                var time = timespec(tv_sec: Int(moment / 1_000_000_000), tv_nsec: Int(moment % 1_000_000_000))
                pthread_cond_timedwait(condition, mutex, &time)
            }
        }
    }
}
