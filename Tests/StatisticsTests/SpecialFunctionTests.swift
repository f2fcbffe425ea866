import Testing

@testable import Statistics

@Suite(.timeLimit(.minutes(15))) struct SpecialFunctionTests {
    private func relative(_ a: Double, _ b: Double) -> Double { abs(a - b) / max(abs(b), .leastNormalMagnitude) }

    // ln Γ at arguments of Abramowitz and Stegun, table 6.1 and 6.4, and of closed forms: ½ ln π, ln 9!, ln 100!.
    @Test(
        "The logarithm of gamma agrees with published values to 1e-12",
        arguments: [
            (0.5, 0.572_364_942_924_700_1), (1.5, -0.120_782_237_635_245_2), (10.0, 12.801_827_480_081_469),
            (101.0, 363.739_375_555_563_5), (0.1, 2.252_712_651_734_206), (1e-5, 11.512_919_692_895_826),
            (0.3, 1.095_797_994_818_075_6), (3.7, 1.428_072_326_665_388_1), (25.5, 56.389_167_643_719_947),
            (1234.5, 7_550.550_901_077_894_9), (1_000_000.5, 12_815_511.476_902_765_6),
        ])
    func gamma(_ x: Double, _ value: Double) {
        #expect(relative(logGamma(x), value) < 1e-12)
    }

    @Test("The incomplete beta function of whole parameters is a binomial tail")
    func betaOfIntegers() {
        // I[x; a, b] = P(Binomial(a + b − 1, x) ≥ a), summed term by term.
        for (a, b) in [(1, 1), (1, 7), (3, 5), (20, 4), (40, 60)] {
            for x in [0.01, 0.2, 0.5, 0.77, 0.99] {
                let n = a + b - 1
                var tail = 0.0
                for k in (a...n).reversed() {
                    var term = 1.0
                    for i in 0..<k { term *= Double(n - i) / Double(i + 1) * x }
                    for _ in 0..<(n - k) { term *= 1 - x }
                    tail += term
                }
                #expect(relative(regularizedBeta(x, Double(a), Double(b)), tail) < 1e-12, "I[\(x); \(a), \(b)]")
            }
        }
    }

    // Summed from the hypergeometric series (NIST DLMF 8.17.8) in 40 digits.
    @Test(
        "The logarithm of the incomplete beta function, large and uneven parameters and tiny values among them",
        arguments: [
            (0.5, 0.5, 0.3, -0.996_931_211_020_778_08), (1.57, 155.4, 0.01, -0.503_595_316_068_164_08),
            (155.4, 1.57, 0.99, -0.927_235_168_554_256_49), (1e5, 9.9e6, 0.0101, -7.655_892_092_134_465_4e-4),
            (1e5, 9.9e6, 0.0099, -7.240_433_499_781_755_3), (1e6, 1e6, 0.4995, -2.542_753_020_364_471_4),
            (500, 20000, 0.01, -156.466_958_900_473_23), (3000, 5, 0.5, -2_053.362_048_961_280_3),
        ] as [(Double, Double, Double, Double)])
    func logBetaOfMany(_ a: Double, _ b: Double, _ x: Double, _ value: Double) {
        // As the relative error of I, or of ln I where I is no Double.
        #expect(abs(logRegularizedBeta(x, a, b) - value) < 1e-12 * max(1, abs(value)))
    }

    @Test("I[x; a, b] and I[1 − x; b, a] sum to 1, and the ends are 0 and 1")
    func betaSymmetry() {
        for a in [0.1, 1.0, 7.3, 900.0] {
            for b in [0.1, 2.0, 55.5, 4e4] {
                // 1 − x is exact.
                for x in [0x1p-30, 0x1p-6, 0.5, 0.9375] {
                    #expect(abs(regularizedBeta(x, a, b) + regularizedBeta(1 - x, b, a) - 1) < 1e-12)
                }
                #expect(regularizedBeta(0, a, b) == 0)
                #expect(regularizedBeta(1, a, b) == 1)
            }
        }
    }

    @Test("Logarithms of sums neither overflow nor lose the larger part")
    func sums() {
        #expect(logAddExp(1000, 1000) == 1000 + ln(2))
        #expect(logAddExp(-.infinity, 3) == 3)
        #expect(logAddExp(-.infinity, -.infinity) == -.infinity)
        #expect(abs(logSumExp([0, 0, 0, 0]) - ln(4)) < 1e-15)
        #expect(logFactorial(4095) < logFactorial(4096))
        #expect(abs(logFactorial(4096) - logFactorial(4095) - ln(4096)) < 1e-9)
    }

    @Test("Restart weights sum to at most one, and to nearly one")
    func restartWeights() {
        for (weights, atLeast) in [(RestartWeights.never, 1), (.inverseSquare(early: 0.5), 0.999_999)] {
            let sum = (1...1_000_000).reduce(0.0) { $0 + weights.weight($1) }
            #expect(sum <= 1 + 1e-12 && sum >= atLeast, "\(weights): \(sum)")
        }
    }
}
