import AdminTypes
import Analysis
import Glibc
import PolicyModel
import TrafficProxy

/// The data plane in this process, in front of two origins.
final class Plane {
    let proxy: TrafficProxy
    let port: UInt16
    private var plan: RoutingPlan

    init(baseline: UInt16, candidate: UInt16, weight: Int, response: Duration = .seconds(60), port: UInt16 = 0) throws {
        let listen = ListenAddress.tcp(host: "127.0.0.1", port: port)
        var traffic = TrafficRules()
        traffic.timeouts.response = response
        plan = RoutingPlan(services: [
            RoutedService(
                name: "bench", slot: 1, listen: [listen], route: Route(),
                baseline: RoutedVersion(name: "old", servers: [Endpoint(host: "127.0.0.1", port: baseline)]),
                candidate: RoutedVersion(name: "new", servers: [Endpoint(host: "127.0.0.1", port: candidate)]),
                split: TrafficSplit(candidate: Weight(clamping: weight), generation: 1, salt: 9), traffic: traffic,
                judged: JudgedRequests())
        ])
        proxy = try TrafficProxy(loops: 2)
        try proxy.prepare(plan)
        proxy.publish(plan)
        guard case .tcp(_, let bound) = proxy.boundAddress(of: listen) else { throw Problem("not bound") }
        self.port = bound
    }

    deinit { proxy.shutdown(grace: .zero) }

    func publish(weight: Int) {
        plan.services[0].split.candidate = Weight(clamping: weight)
        plan.services[0].split.generation += 1
        proxy.publish(plan)
    }
}

extension Fault {
    static let weightChanges = Fault(number: 1, name: "weight changes", attempts: 3) { settings in
        let lane = try Lane("origins")
        let old = try Origin(lane)
        let new = try Origin(lane)
        let plane = try Plane(baseline: old.port, candidate: new.port, weight: 0)
        let load = SteadyLoad(try Lane("load"), port: plane.port, rate: 1_000)
        var changes: [(at: Int64, weight: Int)] = [(0, 0)]
        var random = SystemRandomNumberGenerator()
        let total = settings.count(1_000)
        let began = now()
        for number in 1...total {
            let due = began + Int64(number) * 120_000_000
            while now() < due { usleep(UInt32(max((due - now()) / 1_000, 0))) }
            if number % 4 == 0 { _ = plane.proxy.drain() }
            // Half of the changes close an arm: only then can a request by the old split be told from one by the new.
            let weight =
                switch number % 4 {
                case 0: 0
                case 1: 10_000
                default: Int.random(in: 500...9_500, using: &random)
                }
            changes.append((now(), weight))
            plane.publish(weight: weight)
        }
        pause(.milliseconds(120))
        let samples = load.end()
        var late: Int64 = 0
        for (arrivals, closedAt) in [(old.takeArrivals(), 10_000), (new.takeArrivals(), 0)] {
            var index = 0
            for arrival in arrivals {
                while index + 1 < changes.count, changes[index + 1].at <= arrival { index += 1 }
                if changes[index].weight == closedAt { late = max(late, arrival - changes[index].at) }
            }
        }
        var expected = 0.0
        var index = 0
        for sample in samples.sorted(by: { $0.sent < $1.sent }) {
            while index + 1 < changes.count, changes[index + 1].at <= sample.sent { index += 1 }
            expected += Double(changes[index].weight)
        }
        let found = Double(samples.count { $0.isCandidate }) / Double(max(samples.count, 1)) * 100
        let off = found - expected / 100 / Double(max(samples.count, 1))
        var figures = Figures()
        figures.note("\(total) changes in \((Double(now() - began) / 1e9).digits(0)) s, \(samples.count) requests")
        figures.note("\(samples.failed) failed\(samples.failed > 0 ? " (\(samples.failures))" : "")")
        figures.note("split off by \(off.digits(2)) points")
        figures.note("last request to the old split \((Double(late) / 1e6).digits(1)) ms after the commit")
        figures.demand(samples.failed == 0, "0 failed")
        figures.demand(abs(off) <= 0.5 || settings.scale < 1, "split within 0.5 points")
        figures.demand(late <= 50_000_000, "50 ms")
        return figures
    }

    static let reverts = Fault(number: 2, name: "reverts", attempts: 3) { settings in
        let lane = try Lane("origins")
        let old = try Origin(lane)
        let new = try Origin(lane)
        let agent = try Agent(settings, baseline: old.port, candidate: new.port)
        let load = SteadyLoad(try Lane("load"), port: agent.port, rate: 1_000)
        let total = settings.count(100)
        var late: Int64 = 0
        for number in 1...total {
            let isShared = wait(.seconds(20)) {
                (try? agent.admin.service("web").candidateWeight.basisPoints) == 5_000
            }
            guard isShared else {
                throw Problem("the candidate gets no share in round \(number):\n\(agent.log.suffix(1_000))")
            }
            pause(.milliseconds(100))
            _ = new.takeArrivals()
            // The revert is decided after this instant, so the measured time is an upper bound.
            let decided = now()
            _ = try agent.admin.command(.revert, service: "web", CommandRequest(reason: "round \(number)"))
            pause(.milliseconds(250))
            for arrival in new.takeArrivals() { late = max(late, arrival - decided) }
            _ = try agent.admin.command(.retry, service: "web", CommandRequest(reason: nil))
        }
        let samples = load.end()
        var figures = Figures()
        figures.note("\(total) reverts, \(samples.count) requests, \(samples.failed) failed")
        figures.note("last request to the candidate \((Double(late) / 1e6).digits(1)) ms after the command was sent")
        figures.demand(samples.failed == 0, "0 failed")
        figures.demand(late <= 50_000_000, "50 ms")
        return figures
    }
}
