import Glibc
import PolicyModel
import TrafficProxy

// proxy-bench PORT BASELINE-PORT CANDIDATE-PORT CANDIDATE-BASIS-POINTS [STICKY-HEADER]
// The data plane as the agent runs it, in one loop, without the rest of the agent: bench/proxy/run measures it.

func complain(_ reason: String) {
    let line = "proxy-bench: \(reason)\n"
    _ = line.withCString { write(STDERR_FILENO, $0, strlen($0)) }
}

func fail(_ reason: String) -> Never {
    complain(reason)
    exit(64)
}

let words = Array(CommandLine.arguments.dropFirst())
guard words.count == 4 || words.count == 5 else {
    fail("usage: proxy-bench PORT BASELINE-PORT CANDIDATE-PORT CANDIDATE-BASIS-POINTS [STICKY-HEADER]")
}
let ports = words[..<3].map { word -> UInt16 in
    guard let port = UInt16(word) else { fail("\(word) is no port") }
    return port
}
guard let weight = Int(words[3]), (0...10_000).contains(weight) else {
    fail("\(words[3]) is no weight from 0 to 10000")
}

var traffic = TrafficRules()
if words.count == 5 { traffic.sticky = .header(words[4]) }
let service = RoutedService(
    name: "bench", slot: 1, listen: [.tcp(host: "127.0.0.1", port: ports[0])], route: Route(),
    baseline: RoutedVersion(name: "old", servers: [Endpoint(host: "127.0.0.1", port: ports[1])]),
    candidate: RoutedVersion(name: "new", servers: [Endpoint(host: "127.0.0.1", port: ports[2])]),
    split: TrafficSplit(candidate: Weight(clamping: weight), generation: 1, salt: 9),
    traffic: traffic, judged: JudgedRequests())
let plan = RoutingPlan(services: [service])
do {
    let proxy = try TrafficProxy(loops: 1)
    try proxy.prepare(plan)
    proxy.publish(plan)
    while true {
        // As often as the agent looks.
        usleep(500_000)
        let batch = proxy.drain()
        if batch.dropped > 0 { complain("\(batch.dropped) observations were not logged") }
    }
} catch {
    fail("\(error)")
}
