import Testing

@testable import Statistics

@Suite(.timeLimit(.minutes(15))) struct TickProcessTests {
    /// The possible environments of an arm's tick: error rates with their probabilities.
    typealias Environments = [(probability: Double, rate: Double)]

    static func outcomes(_ n: Int, _ environments: Environments) -> [Double] {
        var sum = [Double](repeating: 0, count: n + 1)
        for e in environments {
            for (k, p) in MeanOfEvidenceTests.binomial(n, e.rate).enumerated() { sum[k] += e.probability * p }
        }
        return sum
    }

    static func mean(_ process: TickProcess, _ nc: Int, _ c: Environments, _ nb: Int, _ b: Environments) -> Double {
        let pc = outcomes(nc, c)
        let pb = outcomes(nb, b)
        var outcomes: [(probability: Double, apply: (inout TickProcess) -> Void)] = []
        for x in 0...nc {
            for y in 0...nb {
                let tick = Stratum(candidate: Tally(x, of: nc), baseline: Tally(y, of: nb))
                outcomes.append((pc[x] * pb[y], { $0.observe(tick) }))
            }
        }
        return MeanOfEvidenceTests.bestMean(process, steps: 2, outcomes: outcomes, logEvidence: \.logEvidence)
    }

    @Test("The mean of the evidence is at most 1, whether hits are independent, clustered or in bursts")
    func isFair() {
        let sizes = [(1, 1), (2, 5), (5, 2), (6, 1), (4, 4)]
        for factor in [1, 1.5, 3] {
            for (nc, nb) in sizes {
                let process = TickProcess(factor: factor)
                let cases: [(String, Environments, Environments)] = [
                    ("independent", [(1, 0.1 * factor)], [(1, 0.1)]),
                    ("more frequent bursts", [(0.2 * factor, 1), (1 - 0.2 * factor, 0)], [(0.2, 1), (0.8, 0)]),
                    ("worse bursts", [(0.3, 0.3 * factor), (0.7, 0)], [(0.3, 0.3), (0.7, 0)]),
                    ("mixed", [(0.5, 0.2), (0.5, 0.2 * factor)], [(0.5, 0.2), (0.5, 0.2)]),
                ]
                for (name, c, b) in cases {
                    let mean = Self.mean(process, nc, c, nb, b)
                    #expect(mean <= 1 + 1e-12, "\(name), × \(factor), \(nc) against \(nb): \(mean)")
                }
            }
        }
    }

    @Test("A candidate below the floor gives no evidence on average, whatever the baseline's rate")
    func isFairUnderTheFloor() {
        for (nc, nb) in [(1, 1), (3, 5), (5, 2)] {
            for pb in [0, 0.02, 0.2] {
                for candidate in [[(1, 0.1)], [(0.1, 1), (0.9, 0)]] as [Environments] {
                    let mean = Self.mean(TickProcess(factor: 1.5, floor: 0.1), nc, candidate, nb, [(1, pb)])
                    #expect(mean <= 1 + 1e-12, "\(nc) against \(nb), baseline \(pb): \(mean)")
                }
            }
        }
    }

    @Test("Beyond the factor the evidence grows")
    func hasPower() {
        #expect(Self.mean(TickProcess(factor: 1), 4, [(1, 0.6)], 5, [(1, 0.02)]) > 1.2)
    }

    @Test("Thinning by expectation has the mean of random thinning")
    func thinning() {
        // 3 hits of 6, 2 drawn: 0, 1 or 2 hits with 3/15, 9/15, 3/15; clipped at .6.
        let mean = TickProcess.clippedMean(Tally(3, of: 6), thinnedTo: 2, clip: 0.6)
        #expect(abs(mean - (9.0 / 15 * 0.5 + 3.0 / 15 * 0.6)) < 1e-12)
        #expect(TickProcess.clippedMean(Tally(6, of: 6), thinnedTo: 2, clip: 0.2) == 0.2)
        #expect(abs(TickProcess.clippedMean(Tally(0, of: 9), thinnedTo: 4, clip: 0.2)) < 1e-15)
        // Without clipping it is the rate itself.
        #expect(abs(TickProcess.clippedMean(Tally(3, of: 7), thinnedTo: 5, clip: 1) - 3.0 / 7) < 1e-12)
    }

    @Test("Without thinning, or with the clip put after the factor, the mean would exceed 1")
    func whyThinAndWhyClipBefore() {
        // What the proof needs, seen to be needed.
        let u = 0.2
        func clipped(_ n: Int, _ e: Environments, times f: Double = 1) -> Double {
            Self.outcomes(n, e).enumerated().reduce(0) { $0 + $1.element * min(f * Double($1.offset) / Double(n), u) }
        }
        let bursts: Environments = [(1, 0.15)]
        #expect(clipped(20, bursts) > clipped(2, bursts))
        #expect(clipped(1, [(1, 0.3)]) > clipped(1, [(1, 0.1)], times: 3))
        #expect(clipped(1, [(1, 0.3)]) <= 3 * clipped(1, [(1, 0.1)]) + 1e-15)
    }
}
