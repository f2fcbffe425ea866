import Glibc
import PrometheusText

/// The process metrics that Prometheus' client libraries export, read from /proc/self.
enum ProcessMetrics {
    static func write(into w: inout ExpositionWriter) {
        var usage = rusage()
        getrusage(RUSAGE_SELF.rawValue, &usage)
        let cpu = seconds(usage.ru_utime) + seconds(usage.ru_stime)
        w.family("process_cpu_seconds_total", .counter, "User and system time.")
        w.sample("process_cpu_seconds_total", value: cpu)
        if let pages = residentPages() {
            w.family("process_resident_memory_bytes", .gauge, "Resident memory.")
            w.sample("process_resident_memory_bytes", value: pages * Int(sysconf(Int32(_SC_PAGESIZE))))
        }
        w.family("process_open_fds", .gauge, "Open file descriptors.")
        w.sample("process_open_fds", value: openDescriptors())
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            w.family("process_max_fds", .gauge, "Maximum number of open file descriptors.")
            w.sample("process_max_fds", value: limit.rlim_cur)
        }
    }

    private static func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }

    private static func residentPages() -> Int? {
        guard let file = fopen("/proc/self/statm", "r") else { return nil }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 128)
        guard fgets(&line, Int32(line.count), file) != nil else { return nil }
        let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let fields = text.split(separator: " ")
        return fields.count > 1 ? Int(fields[1]) : nil
    }

    private static func openDescriptors() -> Int {
        guard let folder = opendir("/proc/self/fd") else { return 0 }
        defer { closedir(folder) }
        var count = 0
        while readdir(folder) != nil { count += 1 }
        // `.`, `..` and the folder's own descriptor.
        return max(count - 3, 0)
    }
}
