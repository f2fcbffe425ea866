import PolicyModel
import Statistics
import TestSupport
import Testing

@testable import Analysis

/// Sticky routing of users who differ: a few send most of the requests, and each is as fast or as slow as their requests.
@Suite(.timeLimit(.minutes(45))) struct StickyKeyTests {
    private struct Users {
        var random: SplitMix64
        private let pace: [Double]
        private let cumulative: [Double]

        init(seed: UInt64, count: Int = 2_000) {
            var random = SplitMix64(seed: seed)
            pace = (0..<count).map { _ in
                // The sum of twelve uniform numbers is close to normal.
                let normal = (0..<12).reduce(-6) { sum, _ in sum + Double.random(in: 0..<1, using: &random) }
                return evidence(ofLog: 0.5 * normal)
            }
            var sum = 0.0
            cumulative = (1...count).map { rank in
                sum += 1 / evidence(ofLog: 1.1 * ln(Double(rank)))
                return sum
            }
            self.random = random
        }

        /// A request: its user and latency in microseconds.
        mutating func next() -> (user: UInt32, latency: Double) {
            let at = Double.random(in: 0..<cumulative[cumulative.count - 1], using: &random)
            var (low, high) = (0, cumulative.count - 1)
            while low < high {
                let middle = (low + high) / 2
                if cumulative[middle] <= at { low = middle + 1 } else { high = middle }
            }
            return (UInt32(low), 50_000 * pace[low] * Double.random(in: 0.8..<1.2, using: &random))
        }
    }

    /// ln E and its threshold after two hours, or once it reverts.
    private static func run(seed: UInt64, slowdown: Double) -> (reverts: Bool, candidateKeys: Int) {
        let check = Check(
            name: "c",
            kind: .latency(LatencyCheck(quantile: 0.9, isDistribution: true, maxIncrease: 0.15)))
        let policy = Policy(name: "p", checks: [check])
        var users = Users(seed: seed)
        let salt = SplitMix64.hash(seed)
        func isCandidate(_ user: UInt32, _ share: Double) -> Bool {
            Double(SplitMix64.hash(UInt64(user) ^ salt) >> 11) * 0x1p-53 < share
        }
        var profile = BaselineProfile([policy])
        var judge = SequentialJudge([policy], risk: Risk(), isKeyed: true)
        var keys: Set<UInt32> = []
        for second in Int64(-600)..<2_400 {
            let (step, share): (UInt16, Double) = second < 0 ? (0, 0) : second < 600 ? (1, 0.1) : (2, 0.5)
            if second == 0 { judge = SequentialJudge([policy], risk: Risk(), isKeyed: true, profile: profile) }
            var errors = ErrorTick(second: second + 10_000, step: step)
            var tick = LatencyTick(second: second + 10_000, step: step, share: Weight(clamping: Int(share * 10_000)))
            for _ in 0..<50 {
                let (user, latency) = users.next()
                let arm: Arm = isCandidate(user, share) ? .candidate : .baseline
                if arm == .candidate { keys.insert(user) }
                let shard = Int(SplitMix64.hash(UInt64(user)) & 7)
                errors.add(arm, shard: shard, .success)
                errors.keys.append(KeyedResponse(key: user, arm, .success))
                tick.assigned[Int(arm.rawValue)] += 1
                let bucket = LatencyBuckets.index(UInt32(latency * (arm == .candidate ? slowdown : 1)))
                tick.entries.append(LatencyEntry(arm, shard: shard, total: bucket))
                tick.keys.append(user)
            }
            tick.order()
            guard second >= 0 else {
                profile.observe(errors)
                profile.observe(tick)
                continue
            }
            judge.take(.errors(errors))
            judge.take(.latencies(tick))
            if judge.standing.reverts != nil { return (true, keys.count) }
        }
        return (false, keys.count)
    }

    @Test("users who differ do not revert a sound candidate", arguments: 1...6)
    func sound(seed: UInt64) {
        #expect(!Self.run(seed: seed, slowdown: 1).reverts)
    }

    @Test("a candidate that is twice as slow for every user is found after some of them")
    func slow() {
        let result = Self.run(seed: 1, slowdown: 2)
        #expect(result.reverts)
        #expect(result.candidateKeys < 600, "\(result.candidateKeys) users")
    }

    @Test("of the requests of a key the first counts once a cohort, whatever their order within a second")
    func firsts() {
        var tick = LatencyTick(second: 5, step: 1, share: .zero)
        for (key, bucket) in [(7, 900), (8, 700), (7, 800)] as [(UInt32, Int)] {
            tick.entries.append(LatencyEntry(.candidate, shard: 1, total: bucket))
            tick.keys.append(key)
        }
        var other = tick
        other.entries.reverse()
        other.keys.reverse()
        tick.order()
        other.order()
        #expect(tick == other)
        var cohort = FirstRequests()
        let begins = [5, 4 + FirstRequests.length, 5 + FirstRequests.length].map { cohort.begin(step: 1, second: $0) }
        #expect(begins == [true, false, true])
        #expect(cohort.cohort == 2 && cohort.shareOfRisk == 1.0 / 6)
        let firsts = tick.firsts { cohort.isFirst($0) }
        #expect(firsts.entries.map { $0.bucket(.total).bucket }.sorted() == [700, 800])
        #expect(tick.firsts { cohort.isFirst($0) }.entries.isEmpty)
        cohort.begin(step: 2, second: 6 + FirstRequests.length)
        #expect(tick.firsts { cohort.isFirst($0) }.entries.count == 2)
    }

    @Test("of a key's responses in its first second one failure counts, and later ones do not")
    func firstResponses() {
        var tick = ErrorTick(second: 1, step: 1)
        tick.keys = [
            KeyedResponse(key: 3, .candidate, .success), KeyedResponse(key: 4, .baseline, .success),
            KeyedResponse(key: 3, .candidate, 500),
        ]
        var seen = KeyFilter()
        let first = tick.firsts { seen.insert(UInt64($0)) }.stratum(.errors)
        #expect(first == Stratum(candidate: Tally(1, of: 1), baseline: Tally(0, of: 1)))
        #expect(tick.firsts { seen.insert(UInt64($0)) }.isEmpty)
    }

    @Test(
        "a stratum of keys does not span two splits: an incident that begins with a step is no fault of the candidate")
    func splitOfKeys() {
        func keys(_ range: Range<UInt32>, _ arm: Arm, _ code: ResponseCode) -> [KeyedResponse] {
            range.map { KeyedResponse(key: $0, arm, code) }
        }
        var process = ErrorsProcess(
            ErrorsCheck(maxIncrease: 0.5), counted: .errors, mode: .counts(discount: 1), isKeyed: true)
        for round in 0..<30 as Range<UInt32> {
            let first = 1000 * round
            var before = ErrorTick(second: Int64(10 * round), step: UInt16(2 * round + 1))
            before.keys =
                keys(first..<first + 18, .baseline, .success)
                + keys(first + 18..<first + 19, .candidate, .success)
            // From here on every request fails, on either arm.
            var after = ErrorTick(second: Int64(10 * round) + 1, step: UInt16(2 * round + 2))
            after.keys =
                keys(first + 100..<first + 101, .baseline, 500)
                + keys(first + 101..<first + 102, .candidate, 500)
            for var tick in [before, after] {
                for key in tick.keys { tick.add(key.arm, shard: 0, key.code) }
                process.observe(tick, firsts: tick.firsts { _ in true })
            }
        }
        #expect(process.evidence.value <= 0, "\(process.evidence.value)")
    }
}
