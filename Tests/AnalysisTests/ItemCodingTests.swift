import PolicyModel
import TestSupport
import Testing

@testable import Analysis

@Suite("A recording in bytes", .timeLimit(.minutes(15)))
struct ItemCodingTests {
    @Test("Whatever items are written, the same are read", arguments: 0..<300)
    func roundTrip(seed: UInt64) throws {
        var random = RandomItems(seed: seed, isKeyed: seed % 2 == 0)
        let items = random.odd() + random.seconds(3) + random.odd()
        let read = try ItemCoding.decode(ItemCoding.encode(items))
        let isSame = read.map(\.sorted) == items.map(\.sorted)
        #expect(isSame, "seed \(seed)")
    }

    @Test("Stretches one after another are the whole")
    func together() throws {
        var random = RandomItems(seed: 1, isKeyed: true)
        let (a, b) = (random.seconds(4), random.seconds(4))
        let isSame = ItemCoding.encode(a) + ItemCoding.encode(b) == ItemCoding.encode(a + b)
        #expect(isSame)
        #expect(try ItemCoding.decode([]).isEmpty)
    }

    /// A second of each kind, keys and rows with every optional field among them.
    private func sample() -> [UInt8] {
        var random = RandomItems(seed: 3, isKeyed: true)
        return ItemCoding.encode(random.seconds(4) + random.odd())
    }

    @Test("Bytes that break off are refused, or are the items before, never a crash")
    func truncated() throws {
        let bytes = sample()
        let whole = try ItemCoding.decode(bytes)
        var refused = 0
        for n in 0..<bytes.count {
            do {
                let read = try ItemCoding.decode(Array(bytes[..<n]))
                let isBefore = read == Array(whole[..<read.count])
                #expect(isBefore && read.count < whole.count, "after \(n) bytes")
            } catch { refused += 1 }
        }
        // Between items alone, a shorter recording is a recording.
        #expect(refused >= bytes.count - whole.count)
    }

    @Test("Any flipped bit is refused or read as something else, never a crash, never without end")
    func flipped() {
        let bytes = sample()
        var refused = 0
        for i in bytes.indices {
            for bit in 0..<8 {
                var damaged = bytes
                damaged[i] ^= 1 << UInt8(bit)
                do { _ = try ItemCoding.decode(damaged) } catch {
                    refused += 1
                    #expect(error.place <= bytes.count)
                }
            }
        }
        #expect(refused > 0)
    }

    @Test("A recording with a flipped bit is replayed to an answer", arguments: 0..<8)
    func replayed(offset: Int) {
        let check = Check(name: "errors", kind: .errors(ErrorsCheck(max: 0.01, maxIncrease: 0.5)))
        let slow = Check(name: "slow", kind: .latency(LatencyCheck(quantile: 0.9, max: .seconds(1), maxIncrease: 0.3)))
        let policies = [Policy(name: "p", checks: [check, slow])]
        var random = RandomItems(seed: 3, isKeyed: true)
        let bytes = ItemCoding.encode(random.seconds(4))
        for bit in stride(from: offset, to: 8 * bytes.count, by: 401) {
            var damaged = bytes
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            guard let items = try? ItemCoding.decode(damaged) else { continue }
            var judge = SequentialJudge(policies, risk: Risk(), isKeyed: bit % 2 == 0)
            for item in items { judge.take(item) }
            let window = ObservationWindow(retention: .seconds(60), startedAt: 0)
            let results = judge.evaluate(policies, WindowSnapshot(observations: window), now: 0)
            #expect(results.count >= 2 && results.allSatisfy { !$0.verdictWords.isEmpty })
        }
    }

    @Test("A recording from before statuses were kept is refused, with that reason")
    func outdated() {
        let error = #expect(throws: ItemCoding.Damaged.self) { try ItemCoding.decode([1, 2, 1, 0]) }
        #expect(error?.description.contains("did not keep the statuses") == true)
    }

    @Test("Bytes that nobody wrote are read or refused", arguments: 0..<200)
    func noise(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let bytes = (0..<Int.random(in: 1...400, using: &random)).map { _ in
            // Small numbers get further into the reader.
            random.chance(0.7) ? UInt8.random(in: 0...5, using: &random) : UInt8.random(in: 0...255, using: &random)
        }
        _ = try? ItemCoding.decode(bytes)
    }

    @Test(
        "More errors than requests, a step or share beyond its range, counts beyond the bytes: refused, with the place")
    func impossible() {
        var tick = ErrorTick(second: 1, step: 1)
        tick.trials[0] = 3
        tick.responses[0].add(.failure)
        tick.responses[0].add(404)
        let bytes = ItemCoding.encode([.errors(tick)])
        // Tag, second, step; three requests, of which one ended as 1 and one as 404.
        #expect(bytes[..<9] == [4, 2, 1, 3, 2, 1, 1, 0x94, 3])
        for (place, value) in [(6, 3), (8, 5), (8, 0x7f)] as [(Int, UInt8)] {
            var bytes = bytes
            bytes[place] = value
            #expect(throws: ItemCoding.Damaged.self) { try ItemCoding.decode(bytes) }
        }
        #expect(throws: ItemCoding.Damaged.self) { try ItemCoding.decode([5]) }
        #expect(throws: ItemCoding.Damaged.self) { try ItemCoding.decode([3, 0xff, 0xff, 3]) }
        let error = #expect(throws: ItemCoding.Damaged.self) { try ItemCoding.decode([4, 2, 0xff, 0xff, 0xff, 1]) }
        #expect(error?.description == "the recording is damaged at byte 6")
        tick.responses[0] = ResponseCounts()
        tick.trials[0] = ErrorTick.mostTrials + 1
        #expect(throws: ItemCoding.Damaged.self) { try ItemCoding.decode(ItemCoding.encode([.errors(tick)])) }
        for second in [Int64.max, .min, 9_223_372_037, -9_223_372_037] {
            for item in [
                JudgedItem.errors(ErrorTick(second: second, step: 1)),
                .latencies(LatencyTick(second: second, step: 1, share: .zero)),
            ] {
                #expect(throws: ItemCoding.Damaged.self) { try ItemCoding.decode(ItemCoding.encode([item])) }
            }
        }
        #expect(throws: ItemCoding.Damaged.self) {
            try ItemCoding.decode([UInt8](repeating: 0xff, count: 20))
        }
    }
}
