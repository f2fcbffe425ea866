import CProcess
import Glibc

/// A child process, which ends with the bench.
final class Child {
    let pid: pid_t
    /// The read end of the pipe from the child's standard output.
    let output: Int32
    private var status: Int32?

    /// - Parameter log: the file for standard error; nil to inherit that of this process.
    init(_ words: [String], log: String? = nil) throws {
        var ends: (Int32, Int32) = (-1, -1)
        let made = withUnsafeMutablePointer(to: &ends) {
            $0.withMemoryRebound(to: Int32.self, capacity: 2) { cp_pipe($0) }
        }
        guard made == 0 else { throw Problem("no pipe") }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, ends.1, 1)
        if let log { posix_spawn_file_actions_addopen(&actions, 2, log, O_WRONLY | O_CREAT | O_APPEND, 0o600) }
        var argv: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        var inherited: [String] = ["CANARYD_DEMO_PARENT=\(getpid())"]
        for name in ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH"] {
            if let value = getenv(name) { inherited.append("\(name)=\(String(cString: value))") }
        }
        var envp: [UnsafeMutablePointer<CChar>?] = inherited.map { strdup($0) } + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        var child: pid_t = 0
        let failure = posix_spawn(&child, words[0], &actions, nil, &argv, &envp)
        close(ends.1)
        guard failure == 0 else {
            close(ends.0)
            throw Problem("\(words[0]) cannot be started: \(String(cString: strerror(failure)))")
        }
        pid = child
        output = ends.0
    }

    deinit {
        end(SIGKILL)
        close(output)
    }

    func signal(_ signal: Int32) { if hasEnded == nil { kill(pid, signal) } }

    /// The exit status as returned by waitpid; nil while the process runs.
    var hasEnded: Int32? {
        if let status { return status }
        var found: Int32 = 0
        guard waitpid(pid, &found, WNOHANG) == pid else { return nil }
        status = found
        return found
    }

    /// Sends a signal and waits for the end of the process.
    func end(_ signal: Int32) {
        guard hasEnded == nil else { return }
        kill(pid, signal)
        var found: Int32 = 0
        waitpid(pid, &found, 0)
        status = found
    }

    /// Reads the next line of the child's output; nil at the end.
    func line() -> String? {
        var text: [UInt8] = []
        var byte: UInt8 = 0
        while read(output, &byte, 1) == 1 {
            if byte == 10 { return String(decoding: text, as: UTF8.self) }
            text.append(byte)
        }
        return nil
    }

    // MARK: - Resources

    /// The resident memory in KiB.
    var rss: Int {
        let fields = text("statm").split(separator: " ")
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * 4 : 0
    }

    /// The CPU time in seconds, user and system.
    var cpu: Double {
        let rest = text("stat").split(separator: ")").last?.split(separator: " ") ?? []
        guard rest.count > 12, let user = Int(rest[11]), let system = Int(rest[12]) else { return 0 }
        return Double(user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    var descriptors: Int { names(in: "/proc/\(pid)/fd").count }

    private func text(_ name: String) -> String { contents(of: "/proc/\(pid)/\(name)") }
}

/// The bytes in the kernel's socket buffers of the proxy: those not yet sent to the clients of the port `listening`, and
/// those not yet read from the port `origin`.
func kernelQueues(listening: UInt16, origin: UInt16) -> Int {
    var total = 0
    for line in contents(of: "/proc/net/tcp").split(separator: "\n").dropFirst() {
        let fields = line.split(separator: " ")
        guard fields.count > 4 else { continue }
        let ports = fields[1...2].map { $0.split(separator: ":").last.flatMap { UInt16($0, radix: 16) } }
        let queues = fields[4].split(separator: ":").map { Int($0, radix: 16) ?? 0 }
        guard queues.count == 2, fields[3] != "0A" else { continue }
        if ports[0] == listening { total += queues[0] }
        if ports[1] == origin { total += queues[1] }
    }
    return total
}

func contents(of path: String) -> String {
    guard let file = fopen(path, "r") else { return "" }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 16_384)
    while true {
        let count = fread(&part, 1, part.count, file)
        if count == 0 { return String(decoding: bytes, as: UTF8.self) }
        bytes += part[..<count]
    }
}

func write(_ text: String, to path: String) {
    guard let file = fopen(path, "w") else { return }
    fputs(text, file)
    fclose(file)
}

func names(in folder: String) -> [String] {
    guard let handle = opendir(folder) else { return [] }
    defer { closedir(handle) }
    var found: [String] = []
    while let entry = readdir(handle) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != ".", name != ".." { found.append(name) }
    }
    return found
}

/// Polls until a condition holds.
/// - Returns: false if it does not hold within the timeout.
@discardableResult
func wait(_ timeout: Duration, until holds: () -> Bool) -> Bool {
    let deadline = now() + timeout.inNanoseconds
    while !holds() {
        guard now() < deadline else { return false }
        usleep(5_000)
    }
    return true
}

func pause(_ time: Duration) { usleep(UInt32(time.inNanoseconds / 1_000)) }

/// Runs a closure on a new thread.
func detach(_ body: @escaping @Sendable () -> Void) {
    final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    let box = Unmanaged.passRetained(Box(body)).toOpaque()
    let failure = pthread_create(
        &thread, nil,
        { argument in
            Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue().body()
            return nil
        }, box)
    precondition(failure == 0, "no thread: \(String(cString: strerror(failure)))")
    pthread_detach(thread)
}
