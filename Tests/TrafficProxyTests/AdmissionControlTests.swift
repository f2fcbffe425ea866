import PolicyModel
import Synchronization
import Testing

@testable import TrafficProxy

@Suite(.timeLimit(.minutes(15))) struct AdmissionControlTests {
    private func client() -> Client {
        let c = Client.allocate(capacity: 1)
        c.initialize(to: ClientRecord())
        return c
    }

    private func plan(_ change: (inout TrafficLimits) -> Void) -> PlanFixture {
        var traffic = TrafficRules()
        change(&traffic.limits)
        return PlanFixture(traffic: traffic)
    }

    @Test("a request beyond the limit is refused, and counted; one that ends makes room")
    func requests() {
        let plan = plan { $0.requests = 1 }
        let gauge = plan.gauges.of("s")
        let (a, b) = (client(), client())
        #expect(AdmissionControl.admit(a, plan.service) == nil)
        #expect(AdmissionControl.admit(b, plan.service) == .tooManyRequests)
        #expect(gauge.pointee.requests.load(ordering: .relaxed) == 1)
        #expect(gauge.pointee.refusedRequests.load(ordering: .relaxed) == 1)
        AdmissionControl.requestEnded(b)
        AdmissionControl.requestEnded(a)
        AdmissionControl.requestEnded(a)
        #expect(gauge.pointee.requests.load(ordering: .relaxed) == 0)
        #expect(AdmissionControl.admit(b, plan.service) == nil)
        a.deallocate()
        b.deallocate()
    }

    @Test("a connection counts once for all its requests, until it leaves")
    func connections() {
        let plan = plan { $0.connections = 1 }
        let gauge = plan.gauges.of("s")
        let (a, b) = (client(), client())
        #expect(AdmissionControl.admit(a, plan.service) == nil)
        #expect(AdmissionControl.admit(a, plan.service) == nil)
        #expect(AdmissionControl.admit(b, plan.service) == .tooManyConnections)
        #expect(gauge.pointee.connections.load(ordering: .relaxed) == 1)
        AdmissionControl.leave(a)
        AdmissionControl.leave(a)
        #expect(AdmissionControl.admit(b, plan.service) == nil)
        a.deallocate()
        b.deallocate()
    }

    @Test("a buffer is counted once, and not after it was given back")
    func buffers() {
        let plan = plan { $0.buffer = 100 << 10 }
        let gauge = plan.gauges.of("s")
        let pool = BufferPool()
        let c = client()
        pool.supply(&c.input, for: nil)
        #expect(AdmissionControl.admit(c, plan.service) == nil)
        pool.supply(&c.output, for: c.exchange.bufferGauge)
        #expect(gauge.pointee.bytes.load(ordering: .relaxed) == 2 * BufferPool.bufferSize)
        #expect(AdmissionControl.admit(c, plan.service) == .tooMuchBuffered)
        pool.reclaim(&c.input)
        pool.reclaim(&c.output)
        pool.reclaim(&c.output)
        #expect(gauge.pointee.bytes.load(ordering: .relaxed) == 0 && pool.inUse == 0)
        c.deallocate()
        pool.deallocate()
    }
}
