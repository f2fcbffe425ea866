import AdminAPI
import Glibc
import HTTPEngine

/// The admin API on real Unix sockets in a folder of its own, on a loop of its own; gone with the object.
public final class RunningAPI {
    public let backend: ScriptedBackend
    public let loop: EventLoop
    public let adminSocket: String
    public let feedbackSocket: String
    /// The port of the metrics listener on loopback.
    public let metricsPort: UInt16
    private let folder: String

    private final class Box: @unchecked Sendable {
        var server: AdminServer?
        var metrics: MetricsServer?
    }
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
        metricsPort = try loop.sync {
            let server = AdminServer(loop: loop, backend: backend)
            try server.listen(.admin, on: .unix(path: admin, mode: 0o660))
            try server.listen(.feedback, on: .unix(path: feedback, mode: 0o660))
            backend.listener = server
            box.server = server
            let metrics = MetricsServer(loop: loop) { [unowned server] in server.exposition() }
            box.metrics = metrics
            guard case .tcp(_, let port) = try metrics.listen(.tcp(host: "127.0.0.1", port: 0)) else { return 0 }
            return port
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

    /// The number of connections to the metrics listener that were closed to make room for new ones.
    public var metricsDisplaced: UInt64 {
        let box = box
        return try! loop.sync { box.metrics?.displacedConnectionCount ?? 0 }
    }

    deinit {
        let box = box
        loop.post { box.metrics?.drain(grace: .zero) { box.metrics = nil } }
        loop.post { box.server?.drain(grace: .zero) { box.server = nil } }
        loop.stop()
        loop.join()
        unlink(adminSocket)
        unlink(feedbackSocket)
        rmdir(folder)
    }
}
