import Analysis
import Glibc
import PolicyModel
import Statistics

/// Rollouts judged by labels that take their time: how long depends on what was predicted, on the truth, or on both.
struct LabelTraffic {
    /// Seconds that a label takes.
    enum Delay: String, CaseIterable {
        /// Predicted positives are reviewed first.
        case byPrediction
        /// What turns out to be positive is known first.
        case byLabel
        /// What was missed is noticed last.
        case missedLast

        func seconds(label: Int, prediction: Int, _ random: inout Random) -> Int {
            let isEarly: Bool
            switch self {
            case .byPrediction: isEarly = prediction == 1
            case .byLabel: isEarly = label == 1
            case .missedLast: isEarly = !(label == 1 && prediction == 0)
            }
            return Int((isEarly ? 60.0 : 1200) * (0.5 + random.uniform()))
        }
    }

    var delay: Delay
    var check: QualityCheck
    /// Predictions of each arm: the share of positives that are found, and of negatives that are taken for positives.
    var recall = [0.6, 0.6]
    var falsePositives = [0.1, 0.1]
    static let prevalence = 0.2

    func run(rate: Double, deadline: Int = 7200, random: inout Random) -> Ending {
        let policy = Policy(
            name: "bench", checks: ProductRollout.standard.checks + [Check(name: "quality", kind: .quality(check))])
        let maturity = Int(check.maturity.components.seconds)
        var judge = SequentialJudge([policy], risk: Risk(), isKeyed: false)
        var arriving: [[QualityRow]] = Array(repeating: [], count: deadline + maturity + 2_000)
        var positives = 0
        for second in 0..<deadline {
            let index = TrafficRollout.steps.firstIndex { second < $0.until } ?? TrafficRollout.steps.count - 1
            let step = UInt16(index + 1)
            let share = TrafficRollout.steps[index].share
            for _ in 0..<random.poisson(Poisson(rate)) {
                let arm: Arm = random.uniform() < share ? .candidate : .baseline
                let label = random.uniform() < Self.prevalence ? 1 : 0
                let chance = (label == 1 ? recall : falsePositives)[Int(arm.rawValue)]
                let prediction = random.uniform() < chance ? 1 : 0
                let delay = delay.seconds(label: label, prediction: prediction, &random)
                arriving[second + max(delay, maturity)].append(
                    QualityRow(
                        arm: arm, step: step, label: label, prediction: prediction, score: nil, groups: [],
                        isLate: delay > maturity))
            }
            var tick = LatencyTick(
                second: TrafficRollout.origin + Int64(second), step: step,
                share: Weight(clamping: Int(share * 10_000)))
            tick.assigned = [1, 0]
            judge.take(.errors(ErrorTick(second: tick.second, step: step)))
            judge.take(.latencies(tick))
            guard !arriving[second].isEmpty else { continue }
            positives += arriving[second].count { $0.arm == .candidate && $0.label == 1 && !$0.isLate }
            judge.take(.rows(arriving[second]))
            guard let evidence = judge.evidence.first(where: { $0.path == "bench/quality" })?.evidence else { continue }
            if evidence.value >= evidence.revertAt {
                return Ending(kind: .reverted, requests: positives, seconds: second, cause: "quality")
            }
            // A check with proof enough may still wait for its late labels.
            if second >= TrafficRollout.lastStepEnds, evidence.proof >= evidence.promoteAt,
                judge.evaluate([policy], Self.nothing, now: 0).contains(where: { $0.check == "quality" && $0.proven })
            {
                return Ending(kind: .promoted, requests: positives, seconds: second)
            }
        }
        return Ending(kind: .undecided, requests: positives, seconds: deadline)
    }

    private static let nothing = WindowSnapshot(
        observations: ObservationWindow(retention: .seconds(60), startedAt: 0))

    private static func check(
        _ measure: QualityMeasure, drop: Double? = nil, rise: Double? = nil, maturity: Int = 1800
    ) -> QualityCheck {
        QualityCheck(measure: measure, maxDrop: drop, maxRise: rise, maturity: .seconds(maturity))
    }

    /// Sound candidates, then a harmful one.
    static let cells: [(name: String, isHealthy: Bool, traffic: LabelTraffic)] = {
        let equal: [(String, LabelTraffic)] = Delay.allCases.flatMap { delay in
            [
                ("recall", LabelTraffic(delay: delay, check: check(.recall, drop: 0.05))),
                ("false positive rate", LabelTraffic(delay: delay, check: check(.falsePositiveRate, rise: 0.05))),
                ("accuracy", LabelTraffic(delay: delay, check: check(.accuracy, drop: 0.05))),
            ].map { ("labels \(delay.rawValue), \($0.0), equal arms", $0.1) }
        }
        // The candidate selects more, with the accuracy of the baseline: .2 · .6 + .8 · .9 = .2 · .8 + .8 · .85.
        let other = Delay.allCases.map { delay in
            (
                "labels \(delay.rawValue), accuracy, another selection rate",
                LabelTraffic(
                    delay: delay, check: check(.accuracy, drop: 0.05), recall: [0.6, 0.8],
                    falsePositives: [0.1, 0.15])
            )
        }
        let harm = [1800, 600].map { maturity in
            (
                "labels byPrediction, recall -10 points, maturity \(maturity / 60)m",
                LabelTraffic(
                    delay: .byPrediction, check: check(.recall, drop: 0.05, maturity: maturity), recall: [0.6, 0.5])
            )
        }
        return (equal + other).map { ($0.0, true, $0.1) } + harm.map { ($0.0, false, $0.1) }
    }()
}

/// Sticky users of unequal size, each as fast or slow as their requests.
struct StickyTraffic {
    var exponent: Double
    var users = 2_000
    var slowdown = 1.0

    func run(rate: Double, deadline: Int = 7200, random: inout Random) -> Ending {
        let pace = (0..<users).map { _ in exp(0.5 * random.normal()) }
        var sum = 0.0
        let cumulative = (1...users).map { rank in
            sum += exp(-exponent * ln(Double(rank)))
            return sum
        }
        let salt = random.next()
        var profile = BaselineProfile([ProductRollout.standard])
        var judge = SequentialJudge([ProductRollout.standard], risk: Risk(), isKeyed: true)
        var keys: Set<UInt32> = []
        for second in -1800..<deadline {
            let index = TrafficRollout.steps.firstIndex { second < $0.until } ?? TrafficRollout.steps.count - 1
            let (step, share) = second < 0 ? (0, 0) : (UInt16(index + 1), TrafficRollout.steps[index].share)
            if second == 0 {
                judge = SequentialJudge([ProductRollout.standard], risk: Risk(), isKeyed: true, profile: profile)
            }
            let at = TrafficRollout.origin + Int64(second)
            var errors = ErrorTick(second: at, step: step)
            var tick = LatencyTick(second: at, step: step, share: Weight(clamping: Int(share * 10_000)))
            for _ in 0..<random.poisson(Poisson(rate)) {
                let draw = random.uniform() * sum
                var (low, high) = (0, users - 1)
                while low < high {
                    let middle = (low + high) / 2
                    if cumulative[middle] <= draw { low = middle + 1 } else { high = middle }
                }
                let user = UInt32(low)
                let place = SplitMix64.hash(UInt64(user) ^ salt)
                let arm: Arm = Double(place >> 11) * 0x1p-53 < share ? .candidate : .baseline
                let shard = Int(place & 7)
                let fails = random.uniform() < Scenario.baseErrors
                let latency =
                    ProductRollout.median * pace[low] * exp(0.2 * random.normal())
                    * (arm == .candidate ? slowdown : 1)
                errors.add(arm, shard: shard, fails ? 500 : .success)
                errors.keys.append(KeyedResponse(key: user, arm, fails ? 500 : .success))
                tick.assigned[Int(arm.rawValue)] += 1
                tick.entries.append(
                    LatencyEntry(
                        arm, shard: shard,
                        total: fails ? LatencyEntry.slowest : LatencyBuckets.index(UInt32(min(latency, 4e9)))))
                tick.keys.append(user)
                if arm == .candidate { keys.insert(user) }
            }
            guard second >= 0 else {
                profile.observe(errors)
                profile.observe(tick)
                continue
            }
            judge.take(.errors(errors))
            judge.take(.latencies(tick))
            let standing = judge.requiredChecks
            if let check = standing.reverts {
                return Ending(kind: .reverted, requests: keys.count, seconds: second, cause: check)
            }
            if second >= TrafficRollout.lastStepEnds && standing.isProven {
                return Ending(kind: .promoted, requests: keys.count, seconds: second)
            }
        }
        return Ending(kind: .undecided, requests: keys.count, seconds: deadline)
    }
}
