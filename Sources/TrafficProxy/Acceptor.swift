import CLinuxEngine
import Glibc
import HTTPEngine
import PolicyModel

/// The listening sockets of one loop. The acceptor owns their records; a record that has clients lives until the loop
/// ends.
final class Acceptor {
    typealias Listener = UnsafeMutablePointer<ListenerRecord>

    enum Accepted {
        case client(Int32, InlineText, ce_ip)
        /// No connection waits.
        case nobody
        /// The host has no descriptor or memory left for the connection.
        case exhausted
        /// The connection was reset while it waited. Others may still be waiting.
        case reset
    }

    private let loop: EventLoop
    private var listeners: [ListenAddress: Listener] = [:]
    private var closed: [Listener] = []

    init(_ loop: EventLoop) { self.loop = loop }

    deinit {
        for listener in listeners.values { listener.deallocate() }
        for listener in closed { listener.deallocate() }
    }

    func isListening(_ address: ListenAddress) -> Bool { listeners[address] != nil }

    func open(_ address: ListenAddress, _ socket: OpenSocket) {
        guard listeners[address] == nil else { return }
        let listener = Listener.allocate(capacity: 1)
        listener.initialize(to: ListenerRecord())
        listener.pointee.fd = socket.descriptor
        listener.pointee.isUnix = socket.isUnix
        listener.pointee.isShared = socket.isShared
        listeners[address] = listener
        watch(listener)
    }

    func forEach(_ body: (ListenAddress, Listener) -> Void) {
        for (address, listener) in listeners { body(address, listener) }
    }

    /// Closes a listener.
    /// - Parameter acceptWaiting: called to accept the connections that wait in the backlog, whose clients count as
    ///   connected.
    func close(_ address: ListenAddress, acceptWaiting: (Listener) -> Void) {
        guard let listener = listeners.removeValue(forKey: address) else { return }
        closed.append(listener)
        if !listener.pointee.isPaused { loop.deregister(record: listener.pointee.fd) }
        listener.pointee.isPaused = true
        acceptWaiting(listener)
        Glibc.close(listener.pointee.fd)
        listener.pointee.fd = -1
    }

    /// Accepts the next connection that waits.
    func next(_ listener: Listener) -> Accepted {
        guard listener.pointee.fd >= 0 else { return .nobody }
        var address = InlineText()
        var status: Int32 = 0
        var ip = ce_ip()
        address.fill {
            var length: Int32 = 0
            status = ce_accept_from(listener.pointee.fd, $0, Int32(InlineText.capacity), &length, &ip)
            return Int(length)
        }
        switch status {
        case -EAGAIN: return .nobody
        case -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM: return .exhausted
        default: return status < 0 ? .reset : .client(status, address, ip)
        }
    }

    /// Stops watching a listener for a moment, since a level-triggered epoll would spin while there is no room for its
    /// clients.
    func pause(_ listener: Listener) {
        guard !listener.pointee.isPaused, listener.pointee.fd >= 0 else { return }
        listener.pointee.isPaused = true
        loop.deregister(record: listener.pointee.fd)
        loop.schedule(after: .milliseconds(100)) { [unowned self] in
            if listener.pointee.isPaused, listener.pointee.fd >= 0 { watch(listener) }
        }
    }

    private func watch(_ listener: Listener) {
        let record = UInt64(UInt(bitPattern: listener)) | RecordKind.listener.rawValue
        listener.pointee.isPaused = false
        if listener.pointee.isShared {
            loop.register(sharedRecord: record, descriptor: listener.pointee.fd)
        } else {
            loop.register(record: record, descriptor: listener.pointee.fd, interest: .readable)
        }
    }
}
