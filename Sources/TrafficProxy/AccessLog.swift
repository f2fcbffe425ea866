import CLinuxEngine
import Glibc
import HTTPEngine
import PolicyModel
import Synchronization

/// The numbers of access log lines since the start, by result.
public struct AccessLogCounts: Hashable, Sendable {
    public var written: UInt64 = 0
    /// Lines that were dropped because the writer was too slow; the loops do not wait for it.
    public var dropped: UInt64 = 0
    /// Lines that could not be written, for example because the disk is full.
    public var failed: UInt64 = 0
    /// The `errno` of the newest write; 0 if it succeeded.
    public var error: Int32 = 0
}

/// The reason why the access log cannot be opened, and how to fix it.
public struct AccessLogError: Error, Hashable, CustomStringConvertible, Sendable {
    public let description: String
}

/// Writes the lines that the loops put into their rings, on a thread of its own. If the disk hangs, lines are lost, but
/// no request waits.
final class AccessLog: @unchecked Sendable {
    let settings: AccessLogSettings
    /// The rings of the loops, in their order.
    let rings: [LineRing]

    private let loop: EventLoop
    private let bell: Bell
    private let wake: Int32
    /// True while the writer sleeps without a timeout, so that the next line has to wake it up.
    private let isResting = Atomic<Bool>(true)
    /// A descriptor that was opened at a reload and that the writer has not switched to yet; -1 for none.
    private let fresh = Atomic<Int32>(-1)
    private let written = Atomic<UInt64>(0)
    private let failed = Atomic<UInt64>(0)
    /// The `errno` of the newest write; 0 if it succeeded.
    private let error = Atomic<Int32>(0)
    /// The log's file, which only the writer's thread uses.
    private var descriptor: Int32
    private var isScheduled = false
    /// True if the last write ended within a line, so that a line end has to be written first.
    private var isTorn = false

    /// The time for which lines are collected before they are written in one call.
    private static let interval = Duration.milliseconds(50)
    /// The longest time for writing the remaining lines when the agent stops.
    private static let stopTimeout = Duration.seconds(1)

    init(_ settings: AccessLogSettings, loops: Int) throws {
        self.settings = settings
        rings = (0..<loops).map { _ in LineRing() }
        descriptor = try Self.open(settings.destination)
        loop = try EventLoop(name: "access-log")
        wake = ce_eventfd()
        guard wake >= 0 else {
            throw AccessLogError(description: "accessLog: no descriptor is left; raise LimitNOFILE=")
        }
        bell = Bell()
        bell.log = self
        loop.start()
        try loop.sync { [self] in try loop.register(bell, descriptor: wake, interest: .readable) }
    }

    deinit {
        close(wake)
        if fresh.load(ordering: .relaxed) >= 0 { close(fresh.load(ordering: .relaxed)) }
        close(descriptor)
    }

    var counts: AccessLogCounts {
        AccessLogCounts(
            written: written.load(ordering: .relaxed), dropped: rings.reduce(0) { $0 + $1.dropped },
            failed: failed.load(ordering: .relaxed), error: error.load(ordering: .relaxed))
    }

    /// Notifies the writer that a loop put a line into its ring; called on that loop.
    @inline(__always) func arrived(in ring: LineRing) {
        if isResting.load(ordering: .sequentiallyConsistent) {
            if isResting.exchange(false, ordering: .sequentiallyConsistent) { ce_eventfd_signal(wake) }
        } else if ring.isHalfFull {
            ce_eventfd_signal(wake)
        }
    }

    /// Opens the file again, after log rotation. If that fails, the old file stays in use.
    func reopen() throws {
        guard case .file = settings.destination else { return }
        let before = fresh.exchange(try Self.open(settings.destination), ordering: .acquiringAndReleasing)
        if before >= 0 { close(before) }
        loop.post { [self] in takeOver() }
    }

    /// Writes the remaining lines. No loop may put in more.
    func stop() {
        let gate = Countdown(1)
        loop.post { [self] in
            writeAll()
            loop.deregister(bell)
            gate.arrive()
        }
        // A pipe without a reader would block forever. The thread then ends with the process.
        guard gate.wait(timeout: Self.stopTimeout) else { return }
        loop.stop()
        loop.join()
        bell.log = nil
    }

    private static func open(_ destination: AccessLogSettings.Destination) throws -> Int32 {
        switch destination {
        case .stderr:
            let copy = fcntl(2, F_DUPFD_CLOEXEC, 3)
            guard copy >= 0 else { throw AccessLogError(description: "accessLog: there is no stderr to write to") }
            return copy
        case .file(let path):
            // Without O_NONBLOCK a FIFO without a reader would block the start.
            let flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK
            let opened = Glibc.open(path, flags, 0o640)
            guard opened >= 0 else {
                let fix =
                    switch errno {
                    case ENOENT: "create its folder"
                    case EACCES, EPERM: "give the agent's user the right to write there"
                    case EROFS: "choose a place that the unit may write to (LogsDirectory=, ReadWritePaths=)"
                    case EISDIR: "write the path of a file"
                    case ENXIO: "nobody reads this FIFO: start its reader first"
                    default: "choose another place"
                    }
                let reason = String(cString: strerror(errno))
                throw AccessLogError(description: "accessLog.path \(path) cannot be opened: \(reason); \(fix)")
            }
            _ = fcntl(opened, F_SETFL, O_APPEND)
            return opened
        }
    }
}

// MARK: On the writer's thread

extension AccessLog {
    private final class Bell: EventSource {
        weak var log: AccessLog?

        override func ready(_ events: ReadyEvents) { log?.rang() }
    }

    private func rang() {
        ce_eventfd_clear(wake)
        if rings.contains(where: \.isHalfFull) { return writeAll() }
        schedule()
    }

    private func schedule() {
        guard !isScheduled else { return }
        isScheduled = true
        loop.schedule(after: Self.interval) { [self] in
            isScheduled = false
            writeAll()
            isResting.store(true, ordering: .sequentiallyConsistent)
            // Lines that came before did not wake the writer up.
            if rings.contains(where: { $0.count > 0 }), isResting.exchange(false, ordering: .sequentiallyConsistent) {
                schedule()
            }
        }
    }

    private func takeOver() {
        let next = fresh.exchange(-1, ordering: .acquiringAndReleasing)
        guard next >= 0 else { return }
        close(descriptor)
        descriptor = next
        isTorn = false
    }

    private func writeAll() {
        for ring in rings { ring.takeAll { write($0) } }
    }

    private func write(_ bytes: UnsafeBufferPointer<UInt8>) {
        var start = 0
        if isTorn {
            isTorn = Glibc.write(descriptor, "\n", 1) != 1
            if isTorn { error.store(errno, ordering: .relaxed) }
        }
        while start < bytes.count, !isTorn {
            let n = Glibc.write(descriptor, bytes.baseAddress! + start, bytes.count - start)
            if n > 0 {
                start += n
            } else if errno != EINTR {
                error.store(errno, ordering: .relaxed)
                isTorn = true
            }
        }
        if !isTorn { error.store(0, ordering: .relaxed) }
        let lines = { (part: Range<Int>) in UInt64(part.reduce(0) { $0 + (bytes[$1] == 10 ? 1 : 0) }) }
        written.wrappingAdd(lines(0..<start), ordering: .relaxed)
        failed.wrappingAdd(lines(start..<bytes.count), ordering: .relaxed)
    }
}
