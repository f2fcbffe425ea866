import CLinuxEngine
import Glibc

/// A bound, listening, non-blocking socket.
public struct ListenSocket: Sendable {
    public let descriptor: Int32
    /// The address with the port that the system chose.
    public let bound: SocketAddress

    /// The largest number of connections that wait to be accepted; the kernel caps it at net.core.somaxconn.
    private static let backlog: Int32 = 4096

    /// Opens a socket on an address, or adopts a descriptor.
    /// - Parameter reusePort: true to let several sockets share the address, among which the kernel distributes
    ///   connections.
    public static func open(_ address: SocketAddress, reusePort: Bool = false) throws(ListenError) -> ListenSocket {
        switch address {
        case .tcp(let host, let port): try openTCP(address, host, port, reusePort)
        case .unix(let path, let mode): try openUnix(address, path, mode)
        case .descriptor(let descriptor): try adopt(address, descriptor)
        }
    }

    /// Closes the socket, and removes the file of a Unix socket.
    public func close() {
        _ = Glibc.close(descriptor)
        if case .unix(let path, _) = bound { _ = unlink(path) }
    }

    private static func openTCP(
        _ address: SocketAddress, _ host: String, _ port: UInt16, _ reusePort: Bool
    ) throws(ListenError) -> ListenSocket {
        var found = ce_address()
        let count = ce_resolve(host.isEmpty ? nil : host, port, 1, &found, 1)
        guard count > 0 else {
            throw ListenError(
                address: address.description, problem: String(cString: ce_resolve_error(count)),
                fix: "write an address of this machine, such as 127.0.0.1, or a name that resolves to one")
        }
        let descriptor = ce_socket(ce_family(&found))
        guard descriptor >= 0 else { throw failure(address, -descriptor) }
        var status = ce_set_reuse_address(descriptor)
        if status >= 0, reusePort { status = ce_set_reuse_port(descriptor) }
        if status >= 0 { status = ce_bind(descriptor, &found) }
        if status >= 0 { status = ce_listen(descriptor, backlog) }
        guard status >= 0 else {
            _ = Glibc.close(descriptor)
            throw failure(address, -status)
        }
        return ListenSocket(descriptor: descriptor, bound: localAddress(descriptor) ?? address)
    }

    private static func openUnix(
        _ address: SocketAddress, _ path: String, _ mode: UInt16
    ) throws(ListenError) -> ListenSocket {
        var target = ce_address()
        guard ce_unix_address(path, &target) >= 0 else {
            throw ListenError(
                address: address.description, problem: "the path has more than 107 bytes", fix: "use a shorter one")
        }
        let descriptor = ce_socket(AF_UNIX)
        guard descriptor >= 0 else { throw failure(address, -descriptor) }
        // The mode of the descriptor becomes that of the file, so there is no moment in which others may connect.
        _ = fchmod(descriptor, mode_t(mode))
        var status = ce_bind(descriptor, &target)
        if status == -EADDRINUSE, removeStale(path, &target) { status = ce_bind(descriptor, &target) }
        if status >= 0 {
            _ = chmod(path, mode_t(mode))
            status = ce_listen(descriptor, backlog)
        }
        guard status >= 0 else {
            _ = Glibc.close(descriptor)
            throw failure(address, -status)
        }
        return ListenSocket(descriptor: descriptor, bound: address)
    }

    /// Removes the socket file of a process that was killed: one on which no process listens. Returns true if it was
    /// removed.
    private static func removeStale(_ path: String, _ target: inout ce_address) -> Bool {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return false }
        let probe = ce_socket(AF_UNIX)
        guard probe >= 0 else { return false }
        defer { _ = Glibc.close(probe) }
        return ce_connect(probe, &target) == -ECONNREFUSED && unlink(path) == 0
    }

    private static func adopt(_ address: SocketAddress, _ descriptor: Int32) throws(ListenError) -> ListenSocket {
        guard ce_is_listening(descriptor) != 0 else {
            throw ListenError(
                address: address.description, problem: "it is no listening stream socket",
                fix: "let the socket unit say ListenStream= and Accept=no")
        }
        _ = ce_set_nonblocking(descriptor)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        return ListenSocket(descriptor: descriptor, bound: localAddress(descriptor) ?? address)
    }

    /// The address to which a descriptor is bound; a Unix socket is returned as its descriptor. Nil if it has none.
    static func localAddress(_ descriptor: Int32) -> SocketAddress? {
        var address = ce_address()
        guard ce_local_address(descriptor, &address) >= 0 else { return nil }
        let host = UnsafeMutablePointer<CChar>.allocate(capacity: 128)
        defer { host.deallocate() }
        var port: UInt16 = 0
        guard ce_describe(&address, host, 128, &port) >= 0 else { return nil }
        if ce_family(&address) == AF_UNIX { return .descriptor(descriptor) }
        return .tcp(host: String(cString: host), port: port)
    }

    private static func failure(_ address: SocketAddress, _ code: Int32) -> ListenError {
        let fix =
            switch code {
            case EADDRINUSE: "stop the program that listens there, or choose another address"
            case EADDRNOTAVAIL: "write an address that this machine has (`ip address` lists them)"
            case EACCES, EPERM: "use a port above 1023, or let systemd pass the socket, or check the folder's owner"
            case ENOENT, ENOTDIR: "create the folder first, or let the unit do it with RuntimeDirectory="
            case EMFILE, ENFILE: "raise the limit of open files (LimitNOFILE=)"
            default: "check the address"
            }
        return ListenError(address: address.description, problem: describeErrno(code), fix: fix)
    }
}
