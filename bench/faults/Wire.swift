import CLinuxEngine
import Glibc
import HTTPEngine

/// An event loop with its own thread and the read buffer of its connections.
final class Lane: @unchecked Sendable {
    let loop: EventLoop
    let block = UnsafeMutablePointer<UInt8>.allocate(capacity: Lane.blockSize)
    static let blockSize = 64 << 10

    init(_ name: String) throws {
        loop = try EventLoop(name: name)
        loop.start()
    }

    /// Runs a closure on the loop and waits for its result.
    func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) throws -> Value { try loop.sync(body) }

    func every(_ interval: Duration, _ body: @escaping () -> Bool) {
        loop.schedule(after: interval) { [self] in if body() { every(interval, body) } }
    }
}

/// Either end of a TCP connection on a loop. It sends and receives bytes; subclasses implement the protocol.
class Wire: EventSource {
    let lane: Lane
    private var output: [UInt8] = []
    private var sent = 0
    private var interest = ReadyEvents.readable
    private(set) var isConnected: Bool
    /// False to stop reading, as a slow client does.
    var isReading = true { didSet { if isReading != oldValue { watch() } } }

    /// Takes over an accepted connection.
    init(_ lane: Lane, accepted descriptor: Int32) throws {
        self.lane = lane
        isConnected = true
        super.init()
        try lane.loop.register(self, descriptor: descriptor, interest: .readable)
    }

    /// Connects to a port; `opened` or `closed` is called later. It has to be called on the loop.
    /// - Parameter source: the last byte of the client's address in 127.0.0.0/24. Each address has its own ports.
    init(_ lane: Lane, port: UInt16, source: UInt8 = 1, receiveBuffer: Int32 = 0) throws {
        self.lane = lane
        isConnected = false
        super.init()
        let descriptor = ce_socket(AF_INET)
        guard descriptor >= 0 else { throw Problem("no socket: \(String(cString: strerror(-descriptor)))") }
        if receiveBuffer > 0 { _ = ce_set_buffers(descriptor, 0, receiveBuffer) }
        var target = loopback(port)
        if source != 1 {
            var from = loopback(0, source)
            _ = ce_bind(descriptor, &from)
        }
        let status = ce_connect(descriptor, &target)
        guard status == 0 || status == -EINPROGRESS else {
            Glibc.close(descriptor)
            throw Problem("connect: \(String(cString: strerror(-status)))")
        }
        _ = ce_set_no_delay(descriptor)
        interest = [.readable, .writable]
        try lane.loop.register(self, descriptor: descriptor, interest: interest)
    }

    // MARK: - For subclasses

    /// Called when the connection is established.
    func opened() {}
    /// Called with received bytes, which are valid during the call.
    func received(_ bytes: UnsafeBufferPointer<UInt8>) {}
    /// Called when the peer has closed the connection.
    /// - Parameter reset: whether it was reset.
    func closed(reset: Bool) {}
    /// Called when all written bytes are in the kernel's buffer.
    func drained() {}

    // MARK: -

    var isOpen: Bool { descriptor >= 0 }
    var pending: Int { output.count - sent }

    func write(_ bytes: [UInt8]) {
        guard isOpen else { return }
        output += bytes
        if isConnected { flush() }
    }

    /// Writes as many bytes as fit into the kernel's buffer now, and returns their number.
    func writeNow(_ bytes: UnsafeBufferPointer<UInt8>) -> Int {
        guard isOpen, isConnected, pending == 0 else { return 0 }
        let n = ce_send(descriptor, bytes.baseAddress!, bytes.count, 0)
        if n < bytes.count { wantsRoom = true }
        watch()
        return max(n, 0)
    }

    private var wantsRoom = false

    func close(reset: Bool = false) {
        guard isOpen else { return }
        let old = descriptor
        if reset { _ = ce_set_reset_on_close(old) }
        lane.loop.deregister(self)
        Glibc.close(old)
    }

    override func ready(_ events: ReadyEvents) {
        if !isConnected {
            guard ce_socket_error(descriptor) == 0, events.isDisjoint(with: [.failed, .hungUp]) else {
                close()
                return closed(reset: true)
            }
            guard events.contains(.writable) else { return }
            isConnected = true
            watch()
            opened()
            flush()
            return
        }
        if events.contains(.writable) {
            wantsRoom = false
            flush()
        }
        guard isOpen, isReading || !events.isDisjoint(with: [.failed, .hungUp]) else { return }
        if !events.isDisjoint(with: [.readable, .failed, .hungUp]) { read() }
    }

    private func read() {
        let n = ce_receive(descriptor, lane.block, Lane.blockSize)
        if n > 0 { return received(UnsafeBufferPointer(start: lane.block, count: n)) }
        if n == -Int(EAGAIN) || n == -Int(EINTR) { return }
        close()
        closed(reset: n < 0)
    }

    private func flush() {
        while pending > 0 {
            let n = output.withUnsafeBufferPointer { ce_send(descriptor, $0.baseAddress! + sent, pending, 0) }
            if n == -Int(EINTR) { continue }
            // A broken connection is detected by the next read.
            if n <= 0 { break }
            sent += n
        }
        if pending == 0 {
            output.removeAll(keepingCapacity: true)
            sent = 0
            watch()
            if isOpen, !wantsRoom { drained() }
        } else {
            watch()
        }
    }

    private func watch() {
        guard isOpen, isConnected else { return }
        var wanted: ReadyEvents = isReading ? [.readable] : []
        if pending > 0 || wantsRoom { wanted.insert(.writable) }
        guard wanted != interest else { return }
        interest = wanted
        lane.loop.modify(self, interest: wanted)
    }
}

/// The address 127.0.0.`last`.
func loopback(_ port: UInt16, _ last: UInt8 = 1) -> ce_address {
    var address = ce_address()
    _ = ce_resolve("127.0.0.\(last)", port, 0, &address, 1)
    return address
}

/// An error that prevents a measurement.
struct Problem: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
