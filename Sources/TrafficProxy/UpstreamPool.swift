import CLinuxEngine
import Glibc
import HTTPEngine

/// The connections of one loop to its servers: opened, lent to one request at a time, kept while idle, closed. The pool
/// owns the records; whoever takes a connection gives it back with `release` or `close`.
final class UpstreamPool {
    enum Opened {
        case connected(Upstream)
        case connecting(Upstream)
        /// The server refused the connection.
        case refused
        /// No socket is left on this host.
        case exhausted
    }

    private let loop: EventLoop
    private let buffers: BufferPool
    private let maxConnections: Int
    private let maxIdle: Int
    private var records = Slab(blank: UpstreamRecord())
    private var idleCount = 0
    /// Connections on which the server sent bytes that no request had asked for, since the last report, by the arm of
    /// the last request.
    private var surplus: [ArmKey: UInt64] = [:]
    /// True while the loop stops: connections are not kept any more.
    var isDraining = false
    /// The time at which the first idle connection is to be closed, as far as it is known.
    private(set) var nextDeadline = Int64.max

    init(_ loop: EventLoop, _ buffers: BufferPool, _ limits: ProxyLimits) {
        self.loop = loop
        self.buffers = buffers
        maxConnections = limits.maxUpstreams
        maxIdle = limits.maxIdleUpstream
    }

    deinit { records.deallocate() }

    /// The number of open connections, idle ones too.
    var count: Int { records.inUse }
    var isFull: Bool { records.inUse >= maxConnections }

    @inline(__always) func turnEnded() { records.turnEnded() }

    /// Takes a kept-alive connection on which nothing has come since its last response. One with bytes to read is
    /// closed: they belong to no request, and the next one would take them for its response. The kernel is asked each
    /// time, since an event for this connection may still wait behind the one that is being handled.
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

    /// Opens a connection. Where there are as many as there may be, an idle one of any server makes room.
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

    /// Takes a connection back from its request. It is kept where both sides are at a clean end.
    /// - Parameter idleTimeout: nanoseconds for which it is kept.
    func release(_ u: Upstream, reuse: Bool, idleTimeout: Int64) {
        let server = u.server
        server.pointee.outstanding -= 1
        u.client = nil
        u.pointee.mirror = nil
        let isWanted =
            server.pointee.tables > 0 && server.pointee.idleCount < maxIdle
            && u.pointee.addressVersion == server.pointee.addressVersion
            && !isDraining
        // Bytes beyond the response end the connection: they belong to no request.
        if reuse, u.pointee.isReusable, !u.input.isEmpty { countSurplus(u) }
        guard reuse, u.pointee.isReusable, isWanted, u.input.isEmpty else { return close(u) }
        buffers.reclaim(&u.input)
        watch(u, reading: true, writing: false)
        u.phase = .idle
        u.pointee.deadline = loop.now + idleTimeout
        nextDeadline = min(nextDeadline, u.pointee.deadline)
        link(u, server)
    }

    /// Stops and starts reading from a server and waiting for it to take more.
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

    /// Something came on a connection before its first request was sent: it carries no further one.
    func spokeUnasked(_ u: Upstream) {
        if u.pointee.isReusable, u.transport.hasInput { countSurplus(u) }
        u.pointee.isReusable = false
    }

    /// Closes a connection without a request on which something came: the server's end of it, or bytes.
    func closeUnasked(_ u: Upstream) {
        if u.transport.hasInput { countSurplus(u) }
        close(u)
    }

    /// Returns the connections with surplus bytes since the last call, by arm.
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

    /// Gives up an idle connection for one that is needed. Returns false where none is idle.
    @discardableResult
    private func closeAnyIdle() -> Bool {
        guard idleCount > 0, let idle = records.first(where: { $0.isOpen && $0.phase == .idle }) else { return false }
        close(idle)
        return true
    }
}
