import HTTPEngine
import Synchronization
import Testing

@Suite("Event loop", .timeLimit(.minutes(15)))
struct EventLoopTests {
    @Test("posted jobs run in order, those posted before the start as well")
    func order() throws {
        let loop = try EventLoop(name: "order")
        let seen = Mutex<[Int]>([])
        for i in 0..<10 { loop.post { seen.withLock { $0.append(i) } } }
        loop.start()
        for i in 10..<1000 { loop.post { seen.withLock { $0.append(i) } } }
        loop.stop()
        loop.join()
        #expect(seen.withLock { $0 } == Array(0..<1000))
    }

    @Test("timers fire by their deadline, and not when they were cancelled, even by one that is due as well")
    func timers() throws {
        let loop = try EventLoop(name: "timers")
        let seen = Mutex<[Int]>([])
        loop.schedule(after: .milliseconds(30)) { seen.withLock { $0.append(3) } }
        let never = loop.schedule(after: .milliseconds(2)) { seen.withLock { $0.append(99) } }
        loop.schedule(after: .milliseconds(1)) {
            seen.withLock { $0.append(1) }
            loop.cancel(never)
            loop.schedule(after: .milliseconds(5)) { seen.withLock { $0.append(2) } }
        }
        loop.schedule(after: .milliseconds(60)) { loop.stop() }
        loop.start()
        loop.join()
        #expect(seen.withLock { $0 } == [1, 2, 3])
    }

    @Test("a value comes back from the loop's thread")
    func sync() throws {
        let loop = try EventLoop(name: "sync")
        loop.start()
        #expect(try loop.sync { loop.isCurrent })
        #expect(!loop.isCurrent)
        loop.stop()
        loop.join()
    }
}
