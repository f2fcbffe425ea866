import Testing

@testable import Statistics

/// Exact means by enumeration of every outcome: under the null, the evidence is at most 1 on average however one
/// stops, so also under the best of all stopping rules (and under a reader who knows every future probability).
@Suite(.timeLimit(.minutes(15))) struct MeanOfEvidenceTests {
    /// The largest mean of E over all rules that stop after at most `steps` strata: the larger of E now, if one stops,
    /// and of the mean over the outcomes of the next stratum, each followed by the best rule for the remaining strata.
    static func bestMean<Process>(
        _ process: Process, steps: Int, outcomes: [(probability: Double, apply: (inout Process) -> Void)],
        logEvidence: (Process) -> Double
    ) -> Double {
        let now = exp(logEvidence(process))
        if steps == 0 { return now }
        var later = 0.0
        for outcome in outcomes where outcome.probability > 0 {
            var next = process
            outcome.apply(&next)
            later +=
                outcome.probability
                * bestMean(next, steps: steps - 1, outcomes: outcomes, logEvidence: logEvidence)
        }
        return max(now, later)
    }

    static func binomial(_ n: Int, _ p: Double) -> [Double] {
        (0...n).map { k in
            (k == 0 ? 1 : (1...k).reduce(1.0) { $0 * Double(n - $1 + 1) / Double($1) })
                * (0..<k).reduce(1.0) { a, _ in a * p } * (0..<(n - k)).reduce(1.0) { a, _ in a * (1 - p) }
        }
    }

    /// Every outcome of both arms with these sizes and rates.
    static func strata(_ nc: Int, _ pc: Double, _ nb: Int, _ pb: Double) -> [(Double, Stratum)] {
        let c = binomial(nc, pc)
        let b = binomial(nb, pb)
        return (0...nc).flatMap { x in
            (0...nb).map { y in
                (c[x] * b[y], Stratum(candidate: Tally(x, of: nc), baseline: Tally(y, of: nb)))
            }
        }
    }

    static let restarts: [RestartWeights] = [.never, .inverseSquare(early: 0.5)]

    @Test("The odds ratio's evidence, at its bound and below it", arguments: restarts)
    func oddsRatio(_ restarts: RestartWeights) {
        for (nc, nb, pb) in [(1, 3, 0.3), (2, 2, 0.5), (3, 1, 0.2)] {
            for ratio in [0.3, 1.0, 1.5] {
                let pc = RateCeiling.shifted(pb, oddsBy: ratio)
                let mean = Self.bestMean(
                    OddsRatioProcess(bound: 1.5, restarts: restarts), steps: 3,
                    outcomes: Self.strata(nc, pc, nb, pb).map { p, s in (p, { $0.observe(s) }) },
                    logEvidence: \.logEvidence)
                #expect(mean <= 1 + 1e-12, "\(nc) and \(nb) requests, odds × \(ratio): \(mean)")
            }
        }
    }

    @Test("The odds ratio's evidence grows beyond its bound")
    func oddsRatioPower() {
        let mean = Self.bestMean(
            OddsRatioProcess(bound: 1.5), steps: 3,
            outcomes: Self.strata(2, 0.9, 3, 0.1).map { p, s in (p, { $0.observe(s) }) }, logEvidence: \.logEvidence)
        #expect(mean > 2)
    }

    @Test("The ceiling's evidence, at its bound and below it", arguments: restarts)
    func ceiling(_ restarts: RestartWeights) {
        for p in [0.01, 0.1, 0.2] {
            let counts = Self.binomial(4, p)
            let mean = Self.bestMean(
                CeilingProcess(bound: 0.2, restarts: restarts), steps: 4,
                outcomes: (0...4).map { k in (counts[k], { $0.observe(Tally(k, of: 4)) }) },
                logEvidence: \.logEvidence)
            #expect(mean <= 1 + 1e-12, "rate \(p): \(mean)")
        }
    }

    @Test("The mixture's evidence, of both nulls")
    func mixture() {
        for null in [BetaBinomialMixture.Null.atMost, .atLeast] {
            for p in null == .atMost ? [0.01, 0.1, 0.2] : [0.2, 0.3, 0.9] {
                let counts = Self.binomial(3, p)
                let mean = Self.bestMean(
                    BetaBinomialMixture(bound: 0.2, null: null, tightestAt: 20, alpha: 0.05), steps: 4,
                    outcomes: (0...3).map { k in (counts[k], { $0.observe(Tally(k, of: 3)) }) },
                    logEvidence: \.logEvidence)
                #expect(mean <= 1 + 1e-12, "\(null), rate \(p): \(mean)")
            }
        }
    }

    @Test("The evidence against a union of two nulls, where either holds, within a block as well as at its end")
    func unionNull() {
        for (pc, pb) in [(0.1, 0.001), (0.05, 0.0), (0.3, 0.3), (0.9, 0.9), (0.1, 0.069)] {
            for (nc, nb) in [(1, 2), (2, 1)] {
                let mean = Self.bestMean(
                    UnionNullProcess(
                        rateBound: 0.1, oddsBound: 1.5,
                        rule: BlockRule(seconds: 2, requests: 100), restart: BlockRule(seconds: 1, requests: 1)),
                    steps: 4, outcomes: Self.strata(nc, pc, nb, pb).map { p, s in (p, { $0.observe(s) }) },
                    logEvidence: \.logEvidence)
                #expect(mean <= 1 + 1e-12, "rates \(pc), \(pb): \(mean)")
            }
        }
    }

    @Test("The evidence of latency at several points, where the candidate is nowhere slower")
    func latencyRatio() {
        // On either arm, half of the requests are slower than the first of two points, and a tenth are slower than the
        // second as well. Errors count as slower than both. The levels are the shares of the requests in between.
        let levels: [Double] = [0.5, 0.4, 0.1]
        func counts(_ n: Int) -> [(Double, [Int])] {
            var all: [(Double, [Int])] = [(1, [0, 0])]
            for _ in 0..<n {
                all = all.flatMap { p, k in
                    levels.enumerated().map { level, q in
                        (p * q, [k[0] + (level > 0 ? 1 : 0), k[1] + (level > 1 ? 1 : 0)])
                    }
                }
            }
            return all
        }
        let n = StratumBuilder.requests
        var outcomes: [(probability: Double, apply: (inout LatencyRatioProcess) -> Void)] = []
        for (p, c) in counts(2) {
            for (q, b) in counts(2) {
                let slower = [0, 1].map {
                    Stratum(candidate: Tally(c[$0], of: 2), baseline: Tally(b[$0], of: 2))
                }
                // A minute's tick is a stratum however few its requests.
                outcomes.append((p * q, { $0.observe(slower, seconds: StratumBuilder.seconds) }))
            }
        }
        let mean = Self.bestMean(
            LatencyRatioProcess(alternatives: [[1.5, 4], [3, 20]]), steps: 2, outcomes: outcomes,
            logEvidence: \.logEvidence)
        #expect(n > 4 && mean <= 1 + 1e-12, "\(mean)")
    }

    @Test("Bets on differences, for a revert and for a promotion")
    func boundedMean() {
        for null in [BoundedMeanProcess.Null.atMost, .atLeast] {
            // The values are −1, 0 and 1, and their mean is the margin, 0.1.
            for spread in [0.1, 0.4, 1.0] {
                let outcomes: [(Double, Double)] = [
                    ((spread - 0.1) / 2, -1), (1 - spread, 0), ((spread + 0.1) / 2, 1),
                ]
                let mean = Self.bestMean(
                    BoundedMeanProcess(margin: 0.1, null: null, restarts: .inverseSquare(early: 0.5)), steps: 6,
                    outcomes: outcomes.map { p, d in (p, { $0.observe(d) }) }, logEvidence: \.logEvidence)
                #expect(mean <= 1 + 1e-12, "\(null), spread \(spread): \(mean)")
            }
        }
    }

    @Test("The split's evidence, while it is as intended")
    func sampleRatio() {
        for share in [0.01, 0.25, 0.5] {
            let counts = Self.binomial(5, share)
            let mean = Self.bestMean(
                SampleRatioProcess(), steps: 3,
                outcomes: (0...5).map { k in (counts[k], { $0.observe(candidate: k, of: 5, share: share) }) },
                logEvidence: \.logEvidence)
            #expect(abs(mean - 1) < 1e-12)
        }
    }

    @Test("The proof of a sound candidate, where it is not sound: beyond the margin and beyond the floor")
    func nonInferiority() {
        for (pc, pb) in [(0.3, 0.3 / 1.7), (0.1, 0.0), (0.5, 0.1), (0.2, 0.1)] {
            let mean = Self.bestMean(
                NonInferiorityProcess(margin: 1.5, floor: 0.1), steps: 3,
                outcomes: Self.strata(3, pc, 3, pb).map { p, s in (p, { $0.observe(s) }) },
                logEvidence: \.logEvidence)
            #expect(mean <= 1 + 1e-12, "rates \(pc), \(pb): \(mean)")
        }
    }

    @Test("Whichever users fail, and whenever, a fair assignment of users gives no evidence on average")
    func firstFailures() {
        // The strata in which each of eight users fails; the first user fails in all four.
        let failsAt: [Set<Int>] = [[0, 1, 2, 3], [1], [2, 3], [], [3], [0], [], [1, 2]]
        for share in [0.2, 0.5] {
            var mean = 0.0
            for assignment in 0..<(1 << failsAt.count) {
                var probability = 1.0
                for user in failsAt.indices { probability *= assignment >> user & 1 == 1 ? share : 1 - share }
                var process = OddsRatioProcess(bound: 1)
                var counter = FirstFailures()
                for stratum in 0..<4 {
                    for user in failsAt.indices {
                        counter.observe(
                            key: UInt64(user), isCandidate: assignment >> user & 1 == 1,
                            isHit: failsAt[user].contains(stratum))
                    }
                    process.observe(counter.close())
                }
                mean += probability * exp(process.logEvidence)
            }
            #expect(mean <= 1 + 1e-12, "share \(share): \(mean)")
        }
    }
}
