import Glibc
import Synchronization

/// Clients that send requests at a steady rate until `end` is called.
final class Load: Sendable {
    struct Report: Sendable {
        /// The number of responses by version, whatever their status.
        var responses: [String: Int] = [:]
        /// The number of responses by status.
        var statuses: [Int: Int] = [:]
        /// Descriptions of the first few failed requests.
        var failures: [String] = []
        /// The number of requests without a response with status 200.
        var failed = 0
        var sent: Int { statuses.values.reduce(0, +) + lost }
        /// The number of requests without any response.
        var lost = 0
    }

    private struct State {
        var report = Report()
        var isOver = false
        var threads = 0
        var ids: [(id: String, version: String)] = []
    }

    private let state = Mutex(State())

    /// - Parameters:
    ///   - rate: requests a second, over all clients.
    ///   - most: the maximum number of requests, so that a test that hangs does not load the machine forever.
    init(port: UInt16, rate: Int = 120, clients: Int = 3, most: Int = 60_000, headers: [(String, String)] = []) {
        state.withLock { $0.threads = clients }
        let pause = UInt32(1_000_000 * clients / rate)
        for _ in 0..<clients {
            Thread.detach { [self] in
                let client = Client(port: port)
                for _ in 0..<(most / clients) {
                    if state.withLock({ $0.isOver }) { break }
                    record(client.get(headers: headers), client)
                    usleep(pause)
                }
                state.withLock { $0.threads -= 1 }
            }
        }
    }

    deinit { state.withLock { $0.isOver = true } }

    var report: Report { state.withLock { $0.report } }

    /// Returns the request ids of the responses since the last call, each with the version that responded.
    func takeResponses() -> [(id: String, version: String)] {
        state.withLock { state in
            defer { state.ids = [] }
            return state.ids
        }
    }

    private func record(_ response: Client.Response?, _ client: Client) {
        state.withLock { state in
            guard let response else {
                state.report.lost += 1
                return state.report.fail(client.failure)
            }
            state.report.responses[response.version, default: 0] += 1
            state.report.statuses[response.status, default: 0] += 1
            state.ids.append((response.requestID, response.version))
            if response.status != 200 {
                state.report.fail("\(response.status) of \(response.version): \(response.body.prefix(80))")
            }
        }
    }

    /// Stops the clients and waits for their open requests.
    func end() async throws -> Report {
        state.withLock { $0.isOver = true }
        try await until("the load ends") { self.state.withLock { $0.threads == 0 } }
        return report
    }
}

extension Load.Report {
    fileprivate mutating func fail(_ why: String) {
        failed += 1
        if failures.count < 5 { failures.append(why) }
    }
}

/// Threads for blocking calls, which must not block the thread pool of Swift's tasks.
enum Thread {
    private final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    static func detach(_ body: @escaping @Sendable () -> Void) {
        var thread = pthread_t()
        let failure = pthread_create(
            &thread, nil,
            { argument in
                Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue().body()
                return nil
            }, Unmanaged.passRetained(Box(body)).toOpaque())
        precondition(failure == 0, "no thread: \(String(cString: strerror(failure)))")
        pthread_detach(thread)
    }
}
