import HTTPEngine
import PolicyModel
import Threading

/// Waits until a number of threads have arrived.
final class Countdown: Sendable {
    private let missing: Monitor<Int>
    private let then: (@Sendable () -> Void)?

    /// - Parameter then: called on the thread that arrives last.
    init(_ count: Int, then: (@Sendable () -> Void)? = nil) {
        missing = Monitor(count)
        self.then = then
    }

    func arrive() {
        let isLast = missing.update { missing in
            missing -= 1
            return missing == 0
        }
        if isLast { then?() }
    }

    /// Blocks until all threads have arrived. Returns false if the timeout comes first.
    @discardableResult
    func wait(timeout: Duration) -> Bool {
        let deadline = EventLoop.clock() + timeout.nanoseconds
        return missing.wait { missing in
            if missing <= 0 { return .done(true) }
            return EventLoop.clock() >= deadline ? .done(false) : .wait(until: deadline)
        }
    }
}
