import Analysis
import Glibc
import PolicyModel
import Statistics

/// Traffic as real model servers have it, where requests are not independent of each other: both arms behave alike, or
/// the candidate's errors stay under the floor, so that every revert is a false one, unless the candidate is harmed on
/// purpose.
enum ServerTraffic: String, CaseIterable {
    /// Requests are independent.
    case independent
    /// A share `batched` of the requests fails, in batches of `batch` requests that fail together.
    case failedBatches
    /// A share `batched` of the requests is four times as slow, in batches of `batch`.
    case slowBatches
    /// Each arm stands still for `pause` to twice `pause` seconds, every `interval` seconds on average: garbage collection.
    case pauses
    /// Both arms fail 5 to 10 % for a minute. Otherwise the baseline fails `errors`, and the candidate .2 %, which is more
    /// than the baseline and under the floor.
    case incident
    /// Both arms fail 5 to 10 % for a minute, and `errors` otherwise.
    case incidentOfEquals

    /// The parameters of one cell.
    struct Parameters {
        var rate: Double
        var batch = 8
        /// The mean time between two pauses of an arm, in seconds.
        var interval = 600.0
        /// The shortest pause, in seconds; the longest is twice as long.
        var pause = 1.0
        /// The chance that a request of the baseline fails outside incidents and batches.
        var errors = Scenario.baseErrors
        /// The seconds of the rollout in which an incident may begin.
        var incidentBegins = 180..<1560
        /// The candidate's share in the last step; nil for the usual one of `TrafficRollout.steps`.
        var lastShare: Double?
        /// The share of requests in failed or slow batches.
        var batched = 0.01
    }
}

/// The behavior of one arm in one rollout.
private struct ArmTrafficState {
    var pauses: [(from: Double, to: Double)] = []
    var next = 0
}

/// Draws the requests of one rollout, second by second.
struct TrafficGenerator {
    let kind: ServerTraffic
    let parameters: ServerTraffic.Parameters
    private var arms = [ArmTrafficState(), ArmTrafficState()]
    private let incident: Range<Int>
    private let incidentErrors: Double
    /// The harm of a bad candidate: its errors beyond the baseline's, and the factor of its latency.
    var addedErrors = 0.0
    var slowness = 1.0
    var tail: (share: Double, factor: Double) = (0, 1)

    init(_ kind: ServerTraffic, _ parameters: ServerTraffic.Parameters, seconds: Int, random: inout Random) {
        self.kind = kind
        self.parameters = parameters
        let at = parameters.incidentBegins.lowerBound + Int(random.uniform() * Double(parameters.incidentBegins.count))
        let happens = kind == .incident || kind == .incidentOfEquals
        incident = happens ? at..<at + 60 : 0..<0
        incidentErrors = 0.05 + 0.05 * random.uniform()
        guard kind == .pauses else { return }
        for arm in 0..<2 {
            var t = random.exponential(mean: parameters.interval)
            while t < Double(seconds) {
                let end = t + parameters.pause * (1 + random.uniform())
                arms[arm].pauses.append((t, end))
                t = end + random.exponential(mean: parameters.interval)
            }
        }
    }

    /// Adds the requests of an arm that begin in one second.
    mutating func add(_ arm: Arm, share: Double, second: Int, to ticks: inout Ticks, random: inout Random) {
        let rate = parameters.rate * share
        guard rate > 0 else { return }
        let isCandidate = arm == .candidate
        var errors = parameters.errors
        if kind == .incident, isCandidate { errors = 0.002 }
        if incident.contains(second) { errors = incidentErrors }
        if kind == .failedBatches { errors = 0 }
        if isCandidate { errors += addedErrors }
        let isBatched = kind == .failedBatches || kind == .slowBatches
        let batches =
            isBatched
            ? random.poisson(Poisson(rate * parameters.batched / Double(parameters.batch))) : 0
        for _ in 0..<batches {
            for _ in 0..<parameters.batch {
                let latency = kind == .failedBatches ? nil : latency(arm, random: &random) * 4
                ticks.add(arm, Int(random.next() & 7), latency)
            }
        }
        for _ in 0..<random.poisson(Poisson(rate * (isBatched ? 1 - parameters.batched : 1))) {
            if random.uniform() < errors {
                ticks.add(arm, Int(random.next() & 7), nil)
                continue
            }
            var latency = latency(arm, random: &random)
            latency += wait(arm, at: Double(second) + random.uniform()) * 1e6
            ticks.add(arm, Int(random.next() & 7), latency)
        }
    }

    private func latency(_ arm: Arm, random: inout Random) -> Double {
        var latency = ProductRollout.median * exp(Scenario.sigma * random.normal())
        if arm == .candidate {
            latency *= slowness
            if tail.share > 0, random.uniform() < tail.share { latency *= tail.factor }
        }
        return latency
    }

    /// Seconds until the pause in which a request arrives is over.
    private mutating func wait(_ arm: Arm, at time: Double) -> Double {
        let i = Int(arm.rawValue)
        while arms[i].next < arms[i].pauses.count, arms[i].pauses[arms[i].next].to < time - 2 { arms[i].next += 1 }
        for pause in arms[i].pauses[arms[i].next...].prefix(2) where pause.from <= time && time < pause.to {
            return pause.to - time
        }
        return 0
    }
}

/// A rollout of a service with such traffic under the judge that ships: 1 % for two minutes, 10 % for ten, 50 % for thirty,
/// then until everything is proven, for two hours at most.
struct TrafficRollout {
    let kind: ServerTraffic
    let parameters: ServerTraffic.Parameters
    let policy: Policy
    let profile: BaselineProfile
    var harm: (inout TrafficGenerator) -> Void = { _ in }

    static let steps: [(until: Int, share: Double)] = [(120, 0.01), (720, 0.1), (7200, 0.5)]
    static let lastStepEnds = 2520
    static let historySeconds = 7200
    static let origin: Int64 = 1_000_000

    static func history(
        _ kind: ServerTraffic, _ parameters: ServerTraffic.Parameters, _ policy: Policy, random: inout Random
    ) -> BaselineProfile {
        var generator = TrafficGenerator(kind, parameters, seconds: historySeconds, random: &random)
        var profile = BaselineProfile([policy])
        for second in 0..<historySeconds {
            var ticks = Ticks(second: origin - Int64(historySeconds - second), step: 0, share: .zero)
            generator.add(.baseline, share: 1, second: second, to: &ticks, random: &random)
            profile.observe(ticks.errors)
            profile.observe(ticks.latencies)
        }
        return profile
    }

    func run(deadline: Int = 7200, random: inout Random) -> Ending {
        var generator = TrafficGenerator(kind, parameters, seconds: deadline, random: &random)
        harm(&generator)
        var judge = SequentialJudge([policy], risk: Risk(), isKeyed: false, profile: profile)
        var requests = 0
        for second in 0..<deadline {
            let step = Self.steps.firstIndex { second < $0.until } ?? Self.steps.count - 1
            let isLast = step == Self.steps.count - 1
            let share = isLast ? parameters.lastShare ?? Self.steps[step].share : Self.steps[step].share
            var ticks = Ticks(
                second: Self.origin + Int64(second), step: UInt16(step + 1),
                share: Weight(clamping: Int(share * 10_000)))
            generator.add(.baseline, share: 1 - share, second: second, to: &ticks, random: &random)
            generator.add(.candidate, share: share, second: second, to: &ticks, random: &random)
            requests += ticks.errors.requests(.candidate)
            judge.take(.errors(ticks.errors))
            judge.take(.latencies(ticks.latencies))
            let standing = judge.requiredChecks
            if let check = standing.reverts {
                return Ending(kind: .reverted, requests: requests, seconds: second, cause: check)
            }
            if second >= Self.lastStepEnds && standing.isProven {
                return Ending(kind: .promoted, requests: requests, seconds: second)
            }
        }
        return Ending(kind: .undecided, requests: requests, seconds: deadline)
    }

    static func table(_ arguments: Arguments) -> String {
        var random = Random(seed: arguments.seed)
        var text = "| requests/s | traffic | rollouts | reverted | promoted |\n| --- | --- | --- | --- | --- |\n"
        func row(_ name: String, rate: Double, _ endings: [Ending], isHealthy: Bool) {
            let cell = Cell(endings)
            let time = cell.medianPromotion.map { ", median \($0 / 60) min" } ?? ""
            let line =
                "| \(rate) | \(name) | \(cell.runs) | \(isHealthy ? cell.healthyText : cell.text) | "
                + "\(percent(Double(cell.promoted) / Double(cell.runs))) %\(time) |\n"
            complain("\(line.dropLast()) \(cell.causes)")
            text += line
        }
        func isChosen(_ name: String) -> Bool {
            arguments.traffic.isEmpty || arguments.traffic.contains(where: name.contains)
        }
        func cell(
            _ name: String, _ kind: ServerTraffic, _ parameters: ServerTraffic.Parameters, isHealthy: Bool = true,
            harm: @escaping (inout TrafficGenerator) -> Void = { _ in }
        ) {
            guard isChosen(name) else { return }
            let policy = ProductRollout.standard
            let runs = isHealthy ? arguments.healthy : arguments.bad
            row(
                name, rate: parameters.rate,
                (0..<runs).map { _ in
                    // Each rollout has a history of its own: rollouts with the same one would not be independent.
                    TrafficRollout(
                        kind: kind, parameters: parameters, policy: policy,
                        profile: history(kind, parameters, policy, random: &random), harm: harm
                    ).run(random: &random)
                }, isHealthy: isHealthy)
        }
        for rate in arguments.rates {
            let plain = ServerTraffic.Parameters(rate: rate)
            cell("independent", .independent, plain)
            for size in [4, 8] { cell("failed batches of \(size)", .failedBatches, .init(rate: rate, batch: size)) }
            for size in [16, 32] { cell("slow batches of \(size)", .slowBatches, .init(rate: rate, batch: size)) }
            for interval in [120.0, 600, 1800] {
                cell("pauses every \(Int(interval)) s", .pauses, .init(rate: rate, interval: interval))
            }
            for interval in [3600.0, 7200] {
                cell("rare pauses, every \(Int(interval)) s", .pauses, .init(rate: rate, interval: interval))
            }
            cell("long pauses of 2 to 4 s", .pauses, .init(rate: rate, interval: 1800, pause: 2))
            cell("long pauses of 5 to 10 s", .pauses, .init(rate: rate, interval: 1800, pause: 5))
            for size in [16, 32] {
                cell("rare failed batches of \(size)", .failedBatches, .init(rate: rate, batch: size, batched: 0.0005))
            }
            cell(
                "incident of 60 s, candidate under the floor, 20 times the baseline", .incident,
                .init(rate: rate, errors: 0.0001, incidentBegins: 1800..<2400))
            cell(
                "incident of 60 s, candidate under the floor, 20 times the baseline, 90 %", .incident,
                .init(rate: rate, errors: 0.0001, incidentBegins: 1800..<2400, lastShare: 0.9))
            cell(
                "incident of 60 s, candidate under the floor, 90 %", .incident, .init(rate: rate, lastShare: 0.9))
            cell("incident of 60 s, candidate under the floor", .incident, plain)
            cell("incident of 60 s, equal arms", .incidentOfEquals, plain)
            for (name, errors) in [("errors 100 %", 1.0), ("errors 5 %", 0.049), ("errors 1 %", 0.009)] {
                cell(name, .independent, plain, isHealthy: false) { $0.addedErrors = errors }
            }
            for factor in [2.0, 1.3, 1.15] {
                cell("latency ×\(factor)", .independent, plain, isHealthy: false) { $0.slowness = factor }
            }
            cell("tail 3 % ×4", .independent, plain, isHealthy: false) { $0.tail = (0.03, 4) }
            for exponent in [0.8, 1.1, 1.4] where isChosen("sticky users, Zipf \(exponent)") {
                row(
                    "sticky users, Zipf \(exponent)", rate: rate,
                    (0..<arguments.healthy).map { _ in
                        StickyTraffic(exponent: exponent).run(rate: rate, random: &random)
                    }, isHealthy: true)
            }
            if isChosen("sticky users, latency ×2") {
                row(
                    "sticky users, latency ×2 (users)", rate: rate,
                    (0..<arguments.bad).map { _ in
                        StickyTraffic(exponent: 1.1, slowdown: 2).run(rate: rate, random: &random)
                    }, isHealthy: false)
            }
            for cell in LabelTraffic.cells where isChosen(cell.name) {
                row(
                    cell.name, rate: rate,
                    (0..<(cell.isHealthy ? arguments.healthy : arguments.bad)).map { _ in
                        cell.traffic.run(rate: rate, random: &random)
                    }, isHealthy: cell.isHealthy)
            }
        }
        return text
    }
}
