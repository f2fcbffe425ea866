import CLinuxEngine
import Glibc
import HTTPEngine
import PolicyModel
import Synchronization

/// The lines of the access log since the start, by what became of them.
public struct AccessLogCounts: Hashable, Sendable {
    public var written: UInt64 = 0
    /// The writer was too slow, and the loops do not wait for it.
    public var dropped: UInt64 = 0
    /// The file could not take them, as on a full disk.
    public var failed: UInt64 = 0
    /// `errno` of the newest write, where that failed; 0 where it did not.
    public var error: Int32 = 0
}

/// Why the access log cannot be opened, and how to mend it.
public struct AccessLogError: Error, Hashable, CustomStringConvertible, Sendable {
    public let description: String
}

/// Writes what the loops put into their rings, on a thread of its own: a disk that hangs costs lines, never requests.
final class AccessLog: @unchecked Sendable {
    let settings: AccessLogSettings
    /// One for each loop.
    let rings: [LineRing]

    private let loop: EventLoop
    private let bell: Bell
    private let wake: Int32
    /// Nobody will look by itself: the next line has to ring.
    private let isResting = Atomic<Bool>(true)
    /// Opened at a reload and not taken over yet; -1: none.
    private let fresh = Atomic<Int32>(-1)
    private let written = Atomic<UInt64>(0)
    private let failed = Atomic<UInt64>(0)
    /// The error number of the newest write; 0: it worked.
    private let error = Atomic<Int32>(0)
    /// The log's file, which only the writer's thread uses.
    private var descriptor: Int32
    private var isScheduled = false
    /// A line was cut off in the middle: the next one begins on a line of its own.
    private var isTorn = false

    /// Lines are collected for so long: one call for many.
    private static let interval = Duration.milliseconds(50)
    /// The time that writing the rest may take at the end.
    private static let patience = Duration.seconds(1)

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

    /// Tells the writer that a loop put a line into its ring; called on that loop.
    @inline(__always) func arrived(in ring: LineRing) {
        if isResting.load(ordering: .sequentiallyConsistent) {
            if isResting.exchange(false, ordering: .sequentiallyConsistent) { ce_eventfd_signal(wake) }
        } else if ring.isHalfFull {
            ce_eventfd_signal(wake)
        }
    }

    /// Opens the file anew, for those who rotate logs. Where that fails the old one stays in use.
    func reopen() throws {
        guard case .file = settings.destination else { return }
        let before = fresh.exchange(try Self.open(settings.destination), ordering: .acquiringAndReleasing)
        if before >= 0 { close(before) }
        loop.post { [self] in takeOver() }
    }

    /// Writes what is left. The loops put nothing more.
    func stop() {
        let gate = Countdown(1)
        loop.post { [self] in
            writeAll()
            loop.deregister(bell)
            gate.arrive()
        }
        // A pipe that nobody reads would hold us for ever; the thread ends with the process then.
        guard gate.wait(timeout: Self.patience) else { return }
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
            // Without O_NONBLOCK a FIFO that nobody reads would hold the start.
            let flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK
            let opened = Glibc.open(path, flags, 0o640)
            guard opened >= 0 else {
                let mend =
                    switch errno {
                    case ENOENT: "create its folder"
                    case EACCES, EPERM: "give the agent's user the right to write there"
                    case EROFS: "choose a place that the unit may write to (LogsDirectory=, ReadWritePaths=)"
                    case EISDIR: "write the path of a file"
                    case ENXIO: "nobody reads this FIFO: start its reader first"
                    default: "choose another place"
                    }
                let reason = String(cString: strerror(errno))
                throw AccessLogError(description: "accessLog.path \(path) cannot be opened: \(reason); \(mend)")
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
            // What came before that did not ring.
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
