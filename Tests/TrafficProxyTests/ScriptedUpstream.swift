import Glibc
import Synchronization
import TestSupport

/// A server whose connections are handled by a closure, each on a thread of its own, for behavior that no HTTP server
/// would show.
final class ScriptedUpstream: Sendable {
    let port: UInt16
    private let listener: Int32
    private let count = Mutex(0)

    /// Connections that were accepted so far.
    var accepted: Int { count.withLock { $0 } }

    init(_ script: @escaping @Sendable (RawClient, Int) -> Void) {
        let socket = LoopbackSocket(backlog: 128)
        let descriptor = socket.descriptor
        (port, listener) = (socket.port, descriptor)
        spawn { [weak self] in
            while true {
                let fd = accept(descriptor, nil, nil)
                guard fd >= 0 else {
                    // Only this thread closes the descriptor, so that it never accepts from another socket that got the
                    // same number.
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
        // The shutdown ends the wait in accept; the waiting thread then closes the descriptor.
        shutdown(listener, Int32(SHUT_RDWR))
    }
}

/// Runs a function on a thread of its own, since test scripts block, which the pool of Swift's tasks must not.
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

/// A port that refuses connections. It stays bound while the process runs: a port that was closed may be given to the
/// server of another test, which would respond.
func deadPort() -> UInt16 { LoopbackSocket(backlog: nil).port }
