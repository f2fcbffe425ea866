import FoundationEssentials
import Glibc
import ReferenceModel
import Synchronization
import Threading

/// The demo's clients: rows that no model has seen go through the proxy at a steady rate, none twice before all were
/// sent, and their true labels are posted as feedback a little later.
final class DemoTraffic: Sendable {
    /// Time between an answer and its label.
    static let labelDelay: Duration = .seconds(2)
    /// Connections, so that one slow answer does not hold up the rate.
    static let connections = 4

    struct Counts {
        var sent = 0
        var failed = 0
        /// Answers by the version that gave them.
        var versions: [String: Int] = [:]
        var labelled = 0
    }

    private struct State {
        var counts = Counts()
        /// Rows in the order of this rollout, and when the first was due.
        var order: [Int] = []
        var next = 0
        var startedAt: Int64 = 0
        var isRunning = false
        var isOver = false
        /// Labels by the instant that they are due.
        var labels: [(due: Int64, line: String)] = []
    }

    private let rows: TrafficRows
    private let port: UInt16
    private let rate: Double
    private let feedback: @Sendable ([UInt8]) -> Bool
    private let state = Mutex(State())

    /// - Parameters:
    ///   - port: where the service listens, on loopback.
    ///   - rate: requests a second.
    ///   - feedback: posts a JSON array of rows, and says whether it was taken.
    init(rows: TrafficRows, port: UInt16, rate: Double, feedback: @escaping @Sendable ([UInt8]) -> Bool) {
        self.rows = rows
        self.port = port
        self.rate = rate
        self.feedback = feedback
        for _ in 0..<Self.connections { WorkerThread.run("demo") { [self] in send() } }
        WorkerThread.run("demo") { [self] in label() }
    }

    /// Begins anew with all rows, in an order that depends on `seed` alone.
    func begin(seed: UInt64) {
        var order = Array(0..<rows.count)
        var x = seed &* 0x9e37_79b9_7f4a_7c15 | 1
        for i in stride(from: order.count - 1, to: 0, by: -1) {
            x ^= x << 13
            x ^= x >> 7
            x ^= x << 17
            order.swapAt(i, Int(x % UInt64(i + 1)))
        }
        state.withLock {
            $0.counts = Counts()
            $0.order = order
            $0.next = 0
            $0.startedAt = SystemClock().now.monotonic
            $0.isRunning = true
        }
    }

    func end() { state.withLock { $0.isOver = true } }
    var counts: Counts { state.withLock { $0.counts } }

    private func send() {
        let client = LoopbackClient(port: port)
        while true {
            let (row, due, isOver) = state.withLock { state -> (Int?, Int64, Bool) in
                guard state.isRunning, !state.order.isEmpty else { return (nil, 0, state.isOver) }
                let due = state.startedAt + Int64(Double(state.next) / rate * 1e9)
                // One rollout in seven needs more rows than there are: they come again.
                let row = state.order[state.next % state.order.count]
                state.next += 1
                return (row, due, state.isOver)
            }
            if isOver { return }
            guard let row else {
                usleep(20_000)
                continue
            }
            let wait = due - SystemClock().now.monotonic
            if wait > 0 { usleep(UInt32(wait / 1_000)) }
            let reply = client.post("/v2/models/income/infer", rows.inferenceBody(row))
            record(reply, row: row)
        }
    }

    private func record(_ reply: LoopbackClient.Reply?, row: Int) {
        var line: String?
        if let reply, reply.status == 200, let prediction = Self.prediction(reply.body) {
            let groups = rows.groups(row).map { "\"\($0.attribute)\":\"\($0.value)\"" }.joined(separator: ",")
            line =
                "{\"inference_id\":\"\(reply.requestID)\",\"label\":\(rows.label(row)),"
                + "\"prediction\":\(prediction),\"groups\":{\(groups)}}"
        }
        state.withLock {
            $0.counts.sent += 1
            if let line, let reply {
                $0.counts.versions[reply.version, default: 0] += 1
                $0.labels.append((SystemClock().now.monotonic + Self.labelDelay.nanoseconds, line))
            } else {
                $0.counts.failed += 1
            }
        }
    }

    private struct InferenceReply: Decodable {
        struct Output: Decodable {
            var name: String
            var data: [Double]
        }
        var outputs: [Output]
    }

    private static func prediction(_ body: ArraySlice<UInt8>) -> Int? {
        let reply = try? JSONDecoder().decode(InferenceReply.self, from: Data(body))
        return reply?.outputs.first { $0.name == "label" }?.data.first.map { Int($0) }
    }

    /// Posts what is due, twice a second.
    private func label() {
        while true {
            usleep(500_000)
            let now = SystemClock().now.monotonic
            let (due, isOver) = state.withLock { state -> ([String], Bool) in
                let cut = state.labels.firstIndex { $0.due > now } ?? state.labels.count
                let due = state.labels[..<cut].map(\.line)
                state.labels.removeFirst(cut)
                return (due, state.isOver)
            }
            if isOver { return }
            guard !due.isEmpty else { continue }
            let taken = feedback(Array("[\(due.joined(separator: ","))]".utf8))
            if taken { state.withLock { $0.counts.labelled += due.count } }
        }
    }
}
