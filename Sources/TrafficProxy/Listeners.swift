import CLinuxEngine
import Glibc
import HTTPEngine
import PolicyModel

/// A listening descriptor for one loop.
struct OpenSocket: Sendable {
    var descriptor: Int32
    var isUnix: Bool
    /// True if other loops have duplicates of the descriptor.
    var isShared: Bool
}

/// An address that is open on every loop.
struct OpenListener: Sendable {
    var bound: SocketAddress
    /// The sockets of the loops, in their order.
    var sockets: [OpenSocket]

    /// Opens an address. For TCP each loop gets a socket of its own, and the kernel distributes connections among them;
    /// other sockets are shared.
    static func open(_ address: ListenAddress, loops: Int) throws(ListenError) -> OpenListener {
        switch address {
        case .tcp(let host, let port): try openTCP(host, port, loops)
        case .unix(let path):
            try share(ListenSocket.open(.unix(path: path, mode: 0o660)), loops, address, isUnix: true)
        case .systemd(let name): try share(ListenSocket.open(.descriptor(descriptor(named: name))), loops, address)
        }
    }

    func close() {
        for socket in sockets { _ = Glibc.close(socket.descriptor) }
        if case .unix(let path, _) = bound { _ = unlink(path) }
    }

    private static func openTCP(_ host: String, _ port: UInt16, _ loops: Int) throws(ListenError) -> OpenListener {
        // With SO_REUSEPORT alone, a second agent on the same address would silently get half of the connections.
        let probe = try ListenSocket.open(.tcp(host: host, port: port))
        probe.close()
        let first = try ListenSocket.open(port == 0 ? probe.bound : .tcp(host: host, port: port), reusePort: true)
        var sockets = [OpenSocket(descriptor: first.descriptor, isUnix: false, isShared: false)]
        for _ in 1..<max(loops, 1) where loops > 1 {
            do throws(ListenError) {
                let more = try ListenSocket.open(first.bound, reusePort: true)
                sockets.append(OpenSocket(descriptor: more.descriptor, isUnix: false, isShared: false))
            } catch {
                for socket in sockets { _ = Glibc.close(socket.descriptor) }
                throw error
            }
        }
        return OpenListener(bound: first.bound, sockets: sockets)
    }

    private static func share(
        _ socket: ListenSocket, _ loops: Int, _ address: ListenAddress, isUnix: Bool = false
    ) throws(ListenError) -> OpenListener {
        var sockets = [OpenSocket(descriptor: socket.descriptor, isUnix: isUnix, isShared: loops > 1)]
        for _ in 1..<max(loops, 1) where loops > 1 {
            let copy = fcntl(socket.descriptor, F_DUPFD_CLOEXEC, 3)
            guard copy >= 0 else {
                for socket in sockets { _ = Glibc.close(socket.descriptor) }
                throw ListenError(
                    address: address.description, problem: "there is no descriptor left for every loop",
                    fix: "raise the limit of open files (LimitNOFILE=)")
            }
            sockets.append(OpenSocket(descriptor: copy, isUnix: isUnix, isShared: true))
        }
        return OpenListener(bound: socket.bound, sockets: sockets)
    }

    /// Finds a socket that systemd passed, as sd_listen_fds_with_names(3) does: descriptors start at 3, and
    /// LISTEN_FDNAMES has their names.
    private static func descriptor(named name: String) throws(ListenError) -> Int32 {
        func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
        let isForUs = variable("LISTEN_PID").flatMap { Int32($0) } == getpid()
        let count = isForUs ? max(variable("LISTEN_FDS").flatMap { Int($0) } ?? 0, 0) : 0
        let names = (variable("LISTEN_FDNAMES") ?? "").split(separator: ":", omittingEmptySubsequences: false)
        guard count > 0, let place = names.prefix(count).firstIndex(where: { $0 == name }) else {
            let given = names.prefix(count).map { "\"\($0)\"" }.joined(separator: ", ")
            throw ListenError(
                address: "systemd:\(name)",
                problem: count == 0
                    ? "systemd passed no sockets" : "systemd passed no socket of this name, only \(given)",
                fix: "start canaryd by its socket unit, with FileDescriptorName=\(name)")
        }
        // A duplicate, so that systemd's descriptor stays open for a later plan that names it again.
        let copy = fcntl(Int32(3 + place), F_DUPFD_CLOEXEC, 3)
        guard copy >= 0 else {
            throw ListenError(
                address: "systemd:\(name)", problem: "the socket that systemd passed is closed",
                fix: "restart the socket unit")
        }
        return copy
    }
}
