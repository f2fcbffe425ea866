import PolicyModel
import Statistics
import TestSupport
import Testing

@testable import Analysis

@Suite(.timeLimit(.minutes(15))) struct LatencyBucketTests {
    private static let samples: [UInt32] = {
        var random = SplitMix64(seed: 3)
        let edges = (0..<32).flatMap { shift -> [UInt32] in
            let power = UInt32(1) << UInt32(shift)
            return [power &- 1, power, power &+ 1]
        }
        return Array(UInt32(0)...4096) + edges + [.max, .max - 1]
            + (0..<20_000).map { _ in
                UInt32(truncatingIfNeeded: random.next() >> UInt64.random(in: 32...63, using: &random))
            }
    }()

    @Test("every latency lies within the bounds of its bucket, and buckets follow one another without a gap")
    func bounds() {
        for microseconds in Self.samples {
            let bucket = LatencyBuckets.index(microseconds)
            #expect((0..<LatencyBuckets.count).contains(bucket))
            #expect(LatencyBuckets.lowerBound(bucket) <= UInt64(microseconds))
            #expect(UInt64(microseconds) < LatencyBuckets.upperBound(bucket))
        }
        #expect(LatencyBuckets.upperBound(LatencyBuckets.count - 1) == 1 << 32)
    }

    @Test("a slower request is never in a lower bucket") func monotone() {
        let sorted = Self.samples.sorted()
        for (a, b) in zip(sorted, sorted.dropFirst()) {
            #expect(LatencyBuckets.index(a) <= LatencyBuckets.index(b))
        }
    }

    @Test(
        "in the order of requests a candidate within the allowed increase is never the slower one",
        arguments: [0.1, 0.15, 0.3])
    func places(increase: Double) {
        let process = LatencyProcess(
            LatencyCheck(quantile: 0.9, isDistribution: true, maxIncrease: increase), mode: .counts(discount: 1))
        for microseconds in Self.samples where microseconds > 0 && microseconds < 1 << 31 {
            let allowed = UInt32((Double(microseconds) * (1 + increase)).rounded(.down))
            let place = process.place(ofBaseline: LatencyBuckets.index(microseconds), increase)
            #expect(LatencyBuckets.index(allowed) <= place, "\(microseconds) µs")
            // The rounding costs at most two buckets.
            #expect(place <= LatencyBuckets.index(allowed) + 2, "\(microseconds) µs")
        }
    }

    @Test("a bucket is at most 1/64 of its lower bound wide") func width() {
        for bucket in 64..<LatencyBuckets.count {
            let low = LatencyBuckets.lowerBound(bucket)
            #expect((LatencyBuckets.upperBound(bucket) - low) * 64 <= low)
        }
    }
}

/// Quantiles and exceedances of an arm against the same, counted over the raw samples.
@Suite(.timeLimit(.minutes(15))) struct ArmSummaryTests {
    private struct Raw {
        var finished: [UInt32] = []
        var censored: [UInt32] = []
        var errors = 0
        var summary = ArmSummary()

        init(seed: UInt64) {
            var random = SplitMix64(seed: seed)
            let scale = random.pick([100.0, 10_000, 1_000_000])
            func latency() -> UInt32 { UInt32(scale * Double.random(in: 0.1...20, using: &random)) }
            for _ in 0..<Int.random(in: 0...400, using: &random) { finished.append(latency()) }
            for _ in 0..<Int.random(in: 0...50, using: &random) { censored.append(latency()) }
            errors = random.chance(0.5) ? Int.random(in: 0...40, using: &random) : 0
            for x in finished { summary.total[LatencyBuckets.index(x)] += 1 }
            summary.outcomes.add(.success, UInt64(finished.count))
            summary.outcomes.add(.serverError, UInt64(errors))
            for (i, x) in censored.enumerated() {
                if i % 2 == 0 { summary.recordOpen(age: x) } else { summary.censored[LatencyBuckets.index(x)] += 1 }
            }
        }

        /// Errors are slower than everything; what is open counts where it has outlived the threshold, else not at all.
        func exceeding(_ threshold: UInt64) -> (slower: Int, of: Int) {
            let slow = finished.count { UInt64($0) >= threshold }
            let outlived = censored.count { UInt64($0) >= threshold }
            return (slow + errors + outlived, finished.count + errors + outlived)
        }
    }

    @Test("exceedances are those of the raw samples at every bucket", arguments: 1...30 as ClosedRange<UInt64>)
    func exceedances(seed: UInt64) {
        let raw = Raw(seed: seed)
        for bucket in stride(from: 0, to: LatencyBuckets.count, by: 7) {
            let expected = raw.exceeding(LatencyBuckets.lowerBound(bucket))
            let counted = raw.summary.exceedances(.total, atOrAbove: bucket)
            #expect(counted.slower == UInt64(expected.slower) && counted.of == UInt64(expected.of))
        }
    }

    @Test("a quantile is where the raw samples cross it, to a bucket", arguments: 1...60 as ClosedRange<UInt64>)
    func quantiles(seed: UInt64) throws {
        let raw = Raw(seed: seed)
        for p in [0.01, 0.5, 0.9, 0.95, 0.99] {
            guard let quantile = raw.summary.quantile(p, of: .total) else {
                #expect(raw.finished.isEmpty && raw.censored.isEmpty && raw.errors == 0)
                continue
            }
            if quantile.value == .infinity {
                #expect(Double(raw.errors) > (1 - p) * Double(raw.finished.count + raw.errors) - 1e-9)
                continue
            }
            guard !(raw.finished.isEmpty && raw.errors == 0) else { continue }
            let microseconds = UInt32(quantile.value * 1e6 * (1 - 1e-12))
            let bucket = LatencyBuckets.index(microseconds)
            let above = raw.exceeding(LatencyBuckets.upperBound(bucket))
            #expect(above.of == 0 || Double(above.slower) / Double(above.of) <= 1 - p + 1e-9)
            // A bucket lower more are slower than that, but for the interpolation's edge.
            if bucket > 1 {
                let below = raw.exceeding(LatencyBuckets.lowerBound(bucket - 1))
                #expect(Double(below.slower) / Double(below.of) > 1 - p - 1e-9)
            }
        }
    }

    @Test("failing fast does not look fast: errors push a quantile up") func errorsAreSlow() throws {
        var summary = ArmSummary()
        for _ in 0..<90 { summary.total[LatencyBuckets.index(20_000)] += 1 }
        summary.outcomes.add(.success, 90)
        let before = try #require(summary.quantile(0.95, of: .total)).value
        summary.outcomes.add(.connectFailure, 10)
        #expect(before < 0.021)
        #expect(summary.quantile(0.95, of: .total)?.value == .infinity)
    }

    @Test("where everything hangs, the quantile is at least what the longest has outlived") func hanging() throws {
        var summary = ArmSummary()
        for seconds in 1...10 { summary.recordOpen(age: UInt32(seconds) * 1_000_000) }
        #expect(try #require(summary.quantile(0.5, of: .total)).value > 4)
        let counted = summary.exceedances(.total, atOrAbove: LatencyBuckets.index(200_000))
        #expect(counted == (10, 10))
    }
}
