import Glibc

/// The limit of open files. Shells and service managers set the soft one low for programs that use select(2); epoll and
/// poll are all that is used here.
enum OpenFiles {
    /// Raises the soft limit to the hard one and returns what holds now.
    static func raiseLimit() -> Int {
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        guard getrlimit(resource, &limit) == 0 else { return fallback }
        let before = limit.rlim_cur
        limit.rlim_cur = limit.rlim_max
        if setrlimit(resource, &limit) != 0 { limit.rlim_cur = before }
        return Int(clamping: limit.rlim_cur)
    }

    /// What systemd and most shells give where nobody says otherwise.
    private static let fallback = 1024
}
