import Glibc

/// What this process used, as the kernel counts it.
struct Usage {
    /// Processor time of all threads, user and system.
    var seconds: Double
    /// Bytes that this process made the kernel send to a block device: /proc/self/io.
    var written: UInt64
    var syncs: Int

    static var now: Usage {
        Usage(seconds: processorTime, written: number("write_bytes", in: "/proc/self/io"), syncs: Syncs.count)
    }

    static var processorTime: Double { clockTime(CLOCK_PROCESS_CPUTIME_ID) }

    /// MiB.
    static var resident: Double { Double(number("VmRSS", in: "/proc/self/status")) / 1024 }
    static var peak: Double { Double(number("VmHWM", in: "/proc/self/status")) / 1024 }

    /// Forgets the peak so far.
    static func resetPeak() {
        guard let file = fopen("/proc/self/clear_refs", "w") else { return }
        fputs("5", file)
        fclose(file)
    }

    private static func number(_ key: String, in path: String) -> UInt64 {
        for line in String(decoding: contents(of: path) ?? [], as: UTF8.self).split(separator: "\n") {
            let words = line.split { $0 == " " || $0 == "\t" }
            if words.first == "\(key):"[...], words.count > 1 { return UInt64(words[1]) ?? 0 }
        }
        return 0
    }
}

/// The first MiB of a file; nil where it cannot be read.
func contents(of path: String) -> [UInt8]? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    bytes.removeLast(bytes.count - fread(&bytes, 1, bytes.count, file))
    return bytes
}

/// Stands before the C library's: every one of SQLite's waits for the disk passes here.
enum Syncs {
    nonisolated(unsafe) static var count = 0
    private typealias Sync = @convention(c) (Int32) -> Int32
    private static let real = unsafeBitCast(dlsym(UnsafeMutableRawPointer(bitPattern: -1), "fdatasync"), to: Sync.self)

    static func pass(_ descriptor: Int32) -> Int32 {
        count += 1
        return real(descriptor)
    }
}

@_cdecl("fdatasync") public func countedSync(_ descriptor: Int32) -> Int32 { Syncs.pass(descriptor) }

func clockTime(_ clock: clockid_t) -> Double {
    var time = timespec()
    clock_gettime(clock, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// Seconds on the wall, for how long a tick holds up the control thread.
func wallTime() -> Double { clockTime(CLOCK_MONOTONIC) }

/// Bytes on disk; 0 where there is no such file.
func sizeOfFile(_ path: String) -> Int {
    var info = stat()
    return stat(path, &info) == 0 ? Int(info.st_size) : 0
}
