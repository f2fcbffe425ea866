import Analysis
import PolicyModel

/// The traffic of a scenario as an agent sees it, tick by tick: requests, labels, scrapes and whether the servers can
/// be reached.
struct ScenarioTraffic {
    /// What an agent sees in one tick.
    struct Tick {
        var ended: [Observation]
        /// Requests that are open at the end of the tick.
        var open: [Observation]
        var labels: [JoinedFeedback]
        var scrapes: [SimulatedScrapes.Scrape] = []
        /// Whether the server of an arm can be reached at the end of the tick, by the arm's raw value.
        var isReachable: [Bool]
    }

    private let origin: Int64
    private var requests: SimulatedRequests
    private var scrapes: SimulatedScrapes
    private var scrapedAt: Int64

    /// - Parameter origin: the instant at which the scenario begins, in monotonic nanoseconds.
    init(_ scenario: TestScenario, _ policies: [Policy], seed: UInt64, origin: Int64) {
        self.origin = origin
        requests = SimulatedRequests(
            scenario, seed: seed, origin: origin, scores: policies.scoreRange ?? .unit)
        scrapes = SimulatedScrapes(policies)
        scrapedAt = origin
    }

    /// Advances to an instant, with the split that is in force until then.
    mutating func advance(to now: Int64, split: TrafficSplit) -> Tick {
        let seconds = Double(now - origin) * 1e-9
        let (ended, open, labels) = requests.advance(to: seconds, split: split)
        scrapes.record(ended)
        let phase = requests.phase(at: seconds)?.phase
        var tick = Tick(
            ended: ended, open: open, labels: labels, isReachable: Arm.allCases.map { phase?[$0].reachable ?? true })
        let elapsed = Duration.nanoseconds(now - scrapedAt)
        if elapsed >= SimulatedScrapes.interval, let phase {
            scrapedAt = now
            tick.scrapes = scrapes.scrape(phase, now: now, elapsed: elapsed)
        }
        return tick
    }
}
