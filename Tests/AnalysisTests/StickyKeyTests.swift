import PolicyModel
import Statistics
import TestSupport
import Testing

@testable import Analysis

/// Sticky routing of users who differ: a few send most of the requests, and each is as fast or as slow as their requests.
@Suite(.timeLimit(.minutes(15))) struct StickyKeyTests {
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
            if judge.requiredChecks.reverts != nil { return (true, keys.count) }
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

    private static let check = LatencyCheck(quantile: 0.9, isDistribution: true, maxIncrease: 0.15)
    private static let both = Policy(
        name: "p",
        checks: [
            Check(name: "errors", kind: .errors(ErrorsCheck(maxIncrease: 0.5, floor: 0.02))),
            Check(name: "latency", kind: .latency(check)),
        ])

    /// Returns the ticks of a second in which each of these users sends one request, the even ones to the candidate.
    private static func ticks(_ second: Int64, users: Range<UInt32>, step: UInt16) -> (ErrorTick, LatencyTick) {
        var errors = ErrorTick(second: second, step: step)
        var tick = LatencyTick(second: second, step: step, share: Weight(clamping: 5_000))
        for user in users {
            let arm: Arm = user % 2 == 0 && step > 0 ? .candidate : .baseline
            let shard = Int(user / 2 & 7)
            errors.add(arm, shard: shard, .success)
            errors.keys.append(KeyedResponse(key: user, arm, .success))
            // From 20 to 60 ms, the same for both users of a pair.
            let milliseconds = 20 + user / 2 * 7 % 41
            tick.entries.append(LatencyEntry(arm, shard: shard, total: LatencyBuckets.index(1_000 * milliseconds)))
            tick.keys.append(user)
        }
        tick.order()
        return (errors, tick)
    }

    private static func judge() -> SequentialJudge {
        var profile = BaselineProfile([both])
        for second in 0..<20 as Range<Int64> {
            let (errors, latencies) = ticks(second, users: 0..<100, step: 0)
            profile.observe(errors)
            profile.observe(latencies)
        }
        return SequentialJudge([both], risk: Risk(), isKeyed: true, profile: profile)
    }

    @Test("the bets on latency begin anew with each cohort, with its share of the risk")
    func cohortsOfLatency() throws {
        var judge = Self.judge()
        func evidence() throws -> Double {
            try #require(judge.evidence.first { $0.path == "p/latency" }).evidence.value
        }
        func take(_ second: Int64, _ users: Range<UInt32>, step: UInt16 = 1) {
            let (errors, latencies) = Self.ticks(second, users: users, step: step)
            judge.take(.errors(errors))
            judge.take(.latencies(latencies))
        }
        take(100, 0..<4)
        #expect(abs(try evidence() + ln(2)) < 1e-9)
        for second in 101..<140 as Range<Int64> { take(second, 0..<UInt32(100 * (second - 100))) }
        #expect(try evidence() < -ln(2), "equal arms lose")
        // The four users of a first tick may close a stratum after the pause, and win or lose a little.
        take(100 + FirstRequests.length, 0..<4)
        #expect(abs(try evidence() + ln(6)) < 0.2)
        take(101 + FirstRequests.length, 0..<4, step: 2)
        #expect(abs(try evidence() + ln(12)) < 0.2)
    }

    @Test("users prove, not requests: the same forty for an hour prove nothing", arguments: [false, true])
    func proofs(areNew: Bool) {
        var judge = Self.judge()
        for second in 0..<400 as Range<Int64> {
            let first = areNew ? 40 * UInt32(second) : 0
            let (errors, latencies) = Self.ticks(100 + second, users: first..<first + 40, step: 1)
            judge.take(.errors(errors))
            judge.take(.latencies(latencies))
        }
        let proven = judge.evidence.map { $0.evidence.proof >= $0.evidence.promoteAt }
        #expect(proven == [areNew, areNew], "\(judge.evidence.map(\.evidence.proof))")
    }

    @Test("a user who is slow in every request is no clustering of latencies", arguments: [true, false])
    func clustering(isKeyed: Bool) throws {
        var random = SplitMix64(seed: 9)
        var profile = BaselineProfile([Self.both])
        for second in 0..<1_700 as Range<Int64> {
            var tick = LatencyTick(second: second, step: 0, share: .zero)
            func add(_ user: UInt32, milliseconds: UInt32) {
                let shard = Int(SplitMix64.hash(UInt64(user)) & 7)
                tick.entries.append(
                    LatencyEntry(.baseline, shard: shard, total: LatencyBuckets.index(1_000 * milliseconds)))
                if isKeyed { tick.keys.append(user) }
            }
            for _ in 0..<20 {
                add(UInt32.random(in: 1..<50_000, using: &random), milliseconds: .random(in: 20..<60, using: &random))
            }
            if second % 10 == 0 { for _ in 0..<20 { add(0, milliseconds: 500) } }
            profile.observe(tick)
        }
        let phi = try #require(profile.latencyOverdispersion)
        #expect((phi < CountingMode.independent) == isKeyed, "\(phi)")
    }

    @Test("before the overdispersion is known, bets depend on how the few failures came")
    func assumed() {
        func mode(_ failing: [Int64: Int]) -> CountingMode {
            var profile = BaselineProfile()
            for second in 0..<4_000 as Range<Int64> {
                var tick = ErrorTick(second: second, step: 0)
                for i in 0..<10 { tick.add(.baseline, shard: i % 8, i < failing[second] ?? 0 ? 500 : .success) }
                profile.observe(tick)
            }
            return profile.errorMode
        }
        #expect(mode([:]) == .counts(discount: 0.2))
        #expect(mode([10: 1, 500: 1, 1_000: 1, 1_500: 1, 2_000: 1, 2_500: 1]) == .counts(discount: 1))
        #expect(mode([10: 3, 500: 1, 1_000: 1]) == .counts(discount: 1.0 / 3))
    }
}
