import Glibc
import Synchronization

/// Clients that ask at a steady rate, until they are told to end.
final class Load: Sendable {
    struct Report: Sendable {
        /// Answers by version, whatever their status.
        var answers: [String: Int] = [:]
        /// Answers by status.
        var statuses: [Int: Int] = [:]
        /// What was not answered with 200: why, up to a few.
        var failures: [String] = []
        var failed = 0
        var sent: Int { statuses.values.reduce(0, +) + lost }
        /// Without any answer.
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
    ///   - most: requests at most, so that a test that hangs does not load the machine for ever.
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

    /// Request ids with the version that answered, once each.
    func takeAnswered() -> [(id: String, version: String)] {
        state.withLock { state in
            defer { state.ids = [] }
            return state.ids
        }
    }

    private func record(_ reply: Client.Reply?, _ client: Client) {
        state.withLock { state in
            guard let reply else {
                state.report.lost += 1
                return state.report.fail(client.failure)
            }
            state.report.answers[reply.version, default: 0] += 1
            state.report.statuses[reply.status, default: 0] += 1
            state.ids.append((reply.requestID, reply.version))
            if reply.status != 200 {
                state.report.fail("\(reply.status) of \(reply.version): \(reply.body.prefix(80))")
            }
        }
    }

    /// Ends it and waits for what is under way.
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

/// A thread for what blocks: the pool of Swift's tasks must not.
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
