import Analysis
import Glibc
import PolicyModel
import Statistics

/// Measures the cost of one evaluation of a service with ten checks, one of them on eight groups.
enum Timing {
    /// The CPU time of this process in microseconds, which excludes other processes on the machine.
    private static func processorTime(_ body: () -> Void) -> Double {
        func now() -> Double {
            var time = timespec()
            clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
            return Double(time.tv_sec) * 1e6 + Double(time.tv_nsec) / 1e3
        }
        let start = now()
        body()
        return now() - start
    }

    static func print() {
        var random = Random(seed: 5)
        for rate in [10.0, 100, 1000] {
            var errors = RateProcess(
                RateBounds(ceiling: 0.01, factor: 1.5, floor: 0.002), mode: .counts(discount: 1))
            var rates = [RateProcess](
                repeating: RateProcess(RateBounds(factor: 1.5, floor: 0.002), mode: .counts(discount: 1)), count: 3)
            var latency = [LatencyRatioProcess](repeating: LatencyRatioProcess(), count: 3)
            var ceilings = [Bank](
                repeating: Bank(BankSettings(alternatives: Alternatives.worse.count)), count: 2)
            var groups = [BoundedMeanProcess](repeating: BoundedMeanProcess(margin: 0.05), count: 8)
            var split = SampleRatioProcess()
            var c = ArmCounts(points: 5)
            var b = c
            var candidate = ArmSampler(points: Baseline.points)
            var baseline = ArmSampler(points: Baseline.points)
            let ticks = 2000
            var strata: [(Stratum, [Stratum])] = []
            for _ in 0..<ticks {
                candidate.draw(Condition(), rate: rate * 0.25, into: &c, random: &random)
                baseline.draw(Condition(), rate: rate * 0.75, into: &b, random: &random)
                func stratum(_ x: Int, _ y: Int) -> Stratum {
                    Stratum(candidate: Tally(x, of: c.requests), baseline: Tally(y, of: b.requests))
                }
                strata.append(
                    (stratum(c.errors, b.errors), [0, 2, 4].map { stratum(c.slower[$0], b.slower[$0]) }))
            }
            let time = processorTime {
                for (failed, slower) in strata {
                    errors.observe(failed)
                    for i in rates.indices { rates[i].observe(failed) }
                    for i in latency.indices { latency[i].observe(slower) }
                    let slow = slower[1].candidate
                    for i in ceilings.indices where slow.trials > 0 {
                        ceilings[i].observe {
                            exp(RateCeiling.logLikelihoodRatio(slow, oddsBy: Alternatives.worse[$0], against: 0.05))
                        }
                    }
                    for i in groups.indices { groups[i].observe(0.25) }
                    split.observe(
                        candidate: failed.candidate.trials, of: failed.candidate.trials + failed.baseline.trials,
                        share: 0.25)
                }
            }
            let evidence =
                errors.logEvidence + rates[0].logEvidence + latency[0].logEvidence + ceilings[0].logEvidence
                + groups[0].logEvidence + split.logEvidence
            Swift.print("\(rate) requests/s: \(time / Double(ticks)) µs an evaluation (evidence \(evidence))")
        }
    }

    /// Measures the judge that ships, with four checks on errors, five on latency and one on the quality of eight groups:
    /// it takes the ticks of one second and eight labeled rows, and returns its results.
    static func printProduct() {
        var random = Random(seed: 6)
        var checks = (0..<4).map {
            Check(name: "errors-\($0)", kind: .errors(ErrorsCheck(max: 0.01, maxIncrease: 0.5, floor: 0.002)))
        }
        for i in 0..<5 {
            let max: Duration? = i < 2 ? .milliseconds(400) : nil
            checks.append(
                Check(
                    name: "latency-\(i)", kind: .latency(LatencyCheck(quantile: 0.95, max: max, maxIncrease: 0.1))))
        }
        let groups = (0..<8).map { "g\($0)" }
        checks.append(
            Check(
                name: "quality",
                kind: .quality(
                    QualityCheck(
                        measure: .recall, groups: groups.map { GroupSelector(attribute: "group", value: $0) },
                        maxDrop: 0.05))))
        for rate in [10.0, 100, 1000] {
            let profile = ProductRollout.history(.healthy, rate: rate, random: &random)
            let policy = Policy(name: "ten", checks: checks)
            var judge = SequentialJudge(
                [policy], risk: Risk(), isKeyed: false, profile: profile)
            let items = (0..<2000 as Range<Int64>).map { second in
                var ticks = Ticks(second: ProductRollout.origin + second, step: 1, share: Weight(clamping: 2500))
                ticks.addRequests(.baseline, Condition(), rate: rate * 0.75, clusters: false, random: &random)
                ticks.addRequests(.candidate, Condition(), rate: rate * 0.25, clusters: false, random: &random)
                let rows = groups.map { group in
                    QualityRow(
                        arm: random.next() & 1 == 0 ? .baseline : .candidate, step: 1, label: 1,
                        prediction: random.uniform() < 0.6 ? 1 : 0, score: nil, groups: ["group=\(group)"])
                }
                return [JudgedItem.errors(ticks.errors), .latencies(ticks.latencies), .rows(rows)]
            }
            let nothing = WindowSnapshot(
                observations: ObservationWindow(retention: .seconds(1), startedAt: 0))
            var reverts = 0
            let time = processorTime {
                for second in items {
                    for item in second { judge.take(item) }
                    let results = judge.evaluate([policy], nothing, now: 0)
                    if results.contains(where: { $0.verdict == .fail }) { reverts += 1 }
                }
            }
            Swift.print("product, \(rate) requests/s: \(time / Double(items.count)) µs (\(reverts) reverts)")
        }
    }
}
