import CLinuxEngine
import Glibc

/// A thread of its own for work that blocks or runs for long. All signals are blocked in it, so that the main thread
/// receives them.
public struct WorkerThread: @unchecked Sendable {
    private let handle: pthread_t

    /// Starts a thread that runs `body` once.
    /// - Parameter name: shown by ps(1) and debuggers; the first 15 bytes are kept.
    /// - Throws: `ThreadError` where the system has no more threads.
    public init(named name: String, _ body: @escaping @Sendable () -> Void) throws(ThreadError) {
        var everything = sigset_t()
        var before = sigset_t()
        sigfillset(&everything)
        pthread_sigmask(SIG_BLOCK, &everything, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        let start = Unmanaged.passRetained(Start(name: name, body: body))
        var handle = pthread_t()
        let status = pthread_create(
            &handle, nil,
            { context in
                let start = Unmanaged<Start>.fromOpaque(context!).takeRetainedValue()
                ce_name_thread(start.name)
                start.body()
                return nil
            }, start.toOpaque())
        guard status == 0 else {
            start.release()
            throw ThreadError(name: name, code: status)
        }
        self.handle = handle
    }

    /// Starts a thread that nobody waits for; a system without threads to give is a programming error here.
    public static func run(_ name: String, _ body: @escaping @Sendable () -> Void) {
        do { try WorkerThread(named: name, body).detach() } catch { preconditionFailure("\(error)") }
    }

    /// A number that differs from that of every other living thread; equal to `current` on the thread itself.
    public var identity: UInt { UInt(handle) }

    /// The identity of the calling thread.
    public static var current: UInt { UInt(pthread_self()) }

    /// Waits for the thread to end. Each thread is joined or detached once.
    public func join() { pthread_join(handle, nil) }

    /// Lets the thread end by itself. Each thread is joined or detached once.
    public func detach() { pthread_detach(handle) }

    private final class Start: Sendable {
        let name: String
        let body: @Sendable () -> Void

        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = String(decoding: name.utf8.prefix(15), as: UTF8.self)
            self.body = body
        }
    }
}

/// The system refused to start a thread, usually for a limit on the number of tasks.
public struct ThreadError: Error, Hashable, CustomStringConvertible, Sendable {
    /// The name that the thread would have had.
    public let name: String
    /// The error number of pthread_create(3).
    public let code: Int32

    public var description: String { "thread \(name) cannot be started: \(String(cString: strerror(code)))" }
}
