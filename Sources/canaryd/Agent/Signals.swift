import Glibc

/// Blocks SIGHUP, SIGINT and SIGTERM, so that the main thread can take them one by one. Create it before any other
/// thread, since threads inherit the signals that are blocked.
final class Signals: Sendable {
    private let set: sigset_t

    init() {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in [SIGHUP, SIGINT, SIGTERM] { sigaddset(&set, signal) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        self.set = set
        // A write to a connection that the peer has closed, or to a file that may not grow, must fail with an error
        // instead of ending the process.
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
    }

    /// Waits for the next signal and returns its number.
    func next() -> Int32 {
        var received: Int32 = 0
        var set = set
        while sigwait(&set, &received) != 0 {}
        return received
    }
}
