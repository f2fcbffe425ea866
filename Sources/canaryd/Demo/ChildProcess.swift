import CProcess
import Glibc

/// A process that the demo started. It ends when the demo ends.
final class ChildProcess {
    let name: String
    let pid: pid_t
    private let output: Int32
    private var buffered: [UInt8] = []
    private(set) var exitStatus: Int32?

    /// The environment variable that tells a child the process id of its demo.
    static let marker = "CANARYD_DEMO_PARENT"

    /// Makes a child of a demo end when the demo does. Every process has to call this first.
    static func dieWithParent() {
        guard let parent = getenv(marker).flatMap({ Int32(String(cString: $0)) }) else { return }
        _ = cp_die_with_parent(SIGTERM)
        // The parent may have ended before the line above.
        if getppid() != parent { exit(1) }
    }

    /// Starts another process of this program. Its standard output can be read; its standard error goes to a file.
    init(name: String, arguments: [String], log: String) throws(DemoError) {
        self.name = name
        var pipe: [Int32] = [-1, -1]
        guard cp_pipe(&pipe) == 0 else { throw DemoError("no pipe for \(name): \(Self.reason())") }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, pipe[1], 1)
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 2, log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        // The demo blocks the signals that it waits for; its children must not inherit that. They get their own process
        // group so that a Ctrl-C does not reach them: the demo ends them in order.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP))
        let words = ["canaryd"] + arguments
        var argv: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        var environment: [UnsafeMutablePointer<CChar>?] = Self.environment().map { strdup($0) } + [nil]
        defer { for pointer in argv + environment { free(pointer) } }
        var child: pid_t = 0
        let failure = posix_spawn(&child, "/proc/self/exe", &actions, &attributes, &argv, &environment)
        close(pipe[1])
        guard failure == 0 else {
            close(pipe[0])
            throw DemoError("\(name) could not be started: \(String(cString: strerror(failure)))")
        }
        pid = child
        output = pipe[0]
    }

    deinit { close(output) }

    private static func environment() -> [String] {
        var list: [String] = []
        var entry = environ
        while let variable = entry.pointee {
            let text = String(cString: variable)
            // A demo may itself be a child of a demo; the variable then names the wrong parent.
            if !text.hasPrefix("NOTIFY_SOCKET="), !text.hasPrefix("\(marker)=") { list.append(text) }
            entry += 1
        }
        return list + ["\(marker)=\(getpid())"]
    }

    private static func reason() -> String { String(cString: strerror(errno)) }

    /// Reads the next line of the standard output; nil if it ended or the timeout passed.
    func readLine(timeout: Duration) -> String? {
        let deadline = SystemClock().now.monotonic + timeout.nanoseconds
        while true {
            if let end = buffered.firstIndex(of: UInt8(ascii: "\n")) {
                let line = String(decoding: buffered[..<end], as: UTF8.self)
                buffered.removeFirst(end + 1)
                return line
            }
            let left = (deadline - SystemClock().now.monotonic) / 1_000_000
            var descriptor = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
            guard left > 0, poll(&descriptor, 1, Int32(min(left, 60_000))) > 0 else { return nil }
            var chunk = [UInt8](repeating: 0, count: 4096)
            let n = read(output, &chunk, chunk.count)
            guard n > 0 else { return nil }
            buffered += chunk[..<n]
        }
    }

    /// True while the process runs.
    var isRunning: Bool {
        if exitStatus != nil { return false }
        var status: Int32 = 0
        guard waitpid(pid, &status, WNOHANG) == pid else { return true }
        exitStatus = status
        return false
    }

    func signal(_ signal: Int32) { if isRunning { kill(pid, signal) } }

    /// Sends SIGTERM, and SIGKILL if the process has not ended within the timeout.
    func end(within timeout: Duration = .seconds(5)) {
        signal(SIGTERM)
        let deadline = SystemClock().now.monotonic + timeout.nanoseconds
        while isRunning, SystemClock().now.monotonic < deadline { usleep(20_000) }
        if isRunning {
            kill(pid, SIGKILL)
            var status: Int32 = 0
            waitpid(pid, &status, 0)
            exitStatus = status
        }
    }
}

/// The error that ends the demo; its description says what happened, where, and what to do.
struct DemoError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
