import Glibc

/// The limit of open files. Shells and service managers set a low soft limit for programs that use select(2); the agent
/// uses only epoll and poll, which work with any number.
enum OpenFiles {
    /// Raises the soft limit to the hard limit and returns the resulting soft limit.
    static func raiseLimit() -> Int {
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        guard getrlimit(resource, &limit) == 0 else { return fallback }
        let before = limit.rlim_cur
        limit.rlim_cur = limit.rlim_max
        if setrlimit(resource, &limit) != 0 { limit.rlim_cur = before }
        return Int(clamping: limit.rlim_cur)
    }

    /// The usual default of systemd and of shells.
    private static let fallback = 1024
}
