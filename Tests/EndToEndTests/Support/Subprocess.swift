import Glibc
import HTTPEngine
import Synchronization

/// An error of the test itself, or of a condition that did not become true in time.
struct HarnessError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// The binaries under test, which the build puts beside the test bundle.
enum Binaries {
    static let canaryd = path("canaryd")
    static let canaryctl = path("canaryctl")

    private static func path(_ name: String) -> String {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = buffer.withUnsafeMutableBytes {
            readlink("/proc/self/exe", $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
        }
        let own = String(decoding: buffer.prefix(max(count, 0)), as: UTF8.self)
        return own[..<(own.lastIndex(of: "/") ?? own.startIndex)] + "/" + name
    }
}

/// A process that a test started. Its output goes to files, and it ends with the process of the tests, even if that
/// crashes.
final class Subprocess: Sendable {
    enum Exit: Equatable {
        case code(Int32)
        case signal(Int32)
    }

    let pid: pid_t
    let outputFile: String
    let errorFile: String
    private let exit = Mutex<Exit?>(nil)

    /// Starts all processes on one thread that never ends, since a process that asked to end with its parent ends with
    /// the thread that started it.
    private static let spawner: EventLoop = {
        guard let loop = try? EventLoop(name: "spawner") else { preconditionFailure("no descriptors left") }
        loop.start()
        return loop
    }()

    /// - Parameters:
    ///   - environment: variables in addition to those that are inherited.
    ///   - output: the file to which standard output is appended.
    ///   - error: the file to which standard error is appended.
    init(_ path: String, _ arguments: [String], environment: [String: String] = [:], output: String, error: String)
        throws
    {
        outputFile = output
        errorFile = error
        var variables = Self.inherited
        // With this variable, canaryd asks the kernel to end it with this process: see its ChildProcess.
        variables["CANARYD_DEMO_PARENT"] = "\(getpid())"
        variables.merge(environment) { $1 }
        let list = variables.map { "\($0.key)=\($0.value)" }
        pid = try Self.spawner.sync { try Self.spawn(path, arguments, list, output, error) }
    }

    private static var inherited: [String: String] {
        var variables: [String: String] = [:]
        for name in ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "LANG"] {
            if let value = getenv(name) { variables[name] = String(cString: value) }
        }
        return variables
    }

    private static func spawn(
        _ path: String, _ arguments: [String], _ environment: [String], _ output: String, _ error: String
    ) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, error, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        // The thread that starts the process blocks all signals, which the process must not inherit.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var argv: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        var child: pid_t = 0
        let failure = posix_spawn(&child, path, &actions, &attributes, &argv, &envp)
        guard failure == 0 else {
            throw HarnessError("\(path) cannot be started: \(String(cString: strerror(failure)))")
        }
        return child
    }

    deinit {
        if !isRunning { return }
        kill(pid, SIGKILL)
        var status: Int32 = 0
        waitpid(pid, &status, 0)
    }

    var isRunning: Bool { ended == nil }

    /// How the process ended; nil while it runs.
    var ended: Exit? {
        exit.withLock { exit in
            if exit != nil { return exit }
            var status: Int32 = 0
            guard waitpid(pid, &status, WNOHANG) == pid else { return nil }
            exit = status & 0x7f == 0 ? .code(status >> 8 & 0xff) : .signal(status & 0x7f)
            return exit
        }
    }

    func signal(_ signal: Int32) { if isRunning { kill(pid, signal) } }

    func wait() async throws -> Exit {
        try await eventually("process \(pid) ends", or: { Files.read(self.errorFile) }) { self.ended }
    }

    var output: String { Files.read(outputFile) }
    var errors: String { Files.read(errorFile) }
}

/// The timeout of all conditions, far longer than a loaded machine needs.
private let timeout = Duration.seconds(40)

/// Calls `poll` until it returns a value.
/// - Parameters:
///   - what: the condition that is waited for, for the error.
///   - context: text for the error if `poll` returns nothing within the timeout.
func eventually<Value>(
    _ what: String, or context: () -> String = { "" }, _ poll: () async throws -> Value?
) async throws -> Value {
    let deadline = ContinuousClock.now + timeout
    while true {
        if let value = try await poll() { return value }
        guard ContinuousClock.now < deadline else {
            throw HarnessError("not within \(timeout): \(what)\n\(context().suffix(4_000))")
        }
        try await Task.sleep(for: .milliseconds(15))
    }
}

/// Waits until a condition holds.
func until(_ what: String, or context: () -> String = { "" }, _ holds: () async throws -> Bool) async throws {
    try await eventually(what, or: context) { try await holds() ? () : nil }
}
