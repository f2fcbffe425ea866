import Testing

@testable import TrafficProxy

@Suite("Choosing a server")
struct ServerTests {
    /// An arm of servers in plain memory.
    private final class ArmBox {
        var plan: ArmPlan
        let servers: [UnsafeMutablePointer<Server>]
        private let name: UnsafeMutablePointer<UInt8>
        private let list: UnsafeMutablePointer<UnsafeMutablePointer<Server>>

        init(_ count: Int) {
            servers = (0..<count).map { _ in
                let server = UnsafeMutablePointer<Server>.allocate(capacity: 1)
                server.initialize(to: Server())
                server.pointee.isResolved = true
                return server
            }
            name = .allocate(capacity: 1)
            list = .allocate(capacity: count)
            list.initialize(from: servers, count: count)
            plan = ArmPlan(servers: list, count: count, versionLine: Bytes(start: name, count: 0))
        }

        deinit {
            for server in servers { server.deallocate() }
            name.deallocate()
            list.deallocate()
        }

        func pick(_ now: Int64, besides tried: Set<Int> = []) -> Int? {
            var set = TriedServers()
            for place in tried { set.add(servers[place]) }
            return plan.pick(now, besides: set).flatMap { servers.firstIndex(of: $0) }
        }
    }

    private let second: Int64 = 1_000_000_000

    @Test("equals take turns, and the one with the fewest requests comes first")
    func leastOutstanding() {
        let arm = ArmBox(3)
        #expect(Set((0..<3).map { _ in arm.pick(0) }) == [0, 1, 2])
        arm.servers[0].pointee.outstanding = 5
        arm.servers[2].pointee.outstanding = 4
        for _ in 0..<5 { #expect(arm.pick(0) == 1) }
        arm.servers[1].pointee.outstanding = 6
        for _ in 0..<5 { #expect(arm.pick(0) == 2) }
    }

    @Test("a server that failed is left out until its back-off is over, which doubles up to two seconds")
    func backoff() {
        var random = LoopRandom()
        var server = Server()
        server.isResolved = true
        var expected: [Int64] = [100, 200, 400, 800, 1600, 2000, 2000].map { $0 * 1_000_000 }
        while !expected.isEmpty {
            let longest = expected.removeFirst()
            server.failed(0, hangs: false, &random)
            #expect(server.downUntil <= longest)
            #expect(server.downUntil >= longest / 4 * 3)
        }
        #expect(!server.isReachable(0))
        #expect(server.isReachable(20 * second))
        server.connected()
        #expect(!server.isDown(0))
        #expect(server.isReachable(0))
    }

    @Test("where all refuse, the one that may come back first is asked; where all hang, none")
    func allDown() {
        var random = LoopRandom()
        let arm = ArmBox(2)
        arm.servers[0].pointee.failed(0, hangs: false, &random)
        arm.servers[1].pointee.failed(0, hangs: false, &random)
        arm.servers[1].pointee.failed(0, hangs: false, &random)
        #expect(arm.pick(0) == 0)
        arm.servers[0].pointee.hangs = true
        #expect(arm.pick(0) == 1)
        arm.servers[1].pointee.hangs = true
        #expect(arm.pick(0) == nil)
        #expect(arm.pick(second) != nil)
    }

    @Test("what a request has tried is not picked for it again, be it the last that there is")
    func tried() {
        let arm = ArmBox(4)
        for _ in 0..<8 { #expect(arm.pick(0, besides: [0, 1, 3]) == 2) }
        #expect(ArmBox(2).pick(0, besides: [0, 1]) == nil)
        #expect(ArmBox(1).pick(0, besides: []) == 0)
    }

    @Test("a server that answers others is not taken for gone by one connection that it did not take in time")
    func fullBacklog() {
        var random = LoopRandom()
        var server = Server()
        server.lastHeard = 10 * second
        server.failed(11 * second, hangs: true, &random)
        #expect(!server.isDown(11 * second))
        server.failed(13 * second, hangs: true, &random)
        #expect(server.isDown(13 * second))
        server.failed(11 * second, hangs: false, &random)
        #expect(server.failures == 2)
    }

    @Test("an address that did not resolve is never chosen")
    func unresolved() {
        let arm = ArmBox(2)
        arm.servers[1].pointee.isResolved = false
        for _ in 0..<4 { #expect(arm.pick(0) == 0) }
        arm.servers[0].pointee.isResolved = false
        #expect(arm.pick(0) == nil)
    }
}
