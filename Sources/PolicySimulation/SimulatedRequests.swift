import Analysis
import PolicyModel

/// Generates the requests and labels of a scenario in virtual time.
struct SimulatedRequests {
    /// The instant on the monotonic clock, in nanoseconds, at which the scenario begins.
    let origin: Int64
    private let scenario: TestScenario
    /// The range of scores that the policies expect.
    private let scores: ScoreRange
    private var random: SeededGenerator
    /// The time of the next request in seconds since `origin`.
    private var nextArrival: Double = 0
    private var inFlight: [Observation] = []
    /// The seed from which the requests' ids are derived.
    private let seed: UInt64
    private var count: UInt64 = 0
    /// Labels that arrive at the instant `at`.
    private var labels: [(row: Feedback, arm: Arm, startedAt: Int64, at: Int64)] = []

    init(_ scenario: TestScenario, seed: UInt64, origin: Int64, scores: ScoreRange = .unit) {
        self.scenario = scenario
        self.scores = scores
        self.origin = origin
        self.seed = seed
        random = SeededGenerator(seed: seed)
    }

    /// The phase at this many seconds after the beginning, and the second at which it ends; nil after the last phase.
    func phase(at seconds: Double) -> (phase: TrafficPhase, until: Double)? {
        var end = 0.0
        for phase in scenario.phases {
            end += phase.duration.seconds
            if seconds < end { return (phase, end) }
        }
        return nil
    }

    /// Advances to `seconds` after the beginning.
    /// - Returns: the requests that ended in the meantime, those that are open at that moment, and the labels that
    ///   arrived.
    mutating func advance(
        to seconds: Double, split: TrafficSplit
    ) -> (ended: [Observation], open: [Observation], labels: [JoinedFeedback]) {
        while nextArrival <= seconds, let (phase, until) = phase(at: nextArrival) {
            guard phase.rate > 0 else {
                nextArrival = until
                continue
            }
            let arrival = nextArrival + random.exponential() / phase.rate
            // A Poisson process has no memory, so it may be started again when its rate changes.
            nextArrival = min(arrival, until)
            if arrival < until { inFlight.append(request(at: arrival, phase, split)) }
        }
        let now = origin + Int64(seconds * 1e9)
        var ended: [Observation] = []
        var open: [Observation] = []
        for o in inFlight where o.startedAt <= now {
            let age = (now - o.startedAt) / 1000
            if Int64(o.total) <= age {
                ended.append(o)
            } else {
                var seen = o
                seen.outcome = .open
                seen.total = UInt32(age)
                open.append(seen)
            }
        }
        inFlight.removeAll { $0.startedAt <= now && Int64($0.total) <= (now - $0.startedAt) / 1000 }
        for o in ended { label(o) }
        let due = labels.filter { $0.at <= now }.map {
            JoinedFeedback(row: $0.row, arm: $0.arm, startedAt: $0.startedAt)
        }
        labels.removeAll { $0.at <= now }
        return (ended, open, due)
    }

    private mutating func request(at seconds: Double, _ phase: TrafficPhase, _ split: TrafficSplit) -> Observation {
        let key = random.next()
        count += 1
        let arm = split.select(key)
        let traffic = phase[arm]
        var status: UInt16 = 200
        let outcome: Outcome
        var total = LatencySampler(traffic.latency).draw(&random)
        var firstByte = traffic.firstByte.map { LatencySampler($0).draw(&random) } ?? total
        if !traffic.reachable {
            (outcome, total, firstByte) = (.connectFailure, 1000, .max)
        } else {
            status = Self.status(traffic, random.unit())
            outcome = status >= 500 ? .serverError : status >= 400 ? .clientError : .success
        }
        return Observation(
            slot: 0, arm: arm, outcome: outcome, flags: .judged,
            place: UInt16(truncatingIfNeeded: TrafficSplit.place(of: key, salt: split.salt)),
            status: outcome == .connectFailure ? 0 : status,
            key: UInt32(truncatingIfNeeded: TrafficSplit.mix(key ^ split.salt)),
            startedAt: origin + Int64(seconds * 1e9), requestHash: TrafficSplit.mix(seed &+ count),
            firstByte: min(firstByte, total), total: total)
    }

    /// The status of a request, drawn from the shares of the arm's statuses.
    /// - Parameter place: a random number in 0 ..< 1.
    private static func status(_ traffic: ArmTraffic, _ place: Double) -> UInt16 {
        var left = place - traffic.errors
        guard left >= 0 else { return 500 }
        for entry in traffic.statuses {
            left -= entry.share
            if left < 0 { return entry.status }
        }
        return 200
    }

    private mutating func label(_ o: Observation) {
        let end = o.startedAt + Int64(o.total) * 1000
        guard o.outcome == .success, let phase = phase(at: Double(o.startedAt - origin) * 1e-9)?.phase,
            let feedback = phase.feedback, random.chance(feedback.share)
        else { return }
        var place = random.unit()
        for group in feedback.groups {
            place -= group.share
            guard place < 0 else { continue }
            let quality = group[o.arm]
            let label = random.chance(group.positives) ? 1 : 0
            let prediction = random.chance(label == 1 ? quality.recall : quality.falsePositiveRate) ? 1 : 0
            let score = quality.score.map { mean in
                let spread = min(mean - scores.lower, scores.upper - mean, 0.1 * scores.width)
                return mean + (random.unit() - 0.5) * 2 * spread
            }
            let row = Feedback(
                requestHash: o.requestHash, label: label, prediction: prediction, score: score,
                groups: feedback.attribute.map { [$0: group.value] } ?? [:])
            labels.append((row, o.arm, o.startedAt, end + feedback.delay.nanoseconds))
            return
        }
    }
}
