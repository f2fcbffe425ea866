import FoundationEssentials
import PolicyModel
import Statistics
import TestSupport
import Testing

@testable import Analysis

@Suite("The sequential judge as a fold", .timeLimit(.minutes(15)))
struct SequentialJudgeTests {
    static let policies = [
        Policy(
            name: "standard",
            checks: [
                Check(name: "ceiling", kind: .errors(ErrorsCheck(max: 0.05))),
                Check(name: "errors", kind: .errors(ErrorsCheck(maxIncrease: 0.5, floor: 0.002))),
                Check(
                    name: "latency",
                    kind: .latency(LatencyCheck(quantile: 0.95, max: .milliseconds(80), maxIncrease: 0.1))),
                Check(
                    name: "recall",
                    kind: .quality(
                        QualityCheck(
                            measure: .recall, groups: [GroupSelector(attribute: "sex")], maxDrop: 0.05, minSamples: 10))
                ),
                Check(name: "score", kind: .quality(QualityCheck(measure: .score, maxDrop: 0.1)), action: .notify),
            ])
    ]

    private func judge(isKeyed: Bool) -> SequentialJudge {
        SequentialJudge(Self.policies, risk: Risk(), isKeyed: isKeyed)
    }

    /// Every number of every check, in bits.
    private func bits(_ judge: SequentialJudge) -> [[UInt64]] {
        judge.evidence.map { _, e in
            [e.value, e.revertAt, e.proof, e.promoteAt, e.weight, e.requestsNeeded ?? -1, e.secondsNeeded ?? -1].map(
                \.bitPattern) + e.trace.points.map(\.bitPattern)
        }
    }

    private func written(_ judge: SequentialJudge) throws -> SequentialJudge {
        let encoder = JSONEncoder()
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return try decoder.decode(SequentialJudge.self, from: encoder.encode(judge))
    }

    @Test(
        "Written down as JSON in the middle of a recording, it goes on to the same evidence, bit for bit",
        arguments: [false, true], [1.0, 1.4])
    func roundTrip(isKeyed: Bool, slower: Double) throws {
        var random = RandomItems(seed: isKeyed ? 7 : 8, isKeyed: isKeyed)
        let items = random.seconds(400, slower: slower, failing: slower > 1 ? 0.08 : 0.002)
        var straight = judge(isKeyed: isKeyed)
        var interrupted = straight
        for (i, item) in items.enumerated() {
            straight.take(item)
            interrupted.take(item)
            if i % 97 == 50 { interrupted = try written(interrupted) }
        }
        #expect(straight.items == items.count && interrupted.items == items.count)
        let isSame = bits(straight) == bits(interrupted)
        #expect(isSame)
        // Not all nothing, or the comparison would say nothing.
        #expect(straight.evidence.contains { abs($0.evidence.value) > 0.1 && $0.evidence.trace.points.count > 50 })
        if slower > 1 {
            let failing = straight.evidence.filter { $0.evidence.value >= $0.evidence.revertAt }.map(\.path)
            #expect(failing.suffix(2) == ["standard/errors", "standard/latency"])
        }
    }

    @Test("What a sticky service gathers stays small when it is written down", arguments: [2_000, 40_000])
    func size(users: UInt32) throws {
        var random = SplitMix64(seed: 5)
        var judge = judge(isKeyed: true)
        for second in 0..<600 as Range<Int64> {
            var errors = ErrorTick(second: second, step: 1)
            var tick = LatencyTick(second: second, step: 1, share: Weight(clamping: 5_000))
            for _ in 0..<100 {
                let key = UInt32.random(in: 0..<users, using: &random)
                let arm: Arm = key % 2 == 0 ? .candidate : .baseline
                errors.add(arm, shard: Int(key & 7), .success)
                errors.keys.append(KeyedResponse(key: key, arm, .success))
                tick.entries.append(LatencyEntry(arm, shard: Int(key & 7), total: 700))
                tick.keys.append(key)
            }
            judge.take(.errors(errors))
            judge.take(.latencies(tick))
        }
        let bytes = try JSONEncoder().encode(judge).count
        #expect(bytes < (users == 2_000 ? 40_000 : 90_000), "\(bytes) bytes")
    }

    @Test("What was recorded and read again gives the same evidence, bit for bit", arguments: [false, true])
    func recorded(isKeyed: Bool) throws {
        var random = RandomItems(seed: 11, isKeyed: isKeyed)
        let items = random.seconds(300, slower: 1.1, failing: 0.03)
        var live = judge(isKeyed: isKeyed)
        var replayed = live
        for item in items { live.take(item) }
        for item in try ItemCoding.decode(ItemCoding.encode(items)) { replayed.take(item) }
        let isSame = bits(live) == bits(replayed)
        #expect(isSame)
    }

    @Test("One request counted otherwise gives other evidence")
    func sensitive() {
        var random = RandomItems(seed: 12)
        var items = random.seconds(300, failing: 0.03)
        var first = judge(isKeyed: false)
        for item in items { first.take(item) }
        let seconds = items.indices.filter { if case .errors = items[$0] { true } else { false } }
        let place = seconds[seconds.count / 2]
        guard case .errors(var tick) = items[place] else { return }
        tick.trials[12] += 1
        items[place] = .errors(tick)
        var second = judge(isKeyed: false)
        for item in items { second.take(item) }
        let isSame = bits(first) == bits(second)
        #expect(!isSame)
    }
}
