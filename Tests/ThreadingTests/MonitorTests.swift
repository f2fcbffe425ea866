import CLinuxEngine
import Glibc
import Synchronization
import Testing
import Threading

@Suite("Threads and what they share", .timeLimit(.minutes(15)))
struct MonitorTests {
    @Test func `increments from several threads are all counted`() throws {
        let count = Monitor(0)
        let threads = try (0..<4).map { index in
            try WorkerThread(named: "count-\(index)") { for _ in 0..<10_000 { count.withLock { $0 += 1 } } }
        }
        for thread in threads { thread.join() }
        #expect(count.withLock { $0 } == 40_000)
    }

    @Test func `a waiting thread wakes up for each update and leaves when its condition holds`() throws {
        let turn = Monitor(0)
        let thread = try WorkerThread(named: "ping") {
            for round in 0..<1_000 {
                turn.wait { $0 == 2 * round + 1 ? .done(()) : .wait(until: .max) }
                turn.update { $0 += 1 }
            }
        }
        for round in 0..<1_000 {
            turn.update { $0 += 1 }
            turn.wait { $0 == 2 * round + 2 ? .done(()) : .wait(until: .max) }
        }
        thread.join()
        #expect(turn.withLock { $0 } == 2_000)
    }

    @Test func `a wait with a deadline ends at the deadline of the monotonic clock`() {
        let monitor = Monitor(false)
        let deadline = ce_monotonic() + 20_000_000
        let isChanged = monitor.wait { ce_monotonic() >= deadline ? .done($0) : .wait(until: deadline) }
        #expect(!isChanged)
        #expect(ce_monotonic() >= deadline)
    }

    @Test(arguments: [Int64.min, -1, 0, 1]) func `a deadline in the past does not block`(_ deadline: Int64) {
        let monitor = Monitor(0)
        let evaluations = monitor.wait { count -> Monitor<Int>.Step<Int> in
            count += 1
            return count == 3 ? .done(count) : .wait(until: deadline)
        }
        #expect(evaluations == 3)
    }

    @Test func `a thread has the first fifteen bytes of its name, its identity, and no signals`() throws {
        let seen = Monitor<(name: String, identity: UInt, blocksTermination: Bool)?>(nil)
        let thread = try WorkerThread(named: "a-name-that-is-too-long") {
            var name = [UInt8](repeating: 0, count: 16)
            let file = open("/proc/thread-self/comm", O_RDONLY | O_CLOEXEC)
            let length = read(file, &name, name.count)
            close(file)
            var mask = sigset_t()
            pthread_sigmask(SIG_BLOCK, nil, &mask)
            let text = String(decoding: name[..<max(length - 1, 0)], as: UTF8.self)
            seen.update { $0 = (text, WorkerThread.current, sigismember(&mask, SIGTERM) == 1) }
        }
        let identity = thread.identity
        thread.join()
        let result = try #require(seen.withLock { $0 })
        #expect(result.name == "a-name-that-is-")
        #expect(result.identity == identity)
        #expect(result.blocksTermination)
    }
}
