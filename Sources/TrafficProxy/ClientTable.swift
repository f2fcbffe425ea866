import Glibc
import HTTPEngine

/// The clients of one loop: their records, deadlines, and which of them may give way to a new one.
final class ClientTable {
    private let loop: EventLoop
    private let buffers: BufferPool
    private let limits: ProxyLimits
    private let giveWayAfter: Int64
    private let restingGiveWayAfter: Int64
    private var records = Slab(blank: ClientRecord())
    /// The index of the record at which the next search for a client that may give way begins.
    private var nextToGiveWay = 0
    /// A time before which no deadline passes. Deadlines are kept in the records and checked together, so that changing
    /// one costs only a comparison.
    private(set) var nextDeadline = Int64.max

    init(_ loop: EventLoop, _ buffers: BufferPool, _ limits: ProxyLimits) {
        self.loop = loop
        self.buffers = buffers
        self.limits = limits
        giveWayAfter = limits.giveWayAfter.nanoseconds
        restingGiveWayAfter = limits.restingGiveWayAfter.nanoseconds
    }

    deinit { records.deallocate() }

    /// The number of open connections.
    var count: Int { records.inUse }
    var isFull: Bool { records.inUse >= limits.maxConnections }

    @inline(__always) func turnEnded() { records.turnEnded() }

    /// Takes ownership of an accepted socket. Returns nil and closes the socket if the loop cannot watch it.
    func open(
        _ descriptor: Int32, _ address: InlineText, isTrusted: Bool, _ listener: UnsafeMutablePointer<ListenerRecord>
    ) -> Client? {
        let c = records.take()
        guard c.transport.open(descriptor, on: loop, record: c.record, .readable) else {
            records.put(c)
            return nil
        }
        c.pointee.address = address
        c.pointee.isTrusted = isTrusted
        c.pointee.listener = listener
        c.pointee.waitingSince = loop.now
        expect(c, by: loop.now + min(listener.pointee.idleTimeout, limits.headTimeout.nanoseconds))
        return c
    }

    /// Sets the connection's deadline.
    @inline(__always) func expect(_ c: Client, by deadline: Int64) {
        c.pointee.deadline = deadline
        if deadline < nextDeadline { nextDeadline = deadline }
    }

    /// Updates the events that the loop watches for this connection.
    @inline(__always) func watch(_ c: Client) {
        var wanted = ReadyEvents()
        // A watched end of input would be reported again at every turn of the loop.
        if !c.input.isFull, !c.inputEnded { wanted.insert(.readable) }
        if !c.output.isEmpty { wanted.insert(.writable) }
        c.transport.watch(wanted, on: loop, record: c.record)
    }

    /// Closes a connection and releases everything that it holds.
    func close(_ c: Client) {
        c.transport.close()
        AdmissionControl.leave(c)
        buffers.reclaim(&c.input)
        buffers.reclaim(&c.output)
        buffers.reclaim(&c.toServer)
        records.put(c)
    }

    func forEachOpen(_ body: (Client) -> Void) {
        records.all.forEach { if $0.isOpen { body($0) } }
    }

    /// Calls the body for each client whose deadline has passed. The body sets a new deadline or closes the client.
    func expire(now: Int64, _ body: (Client) -> Void) {
        guard now >= nextDeadline else { return }
        nextDeadline = .max
        var next = Int64.max
        forEachOpen { c in
            if c.pointee.deadline <= now {
                c.pointee.deadline = .max
                body(c)
            }
            if c.isOpen { next = min(next, c.pointee.deadline) }
        }
        nextDeadline = min(nextDeadline, next)
    }

    /// Finds a client that has not sent a complete request head for too long, so that silent connections do not keep
    /// others out. Each call examines a bounded number of records and continues where the last one stopped. A client
    /// that was served before is returned only if there is no other.
    func clientToDisplace() -> Client? {
        var resting: Client?
        for _ in 0..<min(records.count, Self.searchLength) {
            let c = records[nextToGiveWay % records.count]
            nextToGiveWay = (nextToGiveWay + 1) % records.count
            guard c.isOpen, c.phase == .head, c.output.isEmpty else { continue }
            let waited = loop.now - c.pointee.waitingSince
            if !c.pointee.hasAsked, waited >= giveWayAfter { return c }
            if resting == nil, c.input.isEmpty, waited >= restingGiveWayAfter { resting = c }
        }
        return resting
    }

    private static let searchLength = 256
}
