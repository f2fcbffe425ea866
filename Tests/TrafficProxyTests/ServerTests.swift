import PolicyModel
import Testing

@testable import TrafficProxy

@Suite("Choosing a server", .timeLimit(.minutes(15)))
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
                server.pointee.health.isResolved = true
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

        func fail(_ place: Int, at now: Int64, hangs: Bool = false) {
            servers[place].pointee.health.connectFailed(now, hangs: hangs, jitter: 0)
        }

        func eject(_ place: Int) {
            servers[place].pointee.health.eject(OutlierRules(OutlierDetection()), 0)
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

    @Test("where all refuse, the one that may come back first is asked; where all hang, none")
    func allDown() {
        let arm = ArmBox(2)
        arm.fail(0, at: 0)
        arm.fail(1, at: 0)
        arm.fail(1, at: 0)
        #expect(arm.pick(0) == 0)
        arm.fail(0, at: 0, hangs: true)
        #expect(arm.pick(0) == 1)
        arm.fail(1, at: 0, hangs: true)
        #expect(arm.pick(0) == nil)
        #expect(arm.pick(second) != nil)
    }

    @Test("the last resort tries what was ejected, then what fails its probes; the other arm tries neither")
    func lastResort() {
        let arm = ArmBox(3)
        arm.eject(0)
        arm.servers[1].pointee.health.isUnhealthy = true
        arm.fail(2, at: 0)
        for _ in 0..<3 { #expect(arm.pick(0) == 2) }
        arm.plan.isLastResort = true
        for _ in 0..<3 { #expect(arm.pick(0) == 0) }
        #expect(arm.pick(0, besides: [0]) == 1)
        #expect(arm.pick(0, besides: [0, 1]) == 2)
        // The back-off of server 2 is over, so it is preferred to the others.
        for _ in 0..<3 { #expect(arm.pick(second) == 2) }
        // The ejection of server 0 is over, and server 2 has more outstanding requests.
        arm.servers[2].pointee.outstanding = 1
        for _ in 0..<3 { #expect(arm.pick(40 * second) == 0) }
    }

    @Test("servers of the last resort that were ejected share its requests")
    func panic() {
        let arm = ArmBox(2)
        arm.plan.isLastResort = true
        arm.eject(0)
        arm.eject(1)
        #expect(Set((0..<2).map { _ in arm.pick(0) }) == [0, 1])
        arm.servers[0].pointee.outstanding = 1
        for _ in 0..<3 { #expect(arm.pick(0) == 1) }
    }

    @Test("what a request has tried is not picked for it again, be it the last that there is")
    func tried() {
        let arm = ArmBox(4)
        for _ in 0..<8 { #expect(arm.pick(0, besides: [0, 1, 3]) == 2) }
        #expect(ArmBox(2).pick(0, besides: [0, 1]) == nil)
        #expect(ArmBox(1).pick(0, besides: []) == 0)
    }

    @Test("an address that did not resolve is never chosen")
    func unresolved() {
        let arm = ArmBox(2)
        arm.servers[1].pointee.health.isResolved = false
        for _ in 0..<4 { #expect(arm.pick(0) == 0) }
        arm.servers[0].pointee.health.isResolved = false
        #expect(arm.pick(0) == nil)
    }
}
