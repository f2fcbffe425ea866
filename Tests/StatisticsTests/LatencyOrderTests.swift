import TestSupport
import Testing

@testable import Statistics

@Suite(.timeLimit(.minutes(15))) struct LatencyOrderTests {
    private static let knots: [UInt16] = [3, 5, 7]
    private static let bets = LatencyOrderProcess.weights.indices

    /// The mean of each bet over all assignments of the places to the arms.
    private static func means(_ places: [UInt16], candidates: Int) -> [Double] {
        var sums = [Double](repeating: 0, count: bets.count)
        var count = 0.0
        for mask in 0..<1 << places.count where mask.nonzeroBitCount == candidates {
            let baseline = places.indices.filter { mask >> $0 & 1 == 0 }.map { places[$0] }
            let candidate = places.indices.filter { mask >> $0 & 1 == 1 }.map { places[$0] }
            let values = LatencyOrderProcess.eValues(baseline: baseline, candidate: candidate, knots: knots)
            for i in bets { sums[i] += values[i] }
            count += 1
        }
        return sums.map { $0 / count }
    }

    @Test("for arms that are alike the mean of a bet is 1, and less with equal places", arguments: 1...5)
    func mean(candidates: Int) {
        for mean in Self.means([0, 1, 2, 3, 4, 5, 6, 7, 8], candidates: candidates) { #expect(abs(mean - 1) < 1e-12) }
        for mean in Self.means([0, 0, 3, 3, 3, 6, 6, 9, 9], candidates: candidates) { #expect(mean < 0.99) }
    }

    @Test("a bet is worth no less if a request of the candidate becomes slower", arguments: 0..<200 as Range<UInt64>)
    func monotone(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        func places(_ n: Int) -> [UInt16] { (0..<n).map { _ in UInt16.random(in: 0...9, using: &random) }.sorted() }
        let baseline = places(Int.random(in: 1...8, using: &random))
        let candidate = places(Int.random(in: 1...8, using: &random))
        let before = LatencyOrderProcess.eValues(baseline: baseline, candidate: candidate, knots: Self.knots)
        for i in candidate.indices {
            var slower = candidate
            slower[i] += UInt16.random(in: 1...4, using: &random)
            let after = LatencyOrderProcess.eValues(baseline: baseline, candidate: slower.sorted(), knots: Self.knots)
            for j in Self.bets { #expect(after[j] >= before[j] * (1 - 1e-12), "\(baseline) \(candidate) \(i)") }
        }
    }

    @Test("a stratum of one arm is bounded, and evidence comes after it")
    func oneArm() {
        var process = LatencyOrderProcess()
        for _ in 0..<100 {
            process.observe(baseline: [UInt16](repeating: 5, count: 10_000), candidate: [], knots: Self.knots)
        }
        #expect(process.openRequests <= LatencyOrderProcess.mostOfOneArm)
        for _ in 0..<100 {
            process.observe(
                baseline: [UInt16](repeating: 2, count: 20), candidate: [UInt16](repeating: 9, count: 20),
                knots: Self.knots)
        }
        #expect(process.logEvidence > 10)
    }

    @Test("long strata are exact, even if the product leaves the range of a Double halfway")
    func range() {
        // Blocks of 300 requests at one place, alternating between the arms.
        let blocks = (0..<20 as Range<UInt16>)
        let odd = blocks.filter { $0 % 2 == 1 }.flatMap { [UInt16](repeating: 10 * $0, count: 300) }
        let even = blocks.filter { $0 % 2 == 0 }.flatMap { [UInt16](repeating: 10 * $0, count: 300) }
        let values = LatencyOrderProcess.eValues(baseline: even, candidate: odd, knots: [50, 100, 150])
        let reference = Self.logarithms(baseline: even, candidate: odd, knots: [50, 100, 150])
        for i in Self.bets where reference[i] < 700 && reference[i] > -700 {
            #expect(abs(ln(values[i]) - reference[i]) < 1e-9 * abs(reference[i]) + 1e-9)
        }
        let process = LatencyOrderProcess.eValues(
            baseline: [UInt16](repeating: 0, count: 3_000), candidate: [UInt16](repeating: 9, count: 3_000),
            knots: Self.knots)
        #expect(Self.bets.allSatisfy { process[$0] > 1e100 && !process[$0].isNaN })
    }

    /// The logarithms of the e-values, added factor by factor.
    private static func logarithms(baseline: [UInt16], candidate: [UInt16], knots: [UInt16]) -> [Double] {
        var all = baseline.map { (place: $0, isCandidate: false) } + candidate.map { (place: $0, isCandidate: true) }
        all.sort { $0.place != $1.place ? $0.place > $1.place : !$0.isCandidate && $1.isCandidate }
        var left = (b: Double(baseline.count), c: Double(candidate.count))
        var sums = [Double](repeating: 0, count: bets.count)
        for request in all {
            for i in bets {
                let w = LatencyOrderProcess.weights[i][knots.count { $0 <= request.place }]
                sums[i] += ln((request.isCandidate ? w : 1) * (left.b + left.c) / (w * left.c + left.b))
            }
            if request.isCandidate { left.c -= 1 } else { left.b -= 1 }
        }
        return sums
    }

    @Test("a slower candidate is found, sooner than at three points; an equal one is not")
    func power() {
        func requestsToFind(shift: Double) -> (order: Int?, points: Int?) {
            var random = SplitMix64(seed: 11)
            var order = LatencyOrderProcess()
            var points = LatencyRatioProcess()
            var found: (order: Int?, points: Int?) = (nil, nil)
            func places(_ n: Int, _ shift: Double) -> [UInt16] {
                (0..<n).map { _ in
                    let normal = (0..<12).reduce(-6.0) { sum, _ in sum + Double.random(in: 0..<1, using: &random) }
                    return UInt16(1_000 + 100 * (normal + shift))
                }.sorted()
            }
            for second in 0..<3_000 {
                let (b, c) = (places(18, 0), places(2, shift))
                let knots: [UInt16] = [1_000, 1_128, 1_233]
                order.observe(baseline: b, candidate: c, knots: knots)
                points.observe(
                    knots.map { knot in
                        Stratum(
                            candidate: Tally(c.count { $0 > knot }, of: 2),
                            baseline: Tally(b.count { $0 > knot }, of: 18))
                    })
                if found.order == nil, order.logEvidence > ln(600) { found.order = 2 * second }
                if found.points == nil, points.logEvidence > ln(600) { found.points = 2 * second }
            }
            return found
        }
        let equal = requestsToFind(shift: 0)
        #expect(equal.order == nil && equal.points == nil)
        let slower = requestsToFind(shift: 0.3)
        #expect(slower.order ?? .max < (slower.points ?? 0) * 9 / 10, "\(slower)")
    }
}
