import CProxyBench
import PolicyModel
import TrafficProxy

/// Counts the calls of the allocator and of Swift's reference counting that the data plane's loop makes per request in the
/// steady state, with 32 persistent connections. Observations are drained between two blocks of requests, as in the agent's
/// tick.
func count(port: UInt16, baseline: UInt16, candidate: UInt16, requests: Int, sticky: String?) throws {
    let proxy = try startProxy(port: port, baseline: baseline, candidate: candidate, sticky: sticky)
    let load = Load(port: port, connections: 32, key: sticky)
    var connections = try load.open()
    // Connections and pools are allocated once, before the measurement.
    for _ in 0..<2 {
        _ = connections.run(requests: block)
        _ = proxy.drain()
    }
    var requestCounts = Counts()
    var drainCounts = Counts()
    var answered = 0
    var blocks = 0
    while answered < requests {
        let start = Counts.now()
        let result = connections.run(requests: min(block, requests - answered))
        let end = Counts.now()
        _ = proxy.drain()
        drainCounts.add(from: end, to: Counts.now())
        requestCounts.add(from: start, to: end)
        guard result.errors == 0 else { fail("\(result.errors) requests failed") }
        answered += result.answered
        blocks += 1
    }
    print("\(answered) requests: \(requestCounts.text(per: answered)) a request")
    print("\(blocks) drains: \(drainCounts.text(per: blocks)) a drain")
}

/// Starts the data plane with one loop, without the rest of the agent.
private func startProxy(port: UInt16, baseline: UInt16, candidate: UInt16, sticky: String?) throws -> TrafficProxy {
    var traffic = TrafficRules()
    if let sticky { traffic.sticky = .header(sticky) }
    let service = RoutedService(
        name: "bench", slot: 1, listen: [.tcp(host: "127.0.0.1", port: port)], route: Route(),
        baseline: RoutedVersion(name: "old", servers: [Endpoint(host: "127.0.0.1", port: baseline)]),
        candidate: RoutedVersion(name: "new", servers: [Endpoint(host: "127.0.0.1", port: candidate)]),
        split: TrafficSplit(candidate: Weight(clamping: 1000), generation: 1, salt: 9),
        traffic: traffic, judged: JudgedRequests())
    let plan = RoutingPlan(services: [service])
    let proxy = try TrafficProxy(loops: 1)
    try proxy.prepare(plan)
    proxy.publish(plan)
    return proxy
}

/// The number of requests in a block, which is less than the number of observations that one log holds.
private let block = 20_000

private struct Counts {
    private var counts = cb_counts()

    static func now() -> Counts {
        var all = Counts()
        guard cb_counts_of("proxy-0", &all.counts) == 1 else { fail("the loop's thread is not found") }
        return all
    }

    mutating func add(from start: Counts, to end: Counts) {
        counts.allocations += end.counts.allocations - start.counts.allocations
        counts.frees += end.counts.frees - start.counts.frees
        counts.retains += end.counts.retains - start.counts.retains
        counts.releases += end.counts.releases - start.counts.releases
    }

    func text(per n: Int) -> String {
        func rate(_ count: UInt64) -> String { "\((Double(count) / Double(n) * 10_000).rounded() / 10_000)" }
        return "\(rate(counts.allocations)) allocations, \(rate(counts.frees)) frees, "
            + "\(rate(counts.retains)) retains, \(rate(counts.releases)) releases"
    }
}
