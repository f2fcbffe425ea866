import Analysis
import MetricsScrape
import PolicyModel
import PrometheusText
import RolloutController
import RolloutEngine
import Vocabulary

/// Clocks that are advanced by hand.
final class SteppedClock: ControlClock {
    private(set) var now = Moment(monotonic: 1_000_000_000_000, wall: 1_800_000_000_000)

    func advance(by nanoseconds: Int64) {
        now.monotonic += nanoseconds
        now.wall += nanoseconds / 1_000_000
    }
}

/// A generator of random numbers with a fixed seed: a counter, hashed by `TrafficSplit.mix`.
struct RandomSource {
    private var state: UInt64 = 1

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        return TrafficSplit.mix(state)
    }

    /// A number in [0, 1).
    mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }
}

/// A data plane without sockets, which generates requests and assigns them by the split in force.
final class Plane: DataPlane {
    private var plan = RoutingPlan()
    private(set) var publications = 0
    private var batch = ObservationBatch()
    private var random = RandomSource()
    /// The labels of the last batch, by service.
    private(set) var labels: [(service: String, rows: [Feedback])] = []

    func prepare(_ plan: RoutingPlan) throws {}
    func unresolved(_ plan: RoutingPlan) -> [(server: Endpoint, reason: String)] { [] }
    func publish(_ plan: RoutingPlan) {
        self.plan = plan
        publications += 1
    }
    func drain() -> ObservationBatch {
        defer { batch = ObservationBatch() }
        return batch
    }

    let failureReasons: [String] = []

    /// Generates the requests that ended in the `span` seconds before `now`. One in a thousand fails; latency is
    /// log-uniform from 10 to 80 ms.
    /// - Parameters:
    ///   - rates: requests per second of each service, in the order of the plan.
    ///   - isLabeled: for each service, whether a third of its responses get a label.
    func generate(_ rates: [Double], isLabeled: [Bool], span: Double, now: Int64) {
        labels = []
        for (i, service) in plan.services.enumerated() {
            let wanted = rates[i] * span
            let count = Int(wanted) + (random.uniform() < wanted - wanted.rounded(.down) ? 1 : 0)
            var rows: [Feedback] = []
            for _ in 0..<count {
                let key = random.next()
                let place = TrafficSplit.place(of: key, salt: service.split.salt)
                let arm: Arm = service.candidate != nil ? service.split.select(key) : .baseline
                let latency = UInt32(10_000 * (1 << UInt32(random.next() % 3))) + UInt32(random.next() % 20_000)
                let isError = random.next() % 1000 == 0
                batch.ended.append(
                    Observation(
                        slot: service.slot, arm: arm, outcome: isError ? .serverError : .success, flags: .judged,
                        place: UInt16(place),
                        startedAt: now - Int64(latency) * 1000 - Int64(random.next() % 400_000_000),
                        requestHash: key | 1, firstByte: latency, total: latency))
                if isLabeled[i], random.next() % 3 == 0 {
                    let truth = Int(random.next() % 2)
                    rows.append(
                        Feedback(
                            requestHash: key | 1, label: truth, prediction: random.next() % 10 == 0 ? 1 - truth : truth,
                            groups: [
                                "sex": random.next() % 2 == 0 ? "Female" : "Male", "race": "group\(random.next() % 5)",
                            ]))
                }
            }
            if !rows.isEmpty { labels.append((service.name, rows)) }
        }
    }
}

/// Scrapes without a network: all servers have the same metrics page, which is parsed and read as a scrape of it would be.
final class SimulatedScrapes: MetricSource {
    private var targets: [MetricTarget] = []
    private let page: MovingPage
    /// Seconds between two scrapes of a target.
    private let interval: Int
    private var readings: [MetricReading] = []
    private(set) var failures = 0

    init(page: [UInt8], interval: Int) {
        self.page = MovingPage(page)
        self.interval = interval
    }

    func setTargets(_ targets: [MetricTarget]) { self.targets = targets }

    func drain() -> [MetricReading] {
        defer { readings = [] }
        return readings
    }

    /// Scrapes the targets that are due in this second.
    func scrape(second: Int, at: Int64) {
        let page = page.page(requests: 1_000 + 10 * second)
        for i in stride(from: second % interval, to: targets.count, by: interval) {
            let target = targets[i]
            let reader = SampleReader(
                preset: target.source.preset.flatMap(MetricsPreset.named), model: target.source.model,
                queries: target.series)
            let outcome: ScrapeOutcome
            do {
                outcome = .sample(try reader.read(try ExpositionParser.parse(page), at: at))
            } catch {
                outcome = .failure("\(error)")
                failures += 1
            }
            readings.append(
                MetricReading(
                    service: target.service, version: target.version, server: target.server, at: at, outcome: outcome))
        }
    }
}

/// Counts events by kind.
final class Listener: EventListener {
    private(set) var kinds: [EventKind: Int] = [:]
    func happened(_ event: Event, service: String, at wall: Int64, isDurable: Bool) {
        kinds[event.kind, default: 0] += 1
    }
}

/// A marker that marks no split, because writes to the disk do not fail here.
final class NoMarker: LoweringMarker {
    func mark(_ state: ServiceState) -> Bool { false }
    func clear(service: String) {}
    func read() -> LoweringMarks { LoweringMarks() }
}
