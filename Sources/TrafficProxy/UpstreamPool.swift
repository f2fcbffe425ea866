import CLinuxEngine
import Glibc
import HTTPEngine

/// The connections of one loop to its servers. The pool opens them, lends them to one request at a time, keeps them
/// while idle, and closes them. It owns the records; a connection that was taken has to be given back with `release` or
/// `close`.
final class UpstreamPool {
    enum Opened {
        case connected(Upstream)
        case connecting(Upstream)
        /// The server refused the connection.
        case refused
        /// The host has no descriptor or memory left for a socket.
        case exhausted
    }

    private let loop: EventLoop
    private let buffers: BufferPool
    private let maxConnections: Int
    private let maxIdle: Int
    private var records = Slab(blank: UpstreamRecord())
    private var idleCount = 0
    /// The numbers of connections on which the server sent bytes that no request had asked for, since the last report,
    /// by the arm of the last request.
    private var surplus: [ArmKey: UInt64] = [:]
    /// True while the loop stops and connections are no longer kept.
    var isDraining = false
    /// A time before which no idle connection has to be closed.
    private(set) var nextDeadline = Int64.max

    init(_ loop: EventLoop, _ buffers: BufferPool, _ limits: ProxyLimits) {
        self.loop = loop
        self.buffers = buffers
        maxConnections = limits.maxUpstreams
        maxIdle = limits.maxIdleUpstream
    }

    deinit { records.deallocate() }

    /// The number of open connections, including idle ones.
    var count: Int { records.inUse }
    var isFull: Bool { records.inUse >= maxConnections }

    @inline(__always) func turnEnded() { records.turnEnded() }

    /// Takes an idle connection on which nothing has come since its last response; nil if there is none. A connection
    /// with bytes to read is closed: no request asked for them, and the next would take them for its response. The
    /// socket is checked each time, since an event for the connection may still be queued.
    func takeIdle(_ server: UnsafeMutablePointer<Server>) -> Upstream? {
        while let u = server.pointee.idle {
            unlink(u)
            u.phase = .busy
            u.pointee.isReused = true
            if u.transport.isQuiet { return u }
            closeUnasked(u)
        }
        return nil
    }

    /// Opens a connection. If the limit is reached, an idle one of any server is closed for it.
    func open(_ server: UnsafeMutablePointer<Server>) -> Opened {
        if isFull { closeAnyIdle() }
        var fd = ce_socket(ce_family(&server.pointee.address))
        if fd < 0, closeAnyIdle() { fd = ce_socket(ce_family(&server.pointee.address)) }
        guard fd >= 0 else { return .exhausted }
        _ = ce_set_no_delay(fd)
        let status = ce_connect(fd, &server.pointee.address)
        guard status >= 0 || status == -EINPROGRESS else {
            Glibc.close(fd)
            return .refused
        }
        let u = records.take()
        let isConnected = status >= 0
        let interest: ReadyEvents = isConnected ? [.readable, .peerClosed] : [.readable, .peerClosed, .writable]
        guard u.transport.open(fd, on: loop, record: u.record, interest) else {
            records.put(u)
            return .exhausted
        }
        u.pointee.server = server
        u.pointee.addressVersion = server.pointee.addressVersion
        u.pointee.isReusable = server.pointee.reusesConnections
        u.phase = isConnected ? .busy : .connecting
        return isConnected ? .connected(u) : .connecting(u)
    }

    /// Lends a connection to one request of an arm. `client` and `mirror` are the caller's to set.
    @inline(__always) func lend(_ u: Upstream, to user: ArmKey) {
        u.pointee.user = user
        u.pointee.received = 0
        u.pointee.sent = 0
        u.pointee.scanner = HeadScanner()
        u.server.pointee.outstanding += 1
    }

    /// Takes a connection back from its request.
    /// - Parameters:
    ///   - reuse: true if the connection may be kept, because neither side has bytes left.
    ///   - idleTimeout: the time in nanoseconds for which it is kept.
    func release(_ u: Upstream, reuse: Bool, idleTimeout: Int64) {
        let server = u.server
        server.pointee.outstanding -= 1
        u.client = nil
        u.pointee.mirror = nil
        let isWanted =
            server.pointee.tables > 0 && server.pointee.idleCount < maxIdle
            && u.pointee.addressVersion == server.pointee.addressVersion
            && !isDraining
        // No request asked for bytes beyond the response, so they end the connection.
        if reuse, u.pointee.isReusable, !u.input.isEmpty { countSurplus(u) }
        guard reuse, u.pointee.isReusable, isWanted, u.input.isEmpty else { return close(u) }
        buffers.reclaim(&u.input)
        watch(u, reading: true, writing: false)
        u.phase = .idle
        u.pointee.deadline = loop.now + idleTimeout
        nextDeadline = min(nextDeadline, u.pointee.deadline)
        link(u, server)
    }

    /// Sets whether the connection is watched for input and for room to send.
    @inline(__always) func watch(_ u: Upstream, reading: Bool, writing: Bool) {
        var wanted: ReadyEvents = reading ? [.readable, .peerClosed] : []
        if writing { wanted.insert(.writable) }
        watch(u, wanted)
    }

    @inline(__always) func watch(_ u: Upstream, _ wanted: ReadyEvents) {
        u.transport.watch(wanted, on: loop, record: u.record)
    }

    /// Counts a connection that would have been kept, and on which the server sent bytes that no request had asked for.
    private func countSurplus(_ u: Upstream) { surplus[u.pointee.user, default: 0] += 1 }

    /// Handles bytes that came before the first request was sent. The connection is not reused.
    func spokeUnasked(_ u: Upstream) {
        if u.pointee.isReusable, u.transport.hasInput { countSurplus(u) }
        u.pointee.isReusable = false
    }

    /// Closes a connection without a request on which something came: the server's end of it, or bytes.
    func closeUnasked(_ u: Upstream) {
        if u.transport.hasInput { countSurplus(u) }
        close(u)
    }

    /// Returns the numbers of connections with surplus bytes since the last call, by arm.
    func drainSurplus() -> [ArmKey: UInt64] {
        guard !surplus.isEmpty else { return [:] }
        defer { surplus = [:] }
        return surplus
    }

    func close(_ u: Upstream) {
        guard u.isOpen else { return }
        if u.phase == .idle { unlink(u) }
        u.transport.close()
        buffers.reclaim(&u.input)
        records.put(u)
    }

    /// Closes a server's idle connections.
    func closeIdle(_ server: UnsafeMutablePointer<Server>) {
        while let idle = server.pointee.idle { close(idle) }
    }

    /// Closes idle connections whose time is over.
    func expire(now: Int64) {
        guard now >= nextDeadline else { return }
        nextDeadline = .max
        guard idleCount > 0 else { return }
        records.all.forEach { u in
            guard u.isOpen, u.phase == .idle else { return }
            if u.pointee.deadline <= now { close(u) } else { nextDeadline = min(nextDeadline, u.pointee.deadline) }
        }
    }

    private func link(_ u: Upstream, _ server: UnsafeMutablePointer<Server>) {
        u.pointee.previous = nil
        u.pointee.next = server.pointee.idle
        server.pointee.idle?.pointee.previous = u
        server.pointee.idle = u
        server.pointee.idleCount += 1
        idleCount += 1
    }

    private func unlink(_ u: Upstream) {
        let server = u.server
        if let previous = u.pointee.previous {
            previous.pointee.next = u.pointee.next
        } else {
            server.pointee.idle = u.pointee.next
        }
        u.pointee.next?.pointee.previous = u.pointee.previous
        u.pointee.next = nil
        u.pointee.previous = nil
        server.pointee.idleCount -= 1
        idleCount -= 1
    }

    /// Closes an idle connection to make room. Returns false if none is idle.
    @discardableResult
    private func closeAnyIdle() -> Bool {
        guard idleCount > 0, let idle = records.first(where: { $0.isOpen && $0.phase == .idle }) else { return false }
        close(idle)
        return true
    }
}
