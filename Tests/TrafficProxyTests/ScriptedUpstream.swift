import Glibc
import Synchronization
import TestSupport

/// A server whose connections are played by a closure, each on a thread of its own: for everything that a decent HTTP
/// server would not do.
final class ScriptedUpstream: Sendable {
    let port: UInt16
    private let listener: Int32
    private let count = Mutex(0)

    /// Connections that were accepted so far.
    var accepted: Int { count.withLock { $0 } }

    init(_ script: @escaping @Sendable (RawClient, Int) -> Void) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                precondition(bind(descriptor, $0, length) == 0)
                precondition(listen(descriptor, 128) == 0)
                precondition(getsockname(descriptor, $0, &length) == 0)
            }
        }
        port = UInt16(bigEndian: address.sin_port)
        listener = descriptor
        spawn { [weak self] in
            while true {
                let fd = accept(descriptor, nil, nil)
                guard fd >= 0 else {
                    // Closed here and nowhere else: a number that was given to another socket meanwhile must not be
                    // accepted from.
                    close(descriptor)
                    return
                }
                guard let number = self?.next() else {
                    close(fd)
                    continue
                }
                spawn { script(RawClient(descriptor: fd), number) }
            }
        }
    }

    private func next() -> Int {
        count.withLock { count in
            defer { count += 1 }
            return count
        }
    }

    deinit {
        // Ends the thread that waits in accept, which closes it.
        shutdown(listener, Int32(SHUT_RDWR))
    }
}

/// Runs on a thread of its own. Test scripts block, and the pool of Swift's tasks must not.
func spawn(_ body: @escaping @Sendable () -> Void) {
    final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    let context = Unmanaged.passRetained(Box(body)).toOpaque()
    pthread_create(
        &thread, nil,
        { context in
            Unmanaged<Box>.fromOpaque(context!).takeRetainedValue().body()
            return nil
        }, context)
    pthread_detach(thread)
}

/// A port that refuses connections. It stays bound while the process runs: a port that was closed may be given to the server
/// of another test, which would respond. A server that asks for this very port gets it.
func deadPort() -> UInt16 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var isReusable: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &isReusable, socklen_t(MemoryLayout<Int32>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    withUnsafeMutablePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            precondition(bind(descriptor, $0, length) == 0)
            precondition(getsockname(descriptor, $0, &length) == 0)
        }
    }
    return UInt16(bigEndian: address.sin_port)
}
