import Statistics
import TestSupport
import Testing

@Suite("Excess failures", .timeLimit(.minutes(15)))
struct ExcessFailuresTests {
    /// A rollout whose requests are assigned one by one, in clusters that fail together.
    /// - Parameters:
    ///   - added: the probability that a request fails on the candidate although it would succeed on the baseline.
    /// - Returns: the largest amount by which the bound was ever too low, and the bound at the end.
    private func run(
        _ seed: UInt64, requests: Int, failing: Double, added: Double, cluster: Int = 1, discount: Double = 1
    ) -> (shortfall: Double, bound: Double, expected: Double) {
        var random = SplitMix64(seed: seed)
        var excess = ExcessFailures()
        var truth = 0.0
        var shortfall = -Double.infinity
        for request in 0..<requests {
            // Shares as of a rollout by steps.
            let share = request < requests / 10 ? 0.01 : request < requests / 3 ? 0.1 : 0.5
            let isCandidate = random.chance(share)
            if random.chance(failing / Double(cluster)) {
                if isCandidate {
                    excess.observe(candidate: cluster)
                } else {
                    excess.observe(baseline: cluster, share: share)
                }
            } else if isCandidate, random.chance(added) {
                excess.observe(candidate: 1)
                truth += 1
            }
            if request % 10 == 0 {
                shortfall = max(shortfall, truth - excess.upperBound(alpha: 0.05, discount: discount))
            }
        }
        return (shortfall, excess.upperBound(alpha: 0.05, discount: discount), excess.expected)
    }

    @Test(
        "the bound is hardly ever too low, whatever the shares, also for clusters with their discount",
        arguments: [(0.3, 0.0, 1), (0.02, 0.0, 1), (0.02, 0.05, 1), (0.3, 0.0, 5)])
    func coverage(failing: Double, added: Double, cluster: Int) {
        let runs = 400
        let misses = (1...runs).count {
            run(
                UInt64($0), requests: 3_000, failing: failing, added: added, cluster: cluster,
                discount: 1 / Double(cluster)
            ).shortfall > 1e-9
        }
        // 5 % of 400 are 20; 33 are exceeded in one of 300 tries at exactly 5 %.
        #expect(misses <= 33, "\(misses) of \(runs)")
    }

    @Test("a candidate that fails like the baseline is credited for most of its failures")
    func credit() {
        let sound = run(7, requests: 100_000, failing: 0.03, added: 0)
        #expect(sound.bound > 0 && sound.bound < 300, "\(sound.bound) of 1,100 failures")
        #expect(abs(sound.expected - 1_100) < 200)
        let harmful = run(7, requests: 100_000, failing: 0.03, added: 0.03)
        #expect(harmful.bound > sound.bound + 900)
    }

    @Test("without failures of the baseline all of the candidate's count, and without a split none is credited")
    func nothingToCompare() {
        var excess = ExcessFailures()
        excess.observe(candidate: 12)
        #expect(excess.upperBound(alpha: 0.05, discount: 1) == 12)
        for share in [0, 1, -1, 2, Double.nan] { excess.observe(baseline: 1_000, share: share) }
        excess.observe(baseline: -5, share: 0.5)
        #expect(excess.upperBound(alpha: 0.05, discount: 1) == 12 && excess.expected == 0)
        excess.observe(baseline: 1_000, share: 0.5)
        #expect(excess.upperBound(alpha: 0.05, discount: 1) < 0, "the candidate failed less often")
    }
}
