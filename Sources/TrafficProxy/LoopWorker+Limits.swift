import HTTPEngine
import Synchronization

// What a service may hold in the whole agent. What is refused is no arm's doing: it is not observed.

extension LoopWorker {
    /// Takes the places of a request and its connection. Nil: there are. A connection belongs to the service of its last
    /// request: before the first nobody knows whose it will be.
    func admit(_ c: Client, _ service: UnsafeMutablePointer<ServicePlan>) -> ProxyError? {
        let limits = service.pointee.limits
        let gauge = limits.gauge
        if c.pointee.gauge != nil, c.pointee.gauge != gauge || limits.connections == .max { leave(c) }
        if limits.connections < .max, c.pointee.gauge == nil {
            c.pointee.gauge = gauge
            if gauge.pointee.connections.add(1, ordering: .relaxed).newValue > limits.connections {
                leave(c)
                gauge.pointee.refusedConnections.add(1, ordering: .relaxed)
                return .tooManyConnections
            }
        }
        if limits.bytes < .max {
            guard gauge.pointee.bytes.load(ordering: .relaxed) < limits.bytes else {
                gauge.pointee.refusedBytes.add(1, ordering: .relaxed)
                return .tooMuchBuffered
            }
            c.pointee.exchange.bufferGauge = gauge
            charge(&c.pointee.input, gauge)
        }
        if limits.requests < .max {
            guard gauge.pointee.requests.add(1, ordering: .relaxed).newValue <= limits.requests else {
                gauge.pointee.requests.subtract(1, ordering: .relaxed)
                gauge.pointee.refusedRequests.add(1, ordering: .relaxed)
                return .tooManyRequests
            }
            c.pointee.exchange.requestGauge = gauge
        }
        return nil
    }

    /// The request's place is free.
    @inline(__always) func letGo(_ c: Client) {
        guard let gauge = c.pointee.exchange.requestGauge else { return }
        gauge.pointee.requests.subtract(1, ordering: .relaxed)
        c.pointee.exchange.requestGauge = nil
    }

    /// The connection is no service's any more.
    func leave(_ c: Client) {
        c.pointee.gauge?.pointee.connections.subtract(1, ordering: .relaxed)
        c.pointee.gauge = nil
    }

    /// A buffer for the exchange's service, where it counts them.
    @inline(__always) func take(_ slice: inout ByteSlice, for owner: Gauge?) {
        slice.base = buffers.take()
        if let owner { charge(&slice, owner) }
    }

    private func charge(_ slice: inout ByteSlice, _ owner: Gauge) {
        guard slice.base != nil, slice.owner == nil else { return }
        slice.owner = owner
        owner.pointee.bytes.add(BufferPool.bufferSize, ordering: .relaxed)
    }
}
