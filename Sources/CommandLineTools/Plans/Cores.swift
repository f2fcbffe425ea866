import Glibc
import Threading

/// Work that divides into numbered pieces, on all cores.
enum Cores {
    static var count: Int { max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }

    /// Threads at most: more cores than that are somebody else's.
    private static let most = 32

    private final class Share<Value: Sendable>: @unchecked Sendable {
        let places: [Int]
        let body: @Sendable (Int) -> Value
        /// Written by its own thread alone, and read after that has ended.
        var values: [Value] = []

        init(places: [Int], body: @escaping @Sendable (Int) -> Value) {
            self.places = places
            self.body = body
        }

        func work() { values = places.map(body) }
    }

    /// `body(0)` ... `body(n - 1)`, in this order.
    static func map<Value: Sendable>(_ n: Int, _ body: @escaping @Sendable (Int) -> Value) -> [Value] {
        let threads = min(count, most, n)
        let shares = (0..<max(threads, 1)).map { first in
            Share(places: Array(stride(from: first, to: n, by: max(threads, 1))), body: body)
        }
        var running: [WorkerThread] = []
        for share in shares.dropFirst() {
            // Without a thread its share is done here.
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
