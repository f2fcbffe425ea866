import Glibc

/// The resources that this process has used, as counted by the kernel.
struct Usage {
    /// The CPU time of all threads, user and system, in seconds.
    var seconds: Double
    /// The bytes that this process caused to be written to a block device, from /proc/self/io.
    var written: UInt64
    /// The number of calls of `fdatasync`.
    var syncs: Int

    static var now: Usage {
        Usage(seconds: processorTime, written: number("write_bytes", in: "/proc/self/io"), syncs: Syncs.count)
    }

    static var processorTime: Double { clockTime(CLOCK_PROCESS_CPUTIME_ID) }

    /// The resident memory in MiB.
    static var resident: Double { Double(number("VmRSS", in: "/proc/self/status")) / 1024 }
    /// The largest resident memory since `resetPeak`, in MiB.
    static var peak: Double { Double(number("VmHWM", in: "/proc/self/status")) / 1024 }

    /// Resets the peak to the current resident memory.
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

/// The first MiB of a file; nil if it cannot be read.
func contents(of path: String) -> [UInt8]? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    bytes.removeLast(bytes.count - fread(&bytes, 1, bytes.count, file))
    return bytes
}

/// Counts the calls of `fdatasync`. The function of this name below replaces that of the C library, so that all of SQLite's
/// calls come here.
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

/// The monotonic clock in seconds.
func wallTime() -> Double { clockTime(CLOCK_MONOTONIC) }

/// The size of a file in bytes; 0 if there is none.
func sizeOfFile(_ path: String) -> Int {
    var info = stat()
    return stat(path, &info) == 0 ? Int(info.st_size) : 0
}
