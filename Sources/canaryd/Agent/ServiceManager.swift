import Glibc
import PlainText

/// Sends notifications to systemd, if it started the process, by the protocol of sd_notify(3): one datagram per
/// message.
struct ServiceManager: Sendable {
    /// The path of the socket, where a leading `@` means the abstract namespace; nil without systemd.
    private let socketPath: String?
    /// The interval at which `alive` has to be called, half of the watchdog's timeout; nil without a watchdog.
    let watchdogInterval: Duration?

    init() {
        socketPath = getenv("NOTIFY_SOCKET").map { String(cString: $0) }
        let pid = getenv("WATCHDOG_PID").flatMap { Int32(String(cString: $0)) }
        let microseconds = getenv("WATCHDOG_USEC").flatMap { Int64(String(cString: $0)) }
        let isOurs = pid == nil || pid == getpid()
        watchdogInterval = isOurs ? microseconds.map { .microseconds($0 / 2) } : nil
    }

    // A line break in the status would start another assignment; `displayable` replaces it.
    func ready(_ status: String) { send("READY=1\nSTATUS=\(status.displayable)") }
    func status(_ status: String) { send("STATUS=\(status.displayable)") }
    func stopping() { send("STOPPING=1") }
    func alive() { send("WATCHDOG=1") }

    /// - Parameter now: monotonic microseconds, which systemd asks for beside RELOADING.
    func reloading(now: Int64) { send("RELOADING=1\nMONOTONIC_USEC=\(now)") }

    private func send(_ message: String) {
        guard let path = socketPath, !path.isEmpty else { return }
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return }
        if bytes[0] == UInt8(ascii: "@") { bytes[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
        let payload = Array(message.utf8)
        _ = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(descriptor, payload, payload.count, Int32(MSG_NOSIGNAL), $0, length)
            }
        }
    }
}
