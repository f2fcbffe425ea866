import Glibc

/// A blocking connection to a Unix socket with a timeout for each operation.
final class UnixConnection {
    private let descriptor: Int32
    private let path: String
    private var buffer = [UInt8](repeating: 0, count: 16 << 10)

    /// The longest path of a Unix socket in bytes.
    static let maximumPath = 107

    /// Connects to a socket.
    /// - Parameter timeout: the timeout of the connect and of each read and write, in seconds.
    init(path: String, timeout: Int) throws(AdminClientError) {
        self.path = path
        let bytes = Array(path.utf8)
        guard !bytes.isEmpty, bytes.count <= Self.maximumPath, !bytes.contains(0) else {
            throw .unreachable(
                "\(path): a socket's path has 1 to \(Self.maximumPath) bytes; name another with --socket or "
                    + "CANARYD_SOCKET")
        }
        let number = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard number >= 0 else {
            throw .unreachable("\(path): no socket can be created: \(String(cString: strerror(errno)))")
        }
        var time = timeval(tv_sec: timeout, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(number, SOL_SOCKET, option, &time, socklen_t(MemoryLayout<timeval>.size))
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(number, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard status == 0 else {
            let why = errno
            close(number)
            throw .unreachable(Self.explain(why, path, timeout))
        }
        descriptor = number
    }

    deinit { close(descriptor) }

    private static func explain(_ error: Int32, _ path: String, _ timeout: Int) -> String {
        switch error {
        case ENOENT, ENOTDIR:
            "no agent at \(path): there is no such socket; start it (systemctl start canaryd), or name its socket with "
                + "--socket PATH or CANARYD_SOCKET"
        case ECONNREFUSED:
            "no agent at \(path): the socket is there, but nobody listens; start the agent (systemctl start canaryd)"
        case EACCES, EPERM:
            "no right to \(path): run as a user of the socket's group (ls -l \(path) shows it), or with sudo"
        case EAGAIN, ETIMEDOUT:
            "the agent at \(path) accepts no connection within \(timeout) s; see journalctl -u canaryd"
        default: "cannot connect to \(path): \(String(cString: strerror(error))); is it the agent's socket?"
        }
    }

    func send(_ bytes: [UInt8]) throws(AdminClientError) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress! + sent, $0.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            // There may be a response although the request was not read to its end, such as 413.
            guard count > 0 else { return }
            sent += count
        }
    }

    /// Receives the next bytes; empty at the end of the connection.
    func receive() throws(AdminClientError) -> ArraySlice<UInt8> {
        while true {
            let count = buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress!, $0.count, 0) }
            if count >= 0 { return buffer[0..<count] }
            switch errno {
            case EINTR: continue
            case EAGAIN: throw .unreachable("the agent at \(path) does not respond; see journalctl -u canaryd")
            default: throw .unreachable("the agent at \(path) closed the connection; see journalctl -u canaryd")
            }
        }
    }
}
