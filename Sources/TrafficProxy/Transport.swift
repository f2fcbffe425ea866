import CLinuxEngine
import Glibc
import HTTPEngine

/// A non-blocking connected socket and the events that its owner waits for. Plain data; the record that contains it
/// closes the socket.
struct Transport {
    enum Received {
        case bytes(Int)
        /// There is nothing to read now.
        case blocked
        /// The peer has ended its output.
        case ended
        case broken
    }

    enum Sent {
        case bytes(Int)
        /// The send buffer is full.
        case blocked
        case broken
    }

    private(set) var descriptor: Int32 = -1
    private(set) var interest: ReadyEvents = []

    @inline(__always) var isOpen: Bool { descriptor >= 0 }
    /// True if the owner waits until the peer takes more bytes.
    @inline(__always) var wantsWrite: Bool { interest.contains(.writable) }

    /// Takes ownership of a connected or connecting socket and registers it. Returns false and closes the socket if the
    /// loop cannot watch it.
    mutating func open(_ descriptor: Int32, on loop: EventLoop, record: UInt64, _ interest: ReadyEvents) -> Bool {
        guard loop.register(record: record, descriptor: descriptor, interest: interest) else {
            Glibc.close(descriptor)
            return false
        }
        self.descriptor = descriptor
        self.interest = interest
        return true
    }

    /// Changes the events that the owner waits for.
    @inline(__always) mutating func watch(_ wanted: ReadyEvents, on loop: EventLoop, record: UInt64) {
        guard wanted != interest else { return }
        interest = wanted
        loop.modify(record: record, descriptor: descriptor, interest: wanted)
    }

    /// Reads once into the free part of a slice, which has room.
    @inline(__always) func receive(into slice: inout ByteSlice) -> Received {
        assert(slice.room > 0, "nothing can be read into a full slice")
        let n = ce_receive(descriptor, slice.free, slice.room)
        guard n > 0 else { return Self.result(n) }
        slice.end += n
        return .bytes(n)
    }

    /// Reads once and discards the bytes.
    func discard(into waste: UnsafeMutablePointer<UInt8>, _ size: Int) -> Received {
        let n = ce_receive(descriptor, waste, size)
        return n > 0 ? .bytes(n) : Self.result(n)
    }

    private static func result(_ n: Int) -> Received {
        n == 0 ? .ended : n == -Int(EAGAIN) || n == -Int(EINTR) ? .blocked : .broken
    }

    /// Sends once.
    /// - Precondition: `count` > 0.
    @inline(__always) func send(_ from: UnsafePointer<UInt8>, _ count: Int) -> Sent {
        while true {
            let n = ce_send(descriptor, from, count, 0)
            if n > 0 { return .bytes(n) }
            if n == -Int(EINTR) { continue }
            return n == -Int(EAGAIN) ? .blocked : .broken
        }
    }

    /// Sends a slice until it is empty or the send buffer is full. Returns the number of bytes sent; nil if the
    /// connection is broken.
    @inline(__always) func sendAll(of slice: inout ByteSlice) -> Int? {
        var sent = 0
        while !slice.isEmpty {
            switch send(slice.first, slice.count) {
            case .bytes(let n):
                slice.start += n
                sent += n
            case .blocked: return sent
            case .broken: return nil
            }
        }
        return sent
    }

    /// True if a connecting socket has failed to connect.
    var hasFailed: Bool { ce_socket_error(descriptor) != 0 }
    /// True if there is nothing to read, neither bytes nor the end of input.
    var isQuiet: Bool { ce_is_quiet(descriptor) != 0 }
    /// True if there are bytes to read.
    var hasInput: Bool { ce_has_input(descriptor) != 0 }

    /// Ends the output: the peer reads an end of input.
    func endOutput() { _ = ce_shutdown_write(descriptor) }
    /// Makes the coming close a reset, so that the peer sees that the connection broke.
    func resetOnClose() { _ = ce_set_reset_on_close(descriptor) }

    mutating func close() {
        guard isOpen else { return }
        Glibc.close(descriptor)
        self = Transport()
    }
}
