import Glibc

/// A TCP socket on a port of 127.0.0.1 that the system chose. Whoever makes it closes the descriptor.
public struct LoopbackSocket: Sendable {
    public let descriptor: Int32
    public let port: UInt16

    /// - Parameter backlog: the number of connections that may wait to be accepted; nil to bind without listening, so that
    ///   connections are refused, and no other server is given the port unless it asks for this very one.
    public init(backlog: Int32?) {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var isReusable: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &isReusable, socklen_t(MemoryLayout<Int32>.size))
        var address = Self.address(port: 0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                precondition(bind(descriptor, $0, length) == 0)
                if let backlog { precondition(listen(descriptor, backlog) == 0) }
                precondition(getsockname(descriptor, $0, &length) == 0)
            }
        }
        port = UInt16(bigEndian: address.sin_port)
    }

    private static func address(port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return address
    }

    /// Connects a socket to a port of 127.0.0.1.
    /// - Returns: the result of `connect`, which sets `errno`.
    public static func connect(_ descriptor: Int32, port: UInt16) -> Int32 {
        let address = address(port: port)
        return withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
