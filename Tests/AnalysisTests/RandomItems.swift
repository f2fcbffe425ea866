import PolicyModel
import Statistics
import TestSupport

@testable import Analysis

/// What a judge may take in, drawn from a seed.
struct RandomItems {
    private var random: SplitMix64
    private var second: Int64 = 1_000
    private var step: UInt16 = 1
    let isKeyed: Bool

    init(seed: UInt64, isKeyed: Bool = false) {
        random = SplitMix64(seed: seed)
        self.isKeyed = isKeyed
    }

    private mutating func count(_ most: Int) -> Int { Int.random(in: 0...most, using: &random) }

    /// Some seconds of traffic as a feed hands it out, with a step that ends now and then.
    /// - Parameters:
    ///   - slower: the factor of the candidate's latencies.
    ///   - failing: the share of its requests that fail.
    mutating func seconds(_ n: Int, slower: Double = 1, failing: Double = 0.002) -> [JudgedItem] {
        var items: [JudgedItem] = []
        for _ in 0..<n {
            second += random.chance(0.02) ? 17 : 1
            if random.chance(0.01) { step += 1 }
            items.append(.errors(errors(failing)))
            items.append(.latencies(latencies(slower, failing)))
            if random.chance(0.3) { items.append(.rows((0..<(1 + count(4))).map { _ in row() })) }
        }
        return items
    }

    private mutating func errors(_ failing: Double) -> ErrorTick {
        var tick = ErrorTick(second: second, step: step)
        for arm in Arm.allCases {
            for _ in 0..<(8 + count(8)) {
                let isError = random.chance(arm == .candidate ? failing : 0.002)
                let code: ResponseCode =
                    isError ? random.pick([500, 503, .failure]) : random.chance(0.03) ? 404 : .success
                tick.add(arm, shard: count(7), code)
                if isKeyed {
                    let key = UInt32(count(400)) * 2 + UInt32(arm.rawValue)
                    tick.keys.append(KeyedResponse(key: key, arm, code))
                }
            }
        }
        return tick
    }

    private mutating func latencies(_ slower: Double, _ failing: Double) -> LatencyTick {
        var tick = LatencyTick(second: second, step: step, share: Weight(clamping: 5_000))
        for arm in Arm.allCases {
            for _ in 0..<(8 + count(8)) {
                tick.assigned[Int(arm.rawValue)] += 1
                let whole = Double(20_000 + count(30_000)) * (arm == .candidate ? slower : 1)
                let bucket =
                    random.chance(arm == .candidate ? failing : 0.002)
                    ? LatencyEntry.slowest : LatencyBuckets.index(UInt32(whole))
                let first = random.chance(0.5) ? bucket : LatencyBuckets.index(UInt32(whole / 3))
                tick.entries.append(
                    LatencyEntry(
                        arm, shard: count(7), total: bucket, isCensored: random.chance(0.05), firstByte: first,
                        isFirstByteCensored: random.chance(0.05)))
                if isKeyed { tick.keys.append(UInt32(count(400)) * 2 + UInt32(arm.rawValue)) }
            }
        }
        if isKeyed { tick.order() }
        return tick
    }

    private mutating func row() -> QualityRow {
        QualityRow(
            arm: random.chance(0.5) ? .baseline : .candidate, step: step, label: random.chance(0.1) ? nil : count(1),
            prediction: random.chance(0.1) ? nil : count(1),
            score: random.chance(0.3) ? nil : Double.random(in: 0...1, using: &random),
            groups: random.chance(0.2) ? [] : [random.chance(0.5) ? "sex=Female" : "sex=Male"],
            key: isKeyed ? UInt32(count(400)) : nil, isLate: random.chance(0.2))
    }

    /// Items with nothing in common with traffic: every number as large as its place allows, or none.
    mutating func odd() -> [JudgedItem] {
        (0..<count(12)).map { _ in
            switch count(2) {
            case 0:
                var tick = ErrorTick(
                    second: Int64(bitPattern: random.next()) % 9_223_372_036,
                    step: UInt16(truncatingIfNeeded: random.next()))
                for i in tick.trials.indices where random.chance(0.5) {
                    tick.trials[i] = UInt32(random.next() >> UInt64(42 + count(22)))
                    var left = UInt64(tick.trials[i])
                    for _ in 0..<count(4) where left > 0 {
                        let n = UInt64.random(in: 1...left, using: &random)
                        tick.responses[i].add(ResponseCode(rawValue: UInt16(1 + count(598))), n)
                        left -= n
                    }
                }
                tick.keys = (0..<count(9)).map { _ in
                    KeyedResponse(
                        key: UInt32(truncatingIfNeeded: random.next() >> UInt64(count(63))),
                        random.pick(Arm.allCases), ResponseCode(rawValue: UInt16(count(599))))
                }
                return .errors(tick)
            case 1:
                var tick = LatencyTick(
                    second: Int64(bitPattern: random.next()) % 9_223_372_036,
                    step: UInt16(truncatingIfNeeded: random.next()),
                    share: Weight(clamping: count(10_000)))
                tick.assigned = [UInt32(random.next() >> 40), UInt32(random.next() >> 40)]
                tick.entries = (0..<count(9)).map { _ in
                    LatencyEntry(
                        random.chance(0.5) ? .baseline : .candidate, shard: count(7), total: count(0x7ff),
                        isCensored: random.chance(0.5), firstByte: count(0x7ff),
                        isFirstByteCensored: random.chance(0.5))
                }
                if random.chance(0.5) {
                    tick.keys = tick.entries.map { _ in UInt32(truncatingIfNeeded: random.next()) }
                }
                return .latencies(tick)
            default:
                return .rows(
                    (0..<count(4)).map { _ in
                        QualityRow(
                            arm: random.chance(0.5) ? .baseline : .candidate,
                            step: UInt16(truncatingIfNeeded: random.next()),
                            label: random.chance(0.5) ? nil : count(1 << 40) - 1 << 39,
                            prediction: random.chance(0.5) ? nil : -count(1 << 50),
                            score: random.chance(0.5) ? nil : Double(bitPattern: random.next() & ~(0x7ff << 52)),
                            groups: (0..<count(3)).map { _ in random.pick(["", "ü=ß", "a=b", "🙂=\u{0}"]) })
                    })
            }
        }
    }
}

extension JudgedItem {
    /// With what has no order in the order of a recording.
    var sorted: JudgedItem {
        switch self {
        case .errors(var tick):
            tick.keys.sort()
            return .errors(tick)
        case .latencies(var tick):
            if tick.keys.isEmpty { tick.entries.sort { $0.bits < $1.bits } } else { tick.order() }
            return .latencies(tick)
        case .rows: return self
        }
    }
}
