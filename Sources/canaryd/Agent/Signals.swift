import Glibc

/// The signals that mean something to the agent, taken one by one by the main thread. Make it before any other thread,
/// so that all of them leave these signals alone.
final class Signals: Sendable {
    private let set: sigset_t

    init() {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in [SIGHUP, SIGINT, SIGTERM] { sigaddset(&set, signal) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        self.set = set
        // A peer that went away is an error of the write, not of the process.
        signal(SIGPIPE, SIG_IGN)
        // A file that may not grow is an error of the write too.
        signal(SIGXFSZ, SIG_IGN)
    }

    /// Blocks until one comes.
    func next() -> Int32 {
        var received: Int32 = 0
        var set = set
        while sigwait(&set, &received) != 0 {}
        return received
    }
}
