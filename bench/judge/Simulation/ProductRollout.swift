import Analysis
import Glibc
import PolicyModel
import Statistics

/// One rollout under the judge that ships, `SequentialJudge`, simulated request by request: with latencies in buckets,
/// quantiles and overdispersion learned from the baseline's history, and modes that may change during the rollout. It
/// verifies `SequentialRollout`, which simulates counts.
struct ProductRollout {
    let scenario: Scenario
    let rate: Double
    let policy: Policy
    let profile: BaselineProfile

    /// The bounds of `SequentialSettings` as a policy.
    static let sameBounds = Policy(
        name: "bench",
        checks: [
            Check(name: "errors", kind: .errors(ErrorsCheck(max: 0.01, maxIncrease: 0.5, floor: 0.002))),
            Check(
                name: "latency",
                kind: .latency(
                    LatencyCheck(
                        quantile: LatencyCheck.shownOfDistribution, isDistribution: true, maxIncrease: 0.1))),
        ])
    /// The bounds of policies/standard.yaml.
    static let standard = Policy(
        name: "standard",
        checks: [
            Check(name: "error-rate", kind: .errors(ErrorsCheck(max: 0.02, maxIncrease: 0.5, floor: 0.0025))),
            Check(name: "client-errors", kind: .clientErrors(ClientErrorsCheck(maxIncrease: 0.5, floor: 0.01))),
            Check(
                name: "p95-latency",
                kind: .latency(LatencyCheck(quantile: 0.95, max: .seconds(1), maxIncrease: 0.15))),
            Check(
                name: "latency-distribution",
                kind: .latency(
                    LatencyCheck(
                        quantile: LatencyCheck.shownOfDistribution, isDistribution: true, maxIncrease: 0.15,
                        floor: .milliseconds(5)))),
        ])
    /// The median latency of the baseline in microseconds.
    static let median = 50_000.0
    /// The second in which rollouts begin.
    static let origin: Int64 = 1_000_000

    /// The profile of the baseline after two hours without a rollout.
    static func history(_ scenario: Scenario, rate: Double, random: inout Random) -> BaselineProfile {
        let seconds = 7200
        let course = Course(scenario, seconds: seconds, random: &random)
        var profile = BaselineProfile([sameBounds, standard])
        for second in 0..<seconds {
            var ticks = Ticks(second: origin - Int64(seconds - second), step: 0, share: .zero)
            ticks.addRequests(
                .baseline, course.condition(candidate: false, at: second, seen: .max), rate: rate,
                clusters: scenario == .clusters, random: &random)
            profile.observe(ticks.errors)
            profile.observe(ticks.latencies)
        }
        return profile
    }

    func run(random: inout Random) -> Ending {
        let course = Course(scenario, seconds: Steps.deadline, random: &random)
        var judge = SequentialJudge([policy], risk: Risk(), isKeyed: false, profile: profile)
        var requests = 0
        for second in 0..<Steps.deadline {
            let weight = Steps.weight(at: second)
            var ticks = Ticks(
                second: Self.origin + Int64(second), step: UInt16(min(second / Steps.seconds, 2) + 1),
                share: Weight(clamping: Int(weight * 10_000)))
            for (arm, share) in [(Arm.baseline, 1 - weight), (.candidate, weight)] {
                ticks.addRequests(
                    arm, course.condition(candidate: arm == .candidate, at: second, seen: requests),
                    rate: rate * share, clusters: scenario == .clusters, random: &random)
            }
            requests += ticks.errors.requests(.candidate)
            // Latency is not judged on the first requests of a rollout.
            if requests <= Course.cold { ticks.latencies.entries = [] }
            judge.take(.errors(ticks.errors))
            judge.take(.latencies(ticks.latencies))
            let standing = judge.requiredChecks
            if let check = standing.reverts {
                return Ending(kind: .reverted, requests: requests, seconds: second, cause: check)
            }
            if second >= Steps.end && standing.isProven {
                return Ending(kind: .promoted, requests: requests, seconds: second)
            }
        }
        return Ending(kind: .undecided, requests: requests, seconds: Steps.deadline)
    }

    static func table(_ arguments: Arguments) -> String {
        var random = Random(seed: arguments.seed)
        var text = "| requests/s | scenario | policy | rollouts | reverted | promoted |\n"
        text += "| --- | --- | --- | --- | --- | --- |\n"
        // Users who keep their arm are judged by key, which only `SequentialRollout` simulates.
        for rate in arguments.rates {
            for scenario in arguments.scenarios where scenario != .sticky {
                let profiles = (0..<4).map { _ in history(scenario, rate: rate, random: &random) }
                for policy in scenario == .healthy ? [sameBounds, standard] : [sameBounds] {
                    let runs = scenario.isHealthy ? arguments.healthy : arguments.bad
                    let cell = Cell(
                        (0..<runs).map { run in
                            ProductRollout(
                                scenario: scenario, rate: rate, policy: policy, profile: profiles[run % profiles.count]
                            ).run(random: &random)
                        })
                    let time = cell.medianPromotion.map { ", median \($0 / 60) min" } ?? ""
                    let reverted = scenario.isHealthy ? cell.healthyText : cell.text
                    let row =
                        "| \(rate) | \(scenario.label) | \(policy.name) | \(runs) | \(reverted) | "
                        + "\(percent(Double(cell.promoted) / Double(runs))) %\(time) |\n"
                    complain("\(row.dropLast()) \(cell.causes)")
                    text += row
                }
            }
        }
        return text
    }
}

/// The ticks of one second.
struct Ticks {
    var errors: ErrorTick
    var latencies: LatencyTick

    init(second: Int64, step: UInt16, share: Weight) {
        errors = ErrorTick(second: second, step: step)
        latencies = LatencyTick(second: second, step: step, share: share)
    }

    /// Draws the requests of an arm.
    mutating func addRequests(_ arm: Arm, _ c: Condition, rate: Double, clusters: Bool, random: inout Random) {
        let size = clusters ? 5 : 1
        let groups = random.poisson(Poisson(rate * c.load * c.errors / Double(size)))
        for _ in 0..<groups {
            let shard = Int(random.next() & 7)
            for _ in 0..<size { add(arm, shard, nil) }
        }
        for _ in 0..<random.poisson(Poisson(rate * c.load * (1 - c.errors))) {
            let factor = random.uniform() < c.tailShare ? c.tailFactor : 1
            let latency = ProductRollout.median * c.slowness * factor * exp(Scenario.sigma * random.normal())
            add(arm, Int(random.next() & 7), latency)
        }
    }

    /// - Parameter latency: the latency in microseconds; nil for an error.
    mutating func add(_ arm: Arm, _ shard: Int, _ latency: Double?) {
        errors.add(arm, shard: shard, latency == nil ? 500 : .success)
        let bucket = latency.map { LatencyBuckets.index(UInt32(min($0, 4e9))) } ?? LatencyEntry.slowest
        latencies.assigned[Int(arm.rawValue)] += 1
        latencies.entries.append(LatencyEntry(arm, shard: shard, total: bucket))
    }
}
