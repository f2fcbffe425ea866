import AdminAPI
import HTTPEngine
import PolicyModel

/// The listener that Prometheus scrapes, which a reload may open, close or move to another address. It belongs to the
/// control thread.
final class MetricsListener {
    /// A listener that is open.
    struct Listener {
        /// The address as the agent's file says it.
        let configured: ListenAddress
        /// The address with the port that the system chose.
        let bound: SocketAddress
        fileprivate let server: MetricsServer
    }

    /// What a reload does with the listener.
    enum Change {
        case none
        case replace(by: Listener?)
    }

    private let loop: EventLoop
    private let render: () -> [UInt8]
    private(set) var listener: Listener?
    /// The number of connections that earlier listeners displaced.
    private var displacedEarlier: UInt64 = 0

    init(loop: EventLoop, render: @escaping () -> [UInt8]) {
        self.loop = loop
        self.render = render
    }

    /// The number of connections that were closed to make room for new ones, since the start.
    var displacedConnectionCount: UInt64 { displacedEarlier &+ (listener?.server.displacedConnectionCount ?? 0) }

    /// Opens the listener for an address, if it is not open already. Until `apply`, the present listener serves as well.
    /// - Parameter address: the address; nil for none.
    /// - Returns: the change, to be passed to `apply` or `discard`.
    /// - Throws: an error that says why the address cannot be opened.
    func prepare(_ address: ListenAddress?) throws -> Change {
        guard address != listener?.configured else { return .none }
        guard case .tcp(let host, let port)? = address else { return .replace(by: nil) }
        let server = MetricsServer(loop: loop, render: render)
        do {
            let bound = try server.listen(.tcp(host: host, port: port))
            return .replace(by: Listener(configured: .tcp(host: host, port: port), bound: bound, server: server))
        } catch {
            throw MetricsListenerError(reason: "\(error)")
        }
    }

    func apply(_ change: Change) {
        guard case .replace(let new) = change else { return }
        displacedEarlier = displacedConnectionCount
        drain()
        listener = new
    }

    func discard(_ change: Change) {
        guard case .replace(let new?) = change else { return }
        Self.drain(new)
    }

    /// Closes the listener, and soon its connections.
    func drain() {
        if let listener { Self.drain(listener) }
        listener = nil
    }

    private static func drain(_ listener: Listener) {
        let server = listener.server
        // The connections refer to the server until they are closed.
        server.drain(grace: .seconds(1)) { _ = server }
    }
}

/// The reason why the address of the metrics cannot be opened.
struct MetricsListenerError: Error, CustomStringConvertible {
    var reason: String

    var description: String { "metrics: \(reason)" }
}
