import Glibc

/// The signals that mean something to the agent, taken one by one by the main thread. Make it before any other thread,
/// so that all of them leave these signals alone.
final class Signals {
    private var set = sigset_t()

    init() {
        sigemptyset(&set)
        for signal in [SIGHUP, SIGINT, SIGTERM] { sigaddset(&set, signal) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        // A peer that went away is an error of the write, not of the process.
        signal(SIGPIPE, SIG_IGN)
    }

    /// Blocks until one comes.
    func next() -> Int32 {
        var received: Int32 = 0
        while sigwait(&set, &received) != 0 {}
        return received
    }
}
