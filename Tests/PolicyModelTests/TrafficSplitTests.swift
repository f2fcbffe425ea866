import PolicyModel
import Testing

@Suite("Traffic split", .timeLimit(.minutes(15)))
struct TrafficSplitTests {
    private let keys = (0..<100_000).map { TrafficSplit.hash(key: "user-\($0)") }

    private func candidates(_ points: Int, salt: UInt64) -> Set<UInt64> {
        let split = TrafficSplit(candidate: Weight(clamping: points), generation: 1, salt: salt)
        return Set(keys.filter { split.select($0) == .candidate })
    }

    @Test("A key that was the candidate's stays so while the weight grows", arguments: [0, 1, 0x9e37_79b9_7f4a_7c15])
    func sticky(_ salt: UInt64) {
        var before: Set<UInt64> = []
        for points in [0, 1, 100, 500, 2500, 5000, 9500, 10_000] {
            let now = candidates(points, salt: salt)
            #expect(before.isSubset(of: now))
            before = now
        }
        #expect(before.count == keys.count)
    }

    @Test(
        "The candidate's share of 100,000 keys is its weight within half a point",
        arguments: [
            100, 500, 1000, 2500, 5000, 9500,
        ])
    func share(_ points: Int) {
        for salt in [UInt64(3), 0xdead_beef, .max] {
            let share = Double(candidates(points, salt: salt).count) / Double(keys.count)
            #expect(abs(share - Double(points) / 10_000) < 0.005)
        }
    }

    @Test("No weight sends a key to the candidate at 0, and none to the baseline at 100 percent")
    func ends() {
        #expect(candidates(0, salt: 5).isEmpty)
        #expect(candidates(10_000, salt: 5).count == keys.count)
    }

    @Test("Another salt puts other keys first in line")
    func salts() {
        let (one, two) = (candidates(500, salt: 1), candidates(500, salt: 2))
        // Drawn apart, 5 % of 5 % are in both.
        let both = Double(one.intersection(two).count) / Double(keys.count)
        #expect(both < 0.005)
    }

    @Test("Neighbouring keys are spread: the numbers of a counter do not go to one arm in runs")
    func spread() {
        var changes = 0
        let split = TrafficSplit(candidate: Weight(clamping: 5000), generation: 1, salt: 9)
        for number in 1..<UInt64(10_000) where split.select(number) != split.select(number - 1) { changes += 1 }
        #expect((4_700...5_300).contains(changes))
    }

    @Test("A place is below 10,000 at both ends of the hash")
    func places() {
        for hash in [UInt64.min, 1, .max / 2, .max] {
            for salt in [UInt64.min, 7, .max] { #expect(TrafficSplit.place(of: hash, salt: salt) < 10_000) }
        }
    }

    @Test("The hash of a key is FNV-1a, the same on every machine")
    func hash() {
        #expect(TrafficSplit.hash(key: "") == 0xcbf2_9ce4_8422_2325)
        #expect(TrafficSplit.hash(key: "a") == 0xaf63_dc4c_8601_ec8c)
        #expect(TrafficSplit.hash(key: "foobar") == 0x8594_4171_f739_67e8)
    }
}
