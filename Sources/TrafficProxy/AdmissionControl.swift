import Synchronization

/// Enforces the limits of a service, which hold for the whole agent. A refused request is not observed, since neither
/// arm caused it.
enum AdmissionControl {
    /// Counts a request and its connection against the service's limits. A connection belongs to the service of its
    /// last request, so it is not counted before the first.
    /// - Returns: nil if the request is admitted; otherwise the reason for its refusal.
    static func admit(_ c: Client, _ service: UnsafeMutablePointer<ServicePlan>) -> ProxyError? {
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
            c.exchange.bufferGauge = gauge
            c.input.charge(gauge)
        }
        if limits.requests < .max {
            guard gauge.pointee.requests.add(1, ordering: .relaxed).newValue <= limits.requests else {
                gauge.pointee.requests.subtract(1, ordering: .relaxed)
                gauge.pointee.refusedRequests.add(1, ordering: .relaxed)
                return .tooManyRequests
            }
            c.exchange.requestGauge = gauge
        }
        return nil
    }

    /// Removes a request from the service's count.
    @inline(__always) static func requestEnded(_ c: Client) {
        guard let gauge = c.exchange.requestGauge else { return }
        gauge.pointee.requests.subtract(1, ordering: .relaxed)
        c.exchange.requestGauge = nil
    }

    /// Removes a connection from the service's count.
    static func leave(_ c: Client) {
        c.pointee.gauge?.pointee.connections.subtract(1, ordering: .relaxed)
        c.pointee.gauge = nil
    }
}
