import PolicyModel
import Statistics
import TestSupport
import Testing

@testable import Analysis

/// The short ways to counts and quantiles against the plain ones.
@Suite(.timeLimit(.minutes(15))) struct LatencyCountTests {
    private static func entries(_ count: Int, seed: UInt64) -> [LatencyEntry] {
        var random = SplitMix64(seed: seed)
        func next(_ n: Int) -> Int { Int.random(in: 0..<n, using: &random) }
        return (0..<count).map { _ in
            LatencyEntry(
                next(2) == 0 ? .baseline : .candidate, shard: next(8),
                total: next(5) == 0 ? LatencyEntry.slowest : 600 + next(90), isCensored: next(7) == 0 && seed % 2 == 0,
                firstByte: 200 + next(10))
        }
    }

    @Test("requests beyond a bucket are counted as by hand", arguments: [(0, 1), (1, 2), (7, 3), (300, 4), (300, 5)])
    func counts(_ count: Int, _ seed: UInt64) {
        var tick = LatencyTick(second: 1, step: 1, share: Weight(clamping: 5000))
        tick.entries = Self.entries(count, seed: seed)
        let counts = LatencyCounts(tick, .total)
        for bucket in [0, 599, 600, 640, 689, 690, LatencyBuckets.count] {
            func tally(_ arm: Arm, _ censored: Int) -> Tally {
                let known = tick.entries.filter { $0.arm == arm && !$0.bucket(.total).isCensored }
                let open = tick.entries.filter { $0.arm == arm && $0.bucket(.total).isCensored }
                    .count { min($0.bucket(.total).bucket, LatencyBuckets.count) >= censored }
                let slower = known.count { min($0.bucket(.total).bucket, LatencyBuckets.count) >= bucket }
                return Tally(slower + open, of: known.count + open)
            }
            let expected = Stratum(candidate: tally(.candidate, 610), baseline: tally(.baseline, bucket))
            #expect(counts.beyond(candidate: bucket, baseline: bucket, censored: 610) == expected)
        }
    }

    @Test("a quantile is the first bucket with at most its share above, while counts fade")
    func quantiles() {
        var profile = LatencyProfile()
        #expect(profile.quantile(0.5) == nil)
        var plain = [Int](repeating: 0, count: LatencyBuckets.count + 1)
        for (i, entry) in Self.entries(Int(LatencyProfile.fading) + 500, seed: 8).enumerated() {
            let bucket = i % 50 == 0 ? i % LatencyBuckets.count : entry.bucket(.total).bucket
            profile.record([LatencyEntry(.baseline, shard: 0, total: bucket)], of: .baseline, .total)
            plain[min(bucket, LatencyBuckets.count)] += 1
            if i + 1 == Int(LatencyProfile.fading) { plain = plain.map { $0 / 2 } }
        }
        let total = plain.reduce(0, +)
        #expect(Int(profile.total) == total)
        for p in [0.01, 0.3, 0.5, 0.75, 0.9, 0.999] {
            let expected = plain.indices.dropLast().first {
                Double(plain[($0 + 1)...].reduce(0, +)) <= (1 - p) * Double(total)
            }
            #expect(profile.quantile(p) == expected, "\(p)")
        }
    }

    @Test("after an outage the tail's quantile is an error, that of what succeeded is not")
    func outage() {
        var profile = LatencyProfile()
        let buckets = (0..<980).map { 600 + $0 / 98 } + [Int](repeating: LatencyEntry.slowest, count: 20)
        profile.record(buckets.map { LatencyEntry(.baseline, shard: 0, total: $0) }, of: .baseline, .total)
        #expect(profile.quantile(0.99) == nil && profile.quantileOfSuccesses(0.99) == 609)
        #expect(profile.quantile(0.5) == 605 && profile.quantileOfSuccesses(0.5) == 604)
        #expect(LatencyProfile().quantileOfSuccesses(0.99) == nil)
    }

    @Test("a plot goes on after a reboot, wherever the clock begins, and keeps its peaks")
    func trace() {
        for restart in [5, 450, 5000] as [Int64] {
            var trace = EvidenceTrace()
            for second in 100..<700 as Range<Int64> { trace.record(second == 300 ? 9 : 1, at: second) }
            let before = trace.points.count
            for second in restart..<restart + 100 { trace.record(2, at: second) }
            #expect(trace.points.max() == 9)
            #expect(trace.points.count >= before + 100 / Int(trace.spacing))
            #expect(trace.points.count <= EvidenceTrace.capacity)
            #expect(trace.points.last == 2)
        }
    }
}
