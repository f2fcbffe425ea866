import Glibc

/// The agent's state directory, held under a lock as long as this value lives.
final class StateDirectory {
    let path: String
    private let lock: Int32

    var database: String { path + "/canaryd.sqlite" }

    var initialization: InitializationFile { InitializationFile(directory: path) }

    /// Creates the directory if it is missing, and takes the lock.
    init(_ path: String) throws(StoreError) {
        self.path = path
        try Self.create(path)
        let file = path + "/canaryd.lock"
        let fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard fd >= 0 else {
            let cause = errno
            guard Self.exists(file) else { throw Self.unusable(path, "cannot be written", cause) }
            throw Self.unusable(file, "cannot be opened", cause, hint: .file)
        }
        guard flock(fd, LOCK_EX | LOCK_NB) == 0 else {
            let cause = errno
            let holder = Self.contents(of: fd)
            close(fd)
            guard cause == EWOULDBLOCK else { throw Self.unusable(file, "cannot be locked", cause, hint: .file) }
            throw StoreError(
                .inUse,
                "\(path): another agent\(holder.isEmpty ? "" : " (pid \(holder))") uses it; stop that agent, or give this one another state directory"
            )
        }
        // The process id is for people and for the error above; the kernel holds the lock and releases it with the
        // process.
        let pid = "\(getpid())"
        _ = ftruncate(fd, 0)
        _ = pwrite(fd, pid, pid.utf8.count, 0)
        lock = fd
    }

    deinit { close(lock) }

    /// Makes a rename in the directory survive a power loss.
    func sync() { Self.sync(path) }

    static func sync(_ path: String) {
        let fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard fd >= 0 else { return }
        fsync(fd)
        close(fd)
    }

    /// An unused path to which `keepAside` can move the database.
    func pathAside() -> String {
        let stem = "\(database).corrupt-\(Self.timestamp())"
        var target = stem
        var n = 1
        while ["", "-wal", "-shm"].contains(where: { Self.exists(target + $0) }) {
            n += 1
            target = "\(stem)-\(n)"
        }
        return target
    }

    /// Moves the database, its log and its index out of the way; they stay usable together.
    func keepAside(as target: String) throws(StoreError) {
        // The database is moved first: if the agent dies in between, the next start finds a log without a database and
        // knows that something is missing. A database without its log would pass for an older state.
        for suffix in ["", "-wal", "-shm"] where Self.exists(database + suffix) {
            guard rename(database + suffix, target + suffix) == 0 else {
                throw Self.unusable(database + suffix, "is damaged and cannot be moved aside", hint: .file)
            }
        }
        sync()
    }

    static func exists(_ path: String) -> Bool {
        var info = stat()
        return lstat(path, &info) == 0
    }

    /// - Parameter path: the state directory, or a file in it.
    static func unusable(
        _ path: String, _ what: String, _ cause: Int32 = errno, hint: UnusableHint = .directory
    ) -> StoreError {
        StoreError(.unusable, "\(path): \(what) (\(String(cString: strerror(cause)))); \(hint.rawValue)")
    }

    private static func create(_ path: String) throws(StoreError) {
        var info = stat()
        if stat(path, &info) == 0 {
            guard info.st_mode & S_IFMT == S_IFDIR else { throw unusable(path, "is not a directory", ENOTDIR) }
            return
        }
        let cause = errno
        guard cause == ENOENT else { throw unusable(path, "cannot be reached", cause) }
        var parents: [String] = []
        var parent = path
        while let slash = parent.lastIndex(of: "/"), slash != parent.startIndex {
            parent = String(parent[..<slash])
            if exists(parent) { break }
            parents.append(parent)
        }
        for parent in parents.reversed() { _ = mkdir(parent, 0o755) }
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw unusable(path, "cannot be created") }
    }

    private static func contents(of fd: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 20)
        let n = pread(fd, &bytes, bytes.count, 0)
        return String(decoding: bytes.prefix(max(n, 0)).filter { (0x30...0x39).contains($0) }, as: UTF8.self)
    }

    /// The current time in UTC, such as `20261121T034500Z`.
    private static func timestamp() -> String {
        var now = time(nil)
        var parts = tm()
        gmtime_r(&now, &parts)
        var text = [CChar](repeating: 0, count: 24)
        let n = strftime(&text, text.count, "%Y%m%dT%H%M%SZ", &parts)
        return String(decoding: text.prefix(n).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// The advice of an error about the state directory or a file in it.
enum UnusableHint: String {
    case directory = "make it a directory that the agent's user may write, or set another one as `state`"
    case file =
        "move what is there out of the way, let the agent's user read and write it, or set another directory as `state`"
}
