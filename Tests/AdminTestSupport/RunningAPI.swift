import AdminAPI
import Glibc
import HTTPEngine

/// The admin API on real Unix sockets in a folder of its own, on a loop of its own; gone with the object.
public final class RunningAPI {
    public let backend: ScriptedBackend
    public let loop: EventLoop
    public let adminSocket: String
    public let feedbackSocket: String
    private let folder: String

    private final class Box: @unchecked Sendable { var server: AdminServer? }
    private let box = Box()

    public init(_ backend: ScriptedBackend) throws {
        self.backend = backend
        var template = Array("/tmp/canaryd-admin-XXXXXX".utf8CString)
        folder = template.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)) }
        adminSocket = folder + "/admin.sock"
        feedbackSocket = folder + "/feedback.sock"
        loop = try EventLoop(name: "control")
        loop.start()
        let (box, loop, admin, feedback) = (box, loop, adminSocket, feedbackSocket)
        try loop.sync {
            let server = AdminServer(loop: loop, backend: backend)
            try server.listen(.admin, on: .unix(path: admin, mode: 0o660))
            try server.listen(.feedback, on: .unix(path: feedback, mode: 0o660))
            backend.listener = server
            box.server = server
        }
    }

    /// Runs on the control thread.
    public func sync<Value: Sendable>(_ body: @escaping @Sendable (ScriptedBackend) -> Value) -> Value {
        let backend = backend
        return try! loop.sync { body(backend) }
    }

    /// Says goodbye as the agent does.
    public func drain() {
        let box = box
        try! loop.sync { box.server?.drain(grace: .zero) {} }
    }

    deinit {
        let box = box
        loop.post { box.server?.drain(grace: .zero) { box.server = nil } }
        loop.stop()
        loop.join()
        unlink(adminSocket)
        unlink(feedbackSocket)
        rmdir(folder)
    }
}
