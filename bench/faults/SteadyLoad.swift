import Glibc
import HTTPEngine
import Synchronization

/// An open load: requests at a fixed rate, whether or not earlier ones were answered. The latency of a request counts from
/// the time at which it was due.
final class SteadyLoad: @unchecked Sendable {
    enum Outcome: UInt8, Sendable {
        /// A complete response with status 200 and the length that the origin states.
        case good
        /// A complete response with another status.
        case refused
        /// The connection was closed before the response was complete.
        case cut
        /// The response is malformed, or complete but not of the length that the origin states.
        case wrong
        /// The connection could not be established.
        case unconnected
    }

    struct Sample: Sendable {
        /// The time at which the request was due, in nanoseconds on the monotonic clock.
        var due: Int64
        /// The time at which the request was sent, in nanoseconds on the monotonic clock.
        var sent: Int64
        /// The latency in nanoseconds from the time at which the request was due.
        var took: Int64
        var isCandidate: Bool
        var isBaseline: Bool
        var status: Int
        var outcome: Outcome
    }

    private let lane: Lane
    private let port: UInt16
    private let interval: Double
    private let head: (Int) -> [UInt8]
    private var began: Int64 = 0
    private var issued = 0
    private var isOver = false
    private var idle: [LoadWire] = []
    private var underWay = 0
    private let samples = Mutex<[Sample]>([])
    private let left = Mutex(1)

    /// The most connections at a time. Further requests wait, which shows in their latency.
    private static let mostConnections = 4_000

    /// - Parameter request: returns the bytes of the request with the given number.
    init(_ lane: Lane, port: UInt16, rate: Int, request: @escaping @Sendable (Int) -> [UInt8]) {
        self.lane = lane
        self.port = port
        interval = 1e9 / Double(rate)
        head = request
        lane.loop.post { [self] in
            began = EventLoop.clock()
            lane.every(.milliseconds(1)) { [self] in issue() }
        }
    }

    convenience init(_ lane: Lane, port: UInt16, rate: Int) {
        let plain = Array("GET /v2/models/m HTTP/1.1\r\nHost: bench\r\n\r\n".utf8)
        self.init(lane, port: port, rate: rate) { _ in plain }
    }

    /// Ends the load, waits for the requests in flight, and returns the samples that were not taken yet.
    func end(timeout: Duration = .seconds(20)) -> [Sample] {
        lane.loop.post { [self] in isOver = true }
        let deadline = EventLoop.clock() + timeout.inNanoseconds
        while left.withLock({ $0 }) > 0, EventLoop.clock() < deadline { usleep(2_000) }
        try? lane.run { [self] in
            for wire in idle { wire.close() }
            idle = []
        }
        return takeSamples()
    }

    /// Returns the samples of the requests that ended since the last call.
    func takeSamples() -> [Sample] {
        samples.withLock { list in
            defer { list = [] }
            return list
        }
    }

    private func issue() -> Bool {
        let now = EventLoop.clock()
        while !isOver, began + Int64(Double(issued) * interval) <= now {
            guard !idle.isEmpty || underWay < Self.mostConnections else { break }
            let due = began + Int64(Double(issued) * interval)
            let bytes = head(issued)
            issued += 1
            underWay += 1
            if let wire = idle.popLast() {
                wire.ask(bytes, due)
            } else if let wire = try? LoadWire(self, lane, port) {
                wire.ask(bytes, due)
            } else {
                record(
                    Sample(
                        due: due, sent: now, took: 0, isCandidate: false, isBaseline: false, status: 0,
                        outcome: .unconnected))
            }
        }
        left.withLock { $0 = isOver ? underWay : underWay + 1 }
        return !isOver || underWay > 0
    }

    fileprivate func record(_ sample: Sample, keep wire: LoadWire? = nil) {
        underWay -= 1
        samples.withLock { $0.append(sample) }
        if let wire { idle.append(wire) }
    }

    fileprivate func lost(_ wire: LoadWire) { idle.removeAll { $0 === wire } }
}

private final class LoadWire: Wire {
    private let load: SteadyLoad
    private var reader = ReplyReader()
    private var due: Int64 = 0
    private var sent: Int64 = 0
    private var isBusy = false

    init(_ load: SteadyLoad, _ lane: Lane, _ port: UInt16) throws {
        self.load = load
        try super.init(lane, port: port)
    }

    func ask(_ bytes: [UInt8], _ due: Int64) {
        self.due = due
        sent = EventLoop.clock()
        isBusy = true
        reader = ReplyReader()
        write(bytes)
    }

    override func received(_ bytes: UnsafeBufferPointer<UInt8>) {
        guard isBusy else { return close() }
        switch reader.take(bytes) {
        case .more: break
        case .nonsense:
            close()
            finish(.wrong)
        case .whole:
            if reader.closes { close() }
            finish(!reader.isAsStated ? .wrong : reader.status == 200 ? .good : .refused)
        }
    }

    override func closed(reset: Bool) {
        if isBusy { finish(isConnected ? .cut : .unconnected) } else { load.lost(self) }
    }

    private func finish(_ outcome: SteadyLoad.Outcome) {
        isBusy = false
        let sample = SteadyLoad.Sample(
            due: due, sent: sent, took: EventLoop.clock() - due, isCandidate: reader.version == "new",
            isBaseline: reader.version == "old", status: reader.status, outcome: outcome)
        load.record(sample, keep: isOpen ? self : nil)
    }
}

extension [SteadyLoad.Sample] {
    var failed: Int { count { $0.outcome != .good } }

    /// A quantile of the latency in milliseconds; 0 if there are no samples.
    func quantile(_ q: Double) -> Double {
        guard !isEmpty else { return 0 }
        let sorted = map(\.took).sorted()
        return Double(sorted[Swift.min(Int(q * Double(count)), count - 1)]) / 1e6
    }

    /// The kinds of failures with their numbers, as text.
    var failures: String {
        var kinds: [String: Int] = [:]
        for sample in self where sample.outcome != .good {
            kinds[sample.outcome == .refused ? "\(sample.status)" : "\(sample.outcome)", default: 0] += 1
        }
        return kinds.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
    }
}

extension Duration {
    var inNanoseconds: Int64 { components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000 }
    var inSeconds: Double { Double(inNanoseconds) / 1e9 }
}
