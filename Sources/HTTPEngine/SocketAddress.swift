import CLinuxEngine
import Glibc

/// The address at which a server listens.
public enum SocketAddress: Hashable, Sendable, CustomStringConvertible {
    /// Host is a literal or a name; empty: every address. Port 0: the system chooses.
    case tcp(host: String, port: UInt16)
    /// Mode is that of the socket file, as in chmod.
    case unix(path: String, mode: UInt16)
    /// A descriptor that someone else bound, such as systemd. Owned by the server from then on.
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
    public let mend: String

    public init(address: String, problem: String, mend: String) {
        self.address = address
        self.problem = problem
        self.mend = mend
    }

    public var description: String { "cannot listen on \(address): \(problem); \(mend)" }
}
