import Testing

@testable import Statistics

@Suite(.timeLimit(.minutes(15))) struct OverdispersionTests {
    /// The seconds of an arm with `rate` requests each, some of which fail.
    private func estimate(
        seconds: Int = 1800, rate: Int = 80, _ fails: (_ second: Int, _ shard: Int, inout SplitMix) -> Int
    ) -> Double? {
        var random = SplitMix(seed: 7)
        var estimator = OverdispersionEstimator()
        for second in 0..<seconds {
            estimator.observe(
                (0..<8).map { shard in
                    Tally(min(fails(second, shard, &random), rate / 8), of: rate / 8)
                })
        }
        return estimator.estimate
    }

    private func draw(_ n: Int, _ p: Double, _ random: inout SplitMix) -> Int {
        (0..<n).count { _ in Double.random(in: 0..<1, using: &random) < p }
    }

    @Test("Independent failures are not overdispersed")
    func independent() throws {
        let phi = try #require(estimate { draw(10, 0.02, &$2) })
        #expect(phi < CountingMode.independent)
    }

    @Test("An outage of the whole arm is not overdispersion")
    func outage() throws {
        let phi = try #require(estimate { second, _, random in draw(10, second % 600 < 30 ? 0.9 : 0.01, &random) })
        #expect(phi < CountingMode.independent)
    }

    @Test("Retries in clusters of five are found, with about their size")
    func clusters() throws {
        let phi = try #require(estimate { 5 * draw(1, 0.05, &$2) })
        #expect(phi > 3 && phi < 7)
    }

    @Test("Failures of whole batches are found, although they are spread over all sub-shards", arguments: [4, 8])
    func batches(size: Int) throws {
        let phi = try #require(
            estimate(seconds: 7200) { second, shard, random in
                // A batch every eight seconds, each of its requests on a shard of its own.
                second % 8 == 3 && (shard + second / 8 * 3) % 8 < size ? 1 : 0
            })
        #expect(phi > 0.6 * Double(size) && phi < 1.6 * Double(size), "\(phi)")
    }

    @Test("Pauses of a server are found where few other requests are as slow")
    func pauses() throws {
        let phi = try #require(
            estimate(seconds: 7200) { second, _, random in second % 601 < 2 ? 10 : draw(10, 0.01, &random) })
        #expect(phi > CountingMode.clustered)
    }

    @Test("Two short outages in two hours are not overdispersion", arguments: [0.05, 0.3, 0.9])
    func outages(rate: Double) throws {
        let phi = try #require(
            estimate(seconds: 7200) { second, _, random in
                (2_005..<2_065).contains(second) || (5_003..<5_063).contains(second)
                    ? draw(10, rate, &random) : draw(10, 0.001, &random)
            })
        #expect(phi < CountingMode.independent, "\(phi)")
    }

    @Test("Few hits bound the size of clusters: one by one they are not, five at a time they may be")
    func largestPossibleCluster() {
        func possible(_ hits: [Int: Int]) -> Double {
            var estimator = OverdispersionEstimator()
            for second in 0..<21_600 {
                estimator.observe((0..<8).map { Tally($0 == 0 ? hits[second] ?? 0 : 0, of: 1) })
            }
            return estimator.largestPossibleCluster
        }
        #expect(possible([:]) == 5)
        #expect(possible([100: 1]) == 5)
        #expect(possible([100: 1, 9_000: 1, 12_000: 1]) == 3)
        #expect(possible([100: 1, 3_000: 1, 6_000: 1, 9_000: 1, 12_000: 1, 15_000: 1]) == 1)
        #expect(possible([100: 1, 3_000: 1, 3_010: 1, 9_000: 1, 12_000: 1, 15_000: 1]) == 2)
    }

    @Test("A user whose requests always fail is found")
    func stickyUser() throws {
        let phi = try #require(estimate { second, shard, random in shard == 3 && second % 5 == 0 ? 1 : 0 })
        #expect(phi > CountingMode.clustered)
    }

    @Test("With too few failures there is no estimate, which is treated as clustered")
    func unknown() {
        #expect(estimate(seconds: 100) { second, shard, _ in second % 10 == 0 && shard == 0 ? 1 : 0 } == nil)
        #expect(CountingMode(overdispersion: nil) == .counts(discount: 0.2))
        #expect(CountingMode(overdispersion: 1.2) == .counts(discount: 1))
        #expect(CountingMode(overdispersion: 4) == .counts(discount: 0.25))
        #expect(CountingMode(overdispersion: 5.1) == .ticks)
    }
}

/// A small seeded generator, so that a failure can be seen again.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
