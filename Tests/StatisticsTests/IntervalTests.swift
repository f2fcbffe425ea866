import TestSupport
import Testing

@testable import Statistics

/// Intervals that may be read after every stratum: in how many runs they ever miss the truth, and how wide they are.
@Suite(.timeLimit(.minutes(15))) struct IntervalTests {
    private static let runs: UInt64 = 200

    private static func tally(_ trials: Int, _ rate: Double, _ random: inout SplitMix64) -> Tally {
        Tally((0..<trials).count { _ in random.chance(rate) }, of: trials)
    }

    // The rates change, and the odds ratio does not.
    @Test("the odds ratio is hardly ever outside its interval, however often it is read", arguments: [0.5, 1, 3])
    func odds(truth: Double) {
        var misses = 0
        for seed in 1...Self.runs {
            var random = SplitMix64(seed: seed)
            var interval = OddsInterval()
            var hasMissed = false
            for i in 0..<100 {
                let rate = i % 20 < 10 ? 0.02 : 0.2
                let odds = truth * rate / (1 - rate)
                let tick = Stratum(
                    candidate: Self.tally(30, odds / (1 + odds), &random), baseline: Self.tally(60, rate, &random))
                interval.observe(tick, seconds: 30)
                let (low, high) = interval.odds(alpha: 0.05)
                if truth < low || truth > high { hasMissed = true }
            }
            if hasMissed { misses += 1 }
            let (low, high) = interval.odds(alpha: 0.05)
            #expect(high / low < 4, "\(low) to \(high)")
        }
        // 5 % of 200 is 10; 19 or more would come up in fewer than 1 of 100 trials.
        #expect(misses < 19, "\(misses) of \(Self.runs)")
    }

    @Test("without a failure the difference is bounded by both arms' own rates")
    func noFailure() throws {
        var interval = OddsInterval()
        #expect(interval.difference == nil)
        let stratum = Stratum(candidate: Tally(0, of: 1_000), baseline: Tally(0, of: 1_000))
        interval.observe(stratum, seconds: 30)
        let difference = try #require(interval.difference)
        #expect(difference.contains(0) && difference.lowerBound > -0.01 && difference.upperBound < 0.01)
        // Clustered requests tell less.
        var clustered = OddsInterval()
        clustered.observe(stratum, seconds: 30, discount: 0.1)
        #expect(try #require(clustered.difference).upperBound > 5 * difference.upperBound)
    }

    @Test(
        "the difference of two rates is hardly ever outside its interval, whatever the rates",
        arguments: [(0, 1), (1, 0), (1, 1), (0, 0), (0.002, 0.004), (0.5, 0.4), (0.9, 0.99), (0, 0.02)])
    func differences(baseline: Double, candidate: Double) throws {
        var misses = 0
        for seed in 1...Self.runs {
            var random = SplitMix64(seed: seed)
            var interval = OddsInterval()
            var hasMissed = false
            for _ in 0..<60 {
                interval.observe(
                    Stratum(
                        candidate: Self.tally(10, candidate, &random), baseline: Self.tally(20, baseline, &random)),
                    seconds: 5)
                if interval.difference.map({ !$0.contains(candidate - baseline) }) ?? false { hasMissed = true }
            }
            if hasMissed { misses += 1 }
            let range = try #require(interval.difference)
            #expect(range.upperBound - range.lowerBound < 0.35)
        }
        #expect(misses < 19, "\(misses) of \(Self.runs)")
    }

    @Test("an interval is known after a few requests, and not only after half a minute")
    func soon() throws {
        var interval = OddsInterval()
        for _ in 0..<8 { interval.observe(Stratum(candidate: Tally(20, of: 20), baseline: Tally(0, of: 20))) }
        #expect(try #require(interval.difference).lowerBound > 0.7)
    }

    @Test("strata of any size are accepted, and an obvious difference is found")
    func large() throws {
        var odds = OddsInterval()
        var quantile = QuantileInterval()
        let stratum = Stratum(candidate: Tally(900_000, of: 1_000_000), baseline: Tally(1_000, of: 1_000_000))
        for _ in 0..<3 {
            odds.observe(stratum, seconds: 30)
            quantile.observe(seconds: 30) { _ in (stratum, stratum) }
        }
        #expect(try #require(odds.difference).contains(0.899))
        #expect(quantile.lowest == QuantileInterval.ratios.last)
    }

    @Test("the discount of clustered requests widens every interval")
    func discounts() {
        let stratum = Stratum(candidate: Tally(40, of: 100), baseline: Tally(20, of: 100))
        func intervals(_ discount: Double) -> (odds: Double, lowest: Double?) {
            var odds = OddsInterval()
            var quantile = QuantileInterval()
            for _ in 0..<10 {
                odds.observe(stratum, seconds: 30, discount: discount)
                quantile.observe(seconds: 30, discount: discount) { _ in (stratum, stratum) }
            }
            let (low, high) = odds.odds(alpha: 0.05)
            return (high / low, quantile.lowest)
        }
        let (plain, clustered) = (intervals(1), intervals(0.05))
        #expect(clustered.odds > 2 * plain.odds)
        #expect(plain.lowest == QuantileInterval.ratios.last && clustered.lowest == nil)
    }

    @Test("an open stratum counts once it ends, by time or with the split")
    func strata() {
        var interval = OddsInterval()
        interval.observe(Stratum(), seconds: 30)
        interval.observe(Stratum(candidate: Tally(9, of: 100), baseline: Tally(1, of: 100)), seconds: 29)
        #expect(interval.odds(alpha: 0.05).high == .infinity)
        #expect(interval.odds(alpha: 0.5).low == 0)
        interval.weightChanged()
        #expect(interval.odds(alpha: 0.5).low > 0)
    }

    @Test("a ratio of quantiles is hardly ever outside its interval", arguments: [0.8, 1, 1.5])
    func quantiles(truth: Double) {
        var misses = 0
        var widths = 0.0
        for seed in 1...Self.runs {
            var random = SplitMix64(seed: seed)
            var interval = QuantileInterval()
            var hasMissed = false
            for _ in 0..<30 {
                // The baseline's latencies are uniform in 0 ... 1, so that half of them exceed its median 0.5; the
                // candidate's are uniform in 0 ... `truth`.
                let candidate = (0..<60).map { _ in Double.random(in: 0..<truth, using: &random) }
                let baseline = Self.tally(60, 0.5, &random)
                interval.observe(seconds: 30) { i in
                    let beyond = candidate.count { $0 > QuantileInterval.ratios[i] * 0.5 }
                    let stratum = Stratum(candidate: Tally(beyond, of: 60), baseline: baseline)
                    return (stratum, stratum)
                }
                let (low, high) = (interval.lowest ?? 0, interval.highest ?? .infinity)
                if truth < low || truth > high { hasMissed = true }
            }
            if hasMissed { misses += 1 }
            let (low, high) = (interval.lowest ?? 0, interval.highest ?? .infinity)
            widths += high - low
        }
        #expect(misses < 19, "\(misses) of \(Self.runs)")
        #expect(widths / Double(Self.runs) < 0.4 * truth, "\(widths / Double(Self.runs))")
    }

    @Test("requests that may be on either side of a point widen an interval of quantiles")
    func ties() {
        var interval = QuantileInterval()
        for _ in 0..<40 {
            interval.observe(seconds: 30) { _ in
                (
                    Stratum(candidate: Tally(0, of: 60), baseline: Tally(30, of: 60)),
                    Stratum(candidate: Tally(60, of: 60), baseline: Tally(30, of: 60))
                )
            }
        }
        let (low, high) = (interval.lowest ?? 0, interval.highest ?? .infinity)
        #expect(low == 0 && high == .infinity)
    }

    @Test("a mean is hardly ever outside its interval, which closes", arguments: [-0.9, 0, 0.05])
    func means(truth: Double) throws {
        var misses = 0
        for seed in 1...Self.runs {
            var random = SplitMix64(seed: seed)
            var interval = MeanInterval()
            var hasMissed = false
            for _ in 0..<1_000 {
                interval.observe(random.chance((1 + truth) / 2) ? 1 : -1)
                if interval.interval.map({ !$0.contains(truth) }) ?? false { hasMissed = true }
            }
            if hasMissed { misses += 1 }
            let range = try #require(interval.interval)
            #expect(range.upperBound - range.lowerBound < 0.4)
        }
        #expect(misses < 19, "\(misses) of \(Self.runs)")
        #expect(MeanInterval().interval == nil)
    }
}
