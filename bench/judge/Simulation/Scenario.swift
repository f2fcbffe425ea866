import Glibc

/// The behavior of an arm at one moment.
struct Condition: Hashable {
    /// The probability that a request fails.
    var errors = Scenario.baseErrors
    /// The median latency in units of 50 ms. Latency is lognormal with σ = .5.
    var slowness = 1.0
    /// The share of the requests that are `tailFactor` times as slow.
    var tailShare = 0.0
    var tailFactor = 1.0
    /// The load as a multiple of the mean rate.
    var load = 1.0

    /// The probability of a latency above x, which is in units of the baseline's median.
    func slower(than x: Double) -> Double {
        func tail(_ f: Double) -> Double { 0.5 * erfc(log(x / (slowness * f)) / Scenario.sigma / 2.0.squareRoot()) }
        return (1 - tailShare) * tail(1) + (tailShare > 0 ? tailShare * tail(tailFactor) : 0)
    }
}

enum Scenario: String, CaseIterable {
    case healthy, outage, slowdown, clusters, bursts, sticky, nearFloor, coldStart, diurnal, floorOutage
    case errors03, errors1, errors5, errors100, latency115, latency130, latency200, tail, lateOnset
    /// Candidates at the margins that a promotion has to exclude, and at twice the margin.
    case errorsAtMargin, latencyAtMargin, latencyTwiceMargin

    static let baseErrors = 0.001
    static let sigma = 0.5
    static let healthyOnes: [Scenario] = [
        .healthy, .outage, .slowdown, .clusters, .bursts, .sticky, .nearFloor, .coldStart, .diurnal, .floorOutage,
    ]
    static let badOnes: [Scenario] = [
        .errors03, .errors1, .errors5, .errors100, .latency115, .latency130, .latency200, .tail, .lateOnset,
    ]
    static let marginOnes: [Scenario] = [.errorsAtMargin, .latencyAtMargin, .latencyTwiceMargin]

    var isHealthy: Bool { Self.healthyOnes.contains(self) }

    var label: String {
        switch self {
        case .healthy: "healthy"
        case .outage: "60 s outage of both"
        case .slowdown: "5 min slow-down of both"
        case .clusters: "retry clusters of 5"
        case .bursts: "bursts of up to 2 s in either arm"
        case .sticky: "sticky users, one always fails"
        case .nearFloor: "errors at the floor, .2 %"
        case .coldStart: "cold start, ×3 for 50 requests"
        case .diurnal: "diurnal drift"
        case .floorOutage: "candidate at the floor, outage of both"
        case .errors03: "errors .3 %"
        case .errors1: "errors 1 %"
        case .errors5: "errors 5 %"
        case .errors100: "errors 100 %"
        case .latency115: "latency ×1.15"
        case .latency130: "latency ×1.3"
        case .latency200: "latency ×2"
        case .tail: "tail 3 % ×4"
        case .lateOnset: "errors 5 % from minute 15 on"
        case .errorsAtMargin: "errors .2 %, ×2 (at the floor)"
        case .latencyAtMargin: "latency ×1.1, at the margin"
        case .latencyTwiceMargin: "latency ×1.2, twice the margin"
        }
    }
}

/// One realization of a scenario: the behavior of both arms at each second of one rollout.
struct Course {
    let scenario: Scenario
    private var outageAt = 0
    /// The seconds with a burst, for the baseline (0) and the candidate (1).
    private var bursts: [Set<Int>] = [[], []]
    /// The hash of the user whose requests always fail, in 0 ..< 1; the candidate's if below its weight.
    let user: Double
    static let users = 200
    /// The number of requests for which a candidate is cold.
    static let cold = 50
    /// The mean time between two bursts of one arm, in seconds.
    static let burstEvery = 600.0

    init(_ scenario: Scenario, seconds: Int, random: inout Random) {
        self.scenario = scenario
        outageAt = 120 + Int(random.uniform() * 1380)
        user = random.uniform()
        if scenario == .bursts {
            for arm in 0..<2 {
                var t = random.exponential(mean: Self.burstEvery)
                while Int(t) < seconds {
                    bursts[arm].insert(Int(t))
                    if random.uniform() < 0.5 { bursts[arm].insert(Int(t) + 1) }
                    t += random.exponential(mean: Self.burstEvery)
                }
            }
        }
    }

    /// The behavior of an arm in one second.
    /// - Parameter seen: the number of requests that the candidate has had.
    func condition(candidate: Bool, at second: Int, seen: Int) -> Condition {
        var c = Condition()
        switch scenario {
        case .healthy, .clusters, .sticky: break
        case .outage: if (outageAt..<outageAt + 60).contains(second) { c.errors = 0.8 }
        case .slowdown: if (outageAt..<outageAt + 300).contains(second) { c.slowness = 2.5 }
        case .bursts: if bursts[candidate ? 1 : 0].contains(second) { c.errors = 1 }
        case .nearFloor: c.errors = 0.002
        case .coldStart: if candidate && seen < Self.cold { c.slowness = 3 }
        case .diurnal:
            // Steps of a minute, with a period of an hour.
            let phase = 2 * .pi * Double(second / 60) / 60
            c.load = 1 + 0.5 * sin(phase)
            c.slowness = 1 + 0.2 * sin(phase)
            c.errors *= 1 + 0.5 * sin(phase)
        case .floorOutage:
            if candidate { c.errors = 0.002 }
            if (outageAt..<outageAt + 60).contains(second) { c.errors = 0.8 }
        case .errors03: if candidate { c.errors = 0.003 }
        case .errors1: if candidate { c.errors = 0.01 }
        case .errors5: if candidate { c.errors = 0.05 }
        case .errors100: if candidate { c.errors = 1 }
        case .latency115: if candidate { c.slowness = 1.15 }
        case .latency130: if candidate { c.slowness = 1.3 }
        case .latency200: if candidate { c.slowness = 2 }
        case .tail:
            if candidate {
                c.tailShare = 0.03
                c.tailFactor = 4
            }
        case .lateOnset: if candidate && second >= 900 { c.errors = 0.05 }
        case .errorsAtMargin: if candidate { c.errors = 0.002 }
        case .latencyAtMargin: if candidate { c.slowness = 1.1 }
        case .latencyTwiceMargin: if candidate { c.slowness = 1.2 }
        }
        return c
    }

    /// True if the failing user is on the candidate.
    func userIsCandidate(weight: Double) -> Bool { user < weight }
}
