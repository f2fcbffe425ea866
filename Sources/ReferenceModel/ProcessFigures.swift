import Glibc

/// The CPU time and memory of this process.
struct ProcessFigures {
    var cpuSeconds: Double
    var residentBytes: Int

    static func now() -> ProcessFigures {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        let pages = residentPages()
        return ProcessFigures(
            cpuSeconds: Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9, residentBytes: pages * Int(getpagesize()))
    }

    /// The number of resident pages, which is the second number of /proc/self/statm.
    private static func residentPages() -> Int {
        let descriptor = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return 0 }
        defer { close(descriptor) }
        let bytes = [UInt8](unsafeUninitializedCapacity: 128) { buffer, count in
            count = max(0, read(descriptor, buffer.baseAddress, 128))
        }
        let fields = bytes.split(separator: 32)
        return fields.count > 1 ? Int(String(decoding: fields[1], as: UTF8.self)) ?? 0 : 0
    }
}
