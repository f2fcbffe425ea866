import Statistics

/// What one evaluation of a service costs: ten checks, of them one on eight groups.
enum Timing {
    static func print() {
        var random = Random(seed: 5)
        for rate in [10.0, 100, 1000] {
            var errors = RateProcess(
                RateBounds(ceiling: 0.01, factor: 1.5, floor: 0.002), lane: .counts(temper: 1))
            var rates = [RateProcess](
                repeating: RateProcess(RateBounds(factor: 1.5, floor: 0.002), lane: .counts(temper: 1)), count: 3)
            var latency = [LatencyRatioProcess](repeating: LatencyRatioProcess(), count: 3)
            var ceilings = [CeilingProcess](repeating: CeilingProcess(bound: 0.05), count: 2)
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
            let clock = ContinuousClock()
            let time = clock.measure {
                for (failed, slower) in strata {
                    errors.observe(failed)
                    for i in rates.indices { rates[i].observe(failed) }
                    for i in latency.indices { latency[i].observe(slower) }
                    for i in ceilings.indices { ceilings[i].observe(slower[1].candidate) }
                    for i in groups.indices { groups[i].observe(0.25) }
                    split.observe(
                        candidate: failed.candidate.trials, of: failed.candidate.trials + failed.baseline.trials,
                        share: 0.25)
                }
            }
            let evidence =
                errors.logEvidence + rates[0].logEvidence + latency[0].logEvidence + ceilings[0].logEvidence
                + groups[0].logEvidence + split.logEvidence
            let microseconds = Double(time.components.attoseconds) / 1e12 + Double(time.components.seconds) * 1e6
            Swift.print("\(rate) requests/s: \(microseconds / Double(ticks)) µs an evaluation (evidence \(evidence))")
        }
    }
}
