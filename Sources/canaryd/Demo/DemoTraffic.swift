import FoundationEssentials
import Glibc
import ReferenceModel
import Synchronization
import Threading

/// The demo's clients. They send rows that no model was trained on through the proxy at a steady rate, all rows once
/// before any is repeated, and post the true labels as feedback a little later.
final class DemoTraffic: Sendable {
    /// The time between a response and its label.
    static let labelDelay: Duration = .seconds(2)
    /// The number of connections; with several, a slow response does not reduce the rate.
    static let connections = 4

    struct Counts {
        var sent = 0
        var failed = 0
        var labeled = 0
    }

    private struct State {
        var counts = Counts()
        /// The indices of the rows in the order of this rollout.
        var order: [Int] = []
        /// The number of rows sent in this rollout.
        var next = 0
        /// The instant at which the first row of this rollout is due.
        var startedAt: Int64 = 0
        var isRunning = false
        var isOver = false
        /// Labels with the instant at which they are due, in ascending order.
        var labels: [(due: Int64, line: String)] = []
    }

    private let rows: TrafficRows
    private let port: UInt16
    private let rate: Double
    private let feedback: @Sendable ([UInt8]) -> Bool
    private let state = Mutex(State())

    /// - Parameters:
    ///   - port: the service's port on loopback.
    ///   - rate: requests per second.
    ///   - feedback: posts a JSON array of rows and returns whether it was accepted.
    init(rows: TrafficRows, port: UInt16, rate: Double, feedback: @escaping @Sendable ([UInt8]) -> Bool) {
        self.rows = rows
        self.port = port
        self.rate = rate
        self.feedback = feedback
        for _ in 0..<Self.connections { WorkerThread.run("demo") { [self] in sendRows() } }
        WorkerThread.run("demo") { [self] in postLabels() }
    }

    /// Starts again with all rows, in an order that depends only on `seed`.
    func restart(seed: UInt64) {
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

    /// Makes all threads end after their current request.
    func end() { state.withLock { $0.isOver = true } }
    var counts: Counts { state.withLock { $0.counts } }

    private func sendRows() {
        let client = LoopbackClient(port: port)
        while true {
            let (row, due, isOver) = state.withLock { state -> (Int?, Int64, Bool) in
                guard state.isRunning, !state.order.isEmpty else { return (nil, 0, state.isOver) }
                let due = state.startedAt + Int64(Double(state.next) / rate * 1e9)
                // One rollout in seven needs more rows than there are, so they are repeated.
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
            record(client.post("/v2/models/income/infer", rows.inferenceBody(row)), row: row)
        }
    }

    private func record(_ response: LoopbackClient.Response?, row: Int) {
        var line: String?
        if let response, response.status == 200, let prediction = Self.prediction(response.body) {
            let groups = rows.groups(row).map { "\"\($0.attribute)\":\"\($0.value)\"" }.joined(separator: ",")
            line =
                "{\"inference_id\":\"\(response.requestID)\",\"label\":\(rows.label(row)),"
                + "\"prediction\":\(prediction),\"groups\":{\(groups)}}"
        }
        state.withLock {
            $0.counts.sent += 1
            if let line {
                $0.labels.append((SystemClock().now.monotonic + Self.labelDelay.nanoseconds, line))
            } else {
                $0.counts.failed += 1
            }
        }
    }

    private struct InferenceResponse: Decodable {
        struct Output: Decodable {
            var name: String
            var data: [Double]
        }
        var outputs: [Output]
    }

    private static func prediction(_ body: ArraySlice<UInt8>) -> Int? {
        let response = try? JSONDecoder().decode(InferenceResponse.self, from: Data(body))
        return response?.outputs.first { $0.name == "label" }?.data.first.map { Int($0) }
    }

    /// Posts the labels that are due, twice a second.
    private func postLabels() {
        while true {
            usleep(500_000)
            let now = SystemClock().now.monotonic
            let (due, isOver) = state.withLock { state -> ([String], Bool) in
                let count = state.labels.firstIndex { $0.due > now } ?? state.labels.count
                let due = state.labels[..<count].map(\.line)
                state.labels.removeFirst(count)
                return (due, state.isOver)
            }
            if isOver { return }
            guard !due.isEmpty else { continue }
            let isAccepted = feedback(Array("[\(due.joined(separator: ","))]".utf8))
            if isAccepted { state.withLock { $0.counts.labeled += due.count } }
        }
    }
}
