import CLinuxEngine
import Glibc

/// An HTTP/1.1 server, confined to one loop. It supports keep-alive and pipelining, reads complete requests, and sends
/// complete or streamed responses.
public final class HTTPServer: @unchecked Sendable {
    public let loop: EventLoop
    public let limits: HTTPServerLimits
    let handler: (HTTPRequest, HTTPResponder) -> Void
    let parser: HeadParser
    let date = HTTPDate()
    /// The buffer for reads, shared by all connections, which copy from it at once.
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)

    private var listeners: [Listener] = []
    private var connections: [ObjectIdentifier: ServerConnection] = [:]
    /// The connections that may give way to new ones, in the order of the lists and within each the longest waiting
    /// first: those that have not sent a complete request head yet, those kept alive between two requests, and those
    /// within a request.
    private var waiting = WaitingLists()
    private var sweep: Timer?
    private var whenDrained: (() -> Void)?
    private(set) var isDraining = false

    /// The interval at which deadlines, which are seconds long, are checked.
    private static let sweepInterval = Duration.milliseconds(250)

    /// - Parameter handler: called on the loop for each request; it responds there, at once or later.
    public init(
        loop: EventLoop, limits: HTTPServerLimits = .init(),
        handler: @escaping (HTTPRequest, HTTPResponder) -> Void
    ) {
        self.loop = loop
        self.limits = limits
        self.handler = handler
        parser = HeadParser(maxTarget: min(limits.maxHead, 8192))
    }

    deinit { scratch.deallocate() }

    /// Starts to listen on an address. Returns the bound address, with the port that the system chose.
    @discardableResult
    public func listen(_ address: SocketAddress) throws -> SocketAddress {
        loop.assertCurrent()
        let socket = try ListenSocket.open(address)
        let listener = Listener(server: self, socket: socket)
        try loop.register(listener, descriptor: socket.descriptor, interest: .readable)
        listeners.append(listener)
        return socket.bound
    }

    public var connectionCount: Int { connections.count }
    /// The number of connections that were closed to make room for new ones, since the start.
    public private(set) var displacedConnectionCount: UInt64 = 0

    /// Stops accepting, finishes open requests, cuts off those that are still open after the grace, and then calls
    /// `then` on the loop.
    public func drain(grace: Duration, then: @escaping () -> Void) {
        loop.assertCurrent()
        for listener in listeners {
            loop.deregister(listener)
            listener.socket.close()
        }
        listeners = []
        isDraining = true
        whenDrained = then
        for connection in Array(connections.values) { connection.drain() }
        guard !connections.isEmpty else { return finishDrain() }
        loop.schedule(after: grace) { [self] in
            for connection in Array(connections.values) { connection.close() }
        }
    }

    /// Closes everything at once, including listeners; socket files stay. Call it after the loop has ended.
    public func close() {
        for listener in listeners {
            let descriptor = listener.descriptor
            loop.deregister(listener)
            Glibc.close(descriptor)
        }
        listeners = []
        for connection in Array(connections.values) { connection.close() }
    }

    private func finishDrain() {
        guard let then = whenDrained else { return }
        whenDrained = nil
        if let sweep { loop.cancel(sweep) }
        sweep = nil
        then()
    }
}

extension HTTPServer {
    /// Accepts the connections in the backlog. At the limit of connections, or if no descriptor is left, a connection
    /// without a complete request is closed for each new one, so that clients that connect and send nothing do not keep
    /// others out.
    fileprivate func accept(_ listener: Listener) {
        for _ in 0..<Self.acceptsPerTurn {
            let isFull = connections.count >= limits.maxConnections
            guard !isFull || waiting.first != nil else { return listener.pause() }
            let descriptor = ce_accept(listener.socket.descriptor)
            if descriptor < 0 {
                let isShort =
                    descriptor == -EMFILE || descriptor == -ENFILE || descriptor == -ENOBUFS || descriptor == -ENOMEM
                guard isShort else { return }
                if closeWaiting() { continue }
                listener.pause()
                loop.schedule(after: .milliseconds(100)) { listener.resume() }
                return
            }
            if isFull { closeWaiting() }
            _ = ce_set_no_delay(descriptor)
            let connection = ServerConnection(
                server: self, isUnix: listener.isUnix, peer: listener.isUnix ? peer(descriptor) : nil)
            guard (try? loop.register(connection, descriptor: descriptor, interest: [.readable, .peerClosed])) != nil
            else {
                Glibc.close(descriptor)
                return
            }
            connections[ObjectIdentifier(connection)] = connection
            connection.started()
            armSweep()
        }
    }

    /// The largest number of connections to accept in a turn, so that a flood of them does not starve open ones.
    private static let acceptsPerTurn = 64

    /// Closes the connection that gives way first. Returns false if none may.
    @discardableResult
    private func closeWaiting() -> Bool {
        guard let connection = waiting.first else { return false }
        displacedConnectionCount &+= 1
        connection.close()
        return true
    }

    /// Updates the lists of connections that may give way.
    /// - Parameter reason: what the connection waits for; nil if it is busy or closed.
    func note(_ connection: ServerConnection, waitsFor reason: ServerConnection.Waiting?) {
        waiting.remove(connection)
        if let reason { waiting.append(connection, reason) }
    }

    private func peer(_ descriptor: Int32) -> HTTPRequest.Peer? {
        var pid: Int32 = 0
        var uid: UInt32 = 0
        guard ce_peer_credentials(descriptor, &pid, &uid) >= 0 else { return nil }
        return HTTPRequest.Peer(pid: pid, uid: uid)
    }

    func closed(_ connection: ServerConnection) {
        connections[ObjectIdentifier(connection)] = nil
        for listener in listeners { listener.resume() }
        if isDraining, connections.isEmpty { finishDrain() }
    }

    private func armSweep() {
        guard sweep == nil else { return }
        sweep = loop.schedule(after: Self.sweepInterval) { [weak self] in
            guard let self else { return }
            sweep = nil
            let now = loop.now
            for connection in Array(connections.values) where connection.deadline <= now { connection.expire() }
            if !connections.isEmpty { armSweep() }
        }
    }
}

/// Lists of the connections by what they wait for, in the order in which they began to wait. The links are in the
/// connections themselves, so that every operation takes constant time.
private struct WaitingLists {
    private struct Ends {
        var first: ServerConnection?
        unowned(unsafe) var last: ServerConnection?
    }

    private var lists = [Ends](repeating: Ends(), count: ServerConnection.Waiting.allCases.count)

    var first: ServerConnection? {
        for list in lists { if let first = list.first { return first } }
        return nil
    }

    mutating func append(_ connection: ServerConnection, _ reason: ServerConnection.Waiting) {
        precondition(connection.waiting == nil, "a connection is in one list at most")
        connection.waiting = reason
        let last = lists[reason.rawValue].last
        connection.previousWaiting = last
        if let last { last.nextWaiting = connection } else { lists[reason.rawValue].first = connection }
        lists[reason.rawValue].last = connection
    }

    mutating func remove(_ connection: ServerConnection) {
        guard let reason = connection.waiting else { return }
        let next = connection.nextWaiting
        let previous = connection.previousWaiting
        connection.waiting = nil
        connection.nextWaiting = nil
        connection.previousWaiting = nil
        if let next { next.previousWaiting = previous } else { lists[reason.rawValue].last = previous }
        if let previous { previous.nextWaiting = next } else { lists[reason.rawValue].first = next }
    }
}

/// A listening socket. It is paused while there is no room for a connection, so that a level-triggered epoll does not
/// spin.
private final class Listener: EventSource {
    let socket: ListenSocket
    private unowned let server: HTTPServer
    private var paused = false

    init(server: HTTPServer, socket: ListenSocket) {
        self.server = server
        self.socket = socket
    }

    var isUnix: Bool { if case .tcp = socket.bound { false } else { true } }

    override func ready(_ events: ReadyEvents) { server.accept(self) }

    func pause() {
        guard !paused, descriptor >= 0 else { return }
        paused = true
        server.loop.modify(self, interest: [])
    }

    func resume() {
        guard paused, descriptor >= 0 else { return }
        paused = false
        server.loop.modify(self, interest: .readable)
    }
}
