import CLinuxEngine
import Glibc
import HTTPEngine
import Synchronization

/// A server behind the proxy. It responds normally unless its behavior is changed, and records when requests arrived. It
/// lives as long as its process.
final class Origin: @unchecked Sendable {
    /// The way in which the server handles a request.
    enum Behavior: Sendable {
        /// Responds normally.
        case answers
        /// Does not respond.
        case hangs
        /// Resets the connection.
        case resets
        /// Responds with bytes that are not HTTP.
        case sendsGarbage
    }

    let lane: Lane
    let port: UInt16
    private let script: ((OriginWire, OriginRequest) -> Bool)?
    private var listener: Door?
    fileprivate var behavior = Behavior.answers
    fileprivate var wires: [ObjectIdentifier: OriginWire] = [:]
    /// The arrival of each request in nanoseconds on the monotonic clock.
    private let arrivals = Mutex<[Int64]>([])
    fileprivate let reply: [UInt8]

    /// - Parameter script: called on the lane for each request; it returns true if it has responded itself.
    init(
        _ lane: Lane, port: UInt16 = 0, bodyCount: Int = 130, script: ((OriginWire, OriginRequest) -> Bool)? = nil
    ) throws {
        self.lane = lane
        self.script = script
        let head = "HTTP/1.1 200 OK\r\ncontent-length: \(bodyCount)\r\nx-length: \(bodyCount)\r\n\r\n"
        reply = Array(head.utf8) + [UInt8](repeating: 0x61, count: bodyCount)
        let socket = try ListenSocket.open(.tcp(host: "127.0.0.1", port: port))
        guard case .tcp(_, let port) = socket.bound else { throw Problem("not bound") }
        self.port = port
        try lane.run { try self.open(socket) }
    }

    private func open(_ socket: ListenSocket) throws {
        let door = Door(self, socket)
        try lane.loop.register(door, descriptor: socket.descriptor, interest: .readable)
        listener = door
    }

    /// Changes the behavior and closes all connections, including those that hang.
    func behave(_ behavior: Behavior) throws {
        try lane.run { [self] in
            self.behavior = behavior
            for wire in Array(wires.values) { wire.close(reset: true) }
            wires = [:]
        }
    }

    /// Stops listening and resets all connections.
    func refuse() throws {
        try lane.run { [self] in
            guard let door = listener else { return }
            lane.loop.deregister(door)
            door.socket.close()
            listener = nil
            for wire in Array(wires.values) { wire.close(reset: true) }
            wires = [:]
        }
    }

    func listenAgain() throws {
        let port = port
        try lane.run { [self] in
            guard listener == nil else { return }
            try open(ListenSocket.open(.tcp(host: "127.0.0.1", port: port)))
        }
    }

    var count: Int { arrivals.withLock { $0.count } }

    func takeArrivals() -> [Int64] {
        arrivals.withLock { list in
            defer { list = [] }
            return list
        }
    }

    fileprivate func handle(_ wire: OriginWire, _ request: OriginRequest) {
        let now = EventLoop.clock()
        arrivals.withLock { $0.append(now) }
        switch behavior {
        case .answers: if script?(wire, request) != true { wire.write(reply) }
        case .hangs: break
        case .resets:
            wires[ObjectIdentifier(wire)] = nil
            wire.close(reset: true)
        case .sendsGarbage: wire.write(Array("\u{1}\u{2} no HTTP at all\r\n\r\n".utf8))
        }
    }

    private final class Door: EventSource {
        let socket: ListenSocket
        private let origin: Origin

        init(_ origin: Origin, _ socket: ListenSocket) {
            self.origin = origin
            self.socket = socket
        }

        override func ready(_ events: ReadyEvents) {
            for _ in 0..<256 {
                let accepted = ce_accept(socket.descriptor)
                guard accepted >= 0 else { return }
                _ = ce_set_no_delay(accepted)
                guard let wire = try? OriginWire(origin, accepted) else { return }
                origin.wires[ObjectIdentifier(wire)] = wire
            }
        }
    }
}

struct OriginRequest {
    var method: String
    var path: String
    /// The value of the header `x-id`; empty if there is none.
    var id: String
    /// The length of the body, which has been read.
    var bodyCount: Int
}

/// A connection from the proxy. It parses heads, and counts and discards bodies.
final class OriginWire: Wire {
    private let origin: Origin
    private var head: [UInt8] = []
    private var request: OriginRequest?
    private var rest = 0
    private var decoder: ChunkDecoder?
    /// Called when all written bytes are in the kernel's buffer; for streams.
    var onDrained: ((OriginWire) -> Void)?
    var onClosed: (() -> Void)?

    init(_ origin: Origin, _ descriptor: Int32) throws {
        self.origin = origin
        try super.init(origin.lane, accepted: descriptor)
    }

    override func drained() { onDrained?(self) }

    override func closed(reset: Bool) {
        origin.wires[ObjectIdentifier(self)] = nil
        onClosed?()
    }

    override func received(_ bytes: UnsafeBufferPointer<UInt8>) {
        var at = 0
        while at < bytes.count, isOpen {
            if request != nil {
                takeBody(bytes, &at)
            } else {
                head.append(bytes[at])
                at += 1
                if head.last == 10, head.suffix(4) == [13, 10, 13, 10] { readHead() }
            }
            if let request, rest == 0, decoder == nil {
                self.request = nil
                origin.handle(self, request)
            }
        }
    }

    private func readHead() {
        let lines = String(decoding: head, as: UTF8.self).split(separator: "\r\n")
        head.removeAll(keepingCapacity: true)
        let words = lines[0].split(separator: " ")
        var found = OriginRequest(method: String(words[0]), path: String(words[1]), id: "", bodyCount: 0)
        for line in lines.dropFirst() {
            if line.hasPrefix("content-length: ") { rest = Int(line.dropFirst(16)) ?? 0 }
            if line.hasPrefix("transfer-encoding: chunked") { decoder = ChunkDecoder() }
            if line.hasPrefix("x-id: ") { found.id = String(line.dropFirst(6)) }
        }
        request = found
    }

    private func takeBody(_ bytes: UnsafeBufferPointer<UInt8>, _ at: inout Int) {
        guard decoder != nil else {
            let count = min(rest, bytes.count - at)
            rest -= count
            at += count
            request?.bodyCount += count
            return
        }
        switch decoder!.next(bytes.baseAddress!, bytes.count, &at) {
        case .data(_, let count): request?.bodyCount += count
        case .end: decoder = nil
        case .needsMore: break
        case .failed: close(reset: true)
        }
    }
}
