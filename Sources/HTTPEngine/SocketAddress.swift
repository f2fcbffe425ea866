import CLinuxEngine
import Glibc

/// The address at which a server listens.
public enum SocketAddress: Hashable, Sendable, CustomStringConvertible {
    /// A TCP address. The host is an address or a name, empty for every address. With port 0 the system chooses one.
    case tcp(host: String, port: UInt16)
    /// A Unix socket. The mode is that of the socket file, as for chmod.
    case unix(path: String, mode: UInt16)
    /// A descriptor that another process bound, such as systemd. The server owns it from then on.
    case descriptor(Int32)

    public var description: String {
        switch self {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path, _): "unix:\(path)"
        case .descriptor(let number): "descriptor \(number)"
        }
    }
}

/// An error in an address to listen on, with how to fix it.
public struct ListenError: Error, Hashable, CustomStringConvertible, Sendable {
    /// The address as it was written.
    public let address: String
    public let problem: String
    /// What to do about the problem, such as `use a port above 1023`.
    public let fix: String

    public init(address: String, problem: String, fix: String) {
        self.address = address
        self.problem = problem
        self.fix = fix
    }

    public var description: String { "cannot listen on \(address): \(problem); \(fix)" }
}
