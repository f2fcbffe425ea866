import Glibc
import HTTPEngine
import Synchronization

/// Requests at a fixed rate, whether the earlier ones are answered or not; latencies count from when a request was due.
final class SteadyLoad: @unchecked Sendable {
    enum Outcome: UInt8, Sendable {
        /// 200, whole, and as long as the origin says.
        case good
        /// Another status, whole.
        case refused
        /// The connection broke before the reply was whole.
        case cut
        /// It looks whole and is not what the origin meant.
        case wrong
        case unconnected
    }

    struct Sample: Sendable {
        /// Monotonic nanoseconds.
        var due: Int64
        var sent: Int64
        /// Nanoseconds from when it was due.
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

    /// More at a time are not opened: what is due beyond it waits, and its latency says so.
    private static let mostConnections = 4_000

    /// - Parameter request: the bytes of the n-th request.
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

    /// Ends it, waits for what is under way, and gives what was not taken yet.
    func end(patience: Duration = .seconds(20)) -> [Sample] {
        lane.loop.post { [self] in isOver = true }
        let deadline = EventLoop.clock() + patience.inNanoseconds
        while left.withLock({ $0 }) > 0, EventLoop.clock() < deadline { usleep(2_000) }
        try? lane.run { [self] in
            for wire in idle { wire.close() }
            idle = []
        }
        return takeSamples()
    }

    /// Those that ended since the last call.
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

    /// In milliseconds; 0 where there is none.
    func quantile(_ q: Double) -> Double {
        guard !isEmpty else { return 0 }
        let sorted = map(\.took).sorted()
        return Double(sorted[Swift.min(Int(q * Double(count)), count - 1)]) / 1e6
    }

    /// What failed and how often, in words.
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
