import Glibc
import Threading

/// Runs work that consists of numbered pieces on all cores.
enum Cores {
    static var count: Int { max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }

    /// The maximum number of threads. A machine with more cores is most likely shared.
    private static let maximumThreads = 32

    /// The pieces of work that one thread does.
    private final class Share<Value: Sendable>: @unchecked Sendable {
        let places: [Int]
        let body: @Sendable (Int) -> Value
        /// The results. Only the share's thread writes them, and they are read after it has ended.
        var values: [Value] = []

        init(places: [Int], body: @escaping @Sendable (Int) -> Value) {
            self.places = places
            self.body = body
        }

        func work() { values = places.map(body) }
    }

    /// The results of `body(0)` ... `body(n - 1)`, in this order.
    static func map<Value: Sendable>(_ n: Int, _ body: @escaping @Sendable (Int) -> Value) -> [Value] {
        let threads = min(count, maximumThreads, n)
        let shares = (0..<max(threads, 1)).map { first in
            Share(places: Array(stride(from: first, to: n, by: max(threads, 1))), body: body)
        }
        var running: [WorkerThread] = []
        for share in shares.dropFirst() {
            // If no thread can be started, its share is done on this one.
            if let thread = try? WorkerThread(named: "simulation", { share.work() }) {
                running.append(thread)
            } else {
                share.work()
            }
        }
        shares[0].work()
        for thread in running { thread.join() }
        return (0..<n).map { shares[$0 % shares.count].values[$0 / shares.count] }
    }
}
