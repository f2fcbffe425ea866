import Testing

@testable import Statistics

/// Values worked out elsewhere, to 1e-9.
@Suite(.timeLimit(.minutes(15))) struct VectorTests {
    private func near(_ a: Double, _ b: Double, _ comment: Comment? = nil, at: SourceLocation = #_sourceLocation) {
        #expect(abs(a - b) <= 1e-9, comment ?? "\(a) is not \(b)", sourceLocation: at)
    }

    @Test("The beta-binomial mixture of a ceiling has the published parameters and evidence")
    func ceilingMixture() {
        var mixture = BetaBinomialMixture(bound: 0.01, tightestAt: 1000, alpha: 0.05)
        near(mixture.a, 1.570063490685053)
        near(mixture.b, 155.43628557782026)
        mixture.observe(Tally(5, of: 100))
        near(mixture.logEvidence, 2.352950626566532)
        mixture.observe(Tally(15, of: 900))
        near(mixture.logEvidence, 3.0474609504614847)
    }

    @Test("The odds ratio's likelihood ratio, given the margins")
    func delta() {
        let rows: [(Int, Int, Int, Int, Double, Double, Double)] = [
            (3, 50, 1, 450, 5, 1, 3.491237095356155),
            (5, 50, 0, 450, 8, 1.5, 5.990783810239009),
            (0, 50, 4, 450, 5, 1, -1.337076641946169),
            (120, 500, 30, 500, 2.2, 1, 25.718853063327515),
        ]
        for row in rows {
            let stratum = Stratum(candidate: Tally(row.0, of: row.1), baseline: Tally(row.2, of: row.3))
            near(OddsRatio.logLikelihoodRatio(stratum, row.4, against: row.5), row.6)
        }
    }

    @Test("The bank of odds ratios, three strata")
    func bank() {
        var process = OddsRatioProcess(bound: 1.5, restarts: .inverseSquare(early: 0.5))
        let strata = [(1, 50, 0, 450), (3, 52, 1, 448), (4, 49, 0, 451)]
        let expected = [1.0596342636261626, 3.2096478347734827, 5.493050360428492]
        for (row, value) in zip(strata, expected) {
            process.observe(Stratum(candidate: Tally(row.0, of: row.1), baseline: Tally(row.2, of: row.3)))
            near(process.logEvidence, value)
        }
    }

    @Test("Discordant pairs against a half, and a ceiling proven by requests without a hit")
    func mixtureAtOtherBounds() {
        var pairs = BetaBinomialMixture(bound: 0.5, tightestAt: 50, alpha: 0.05)
        near(pairs.a, 3.4501587267126324)
        near(pairs.b, 3.4501587267126324)
        pairs.observe(Tally(14, of: 17))
        near(pairs.logEvidence, 2.788617270951388)

        var proof = BetaBinomialMixture(bound: 0.01, null: .atLeast, tightestAt: 1000, alpha: 0.01)
        near(proof.a, 0.9898473725907305)
        near(proof.b, 97.99488988648231)
        proof.observe(Tally(0, of: 300))
        near(proof.logEvidence, 2.070272449426292)
    }

    @Test("The ceiling's likelihood ratio in the bank")
    func ceilingInBank() {
        near(RateCeiling.logLikelihoodRatio(Tally(3, of: 50), oddsBy: 5, against: 0.01), 2.867278079638232)
        near(RateCeiling.logLikelihoodRatio(Tally(0, of: 50), oddsBy: 5, against: 0.01), -1.9610356576640693)
    }

    @Test("The exact mean of a likelihood ratio by the true odds ratio")
    func meanOfRatio() {
        let margins = { (x: Int) in Stratum(candidate: Tally(x, of: 50), baseline: Tally(6 - x, of: 450)) }
        for (truth, mean) in [(0.5, 0.3642), (1, 0.6338), (1.5, 1), (2, 1.4683)] {
            let weights = (0...6).map { exp(logChoose(50, $0) + logChoose(450, 6 - $0) + Double($0) * ln(truth)) }
            let values = (0...6).map { exp(OddsRatio.logLikelihoodRatio(margins($0), 5, against: 1.5)) }
            let sum = zip(weights, values).reduce(0) { $0 + $1.0 * $1.1 } / weights.reduce(0, +)
            #expect(abs(sum - mean) < 5e-5)
            if truth == 1.5 { near(sum, 1) }
        }
    }

    @Test("Bets on differences, for a revert and reversed")
    func betting() {
        let differences: [Double] = [0, 0, 1, 0, 1, 0, -1, 1, 1, 0, 1, 1]
        var revert = BoundedMeanProcess(margin: 0.02)
        for d in differences { revert.observe(d) }
        near(revert.logEvidence, 0.995068774151015)
        var promote = BoundedMeanProcess(margin: 0.02, null: .atLeast)
        for _ in 0..<200 { promote.observe(0) }
        near(promote.logEvidence, 2.311039506669586)
    }

    @Test("The split, while the weights change")
    func sampleRatio() {
        var process = SampleRatioProcess()
        process.observe(candidate: 130, of: 1000, share: 0.1)
        near(process.logEvidence, 2.574796468206648)
        process.observe(candidate: 290, of: 1000, share: 0.25)
        near(process.logEvidence, 6.013837592986538)
    }

    @Test("The smaller of the bets on odds and on the rate")
    func unionNull() {
        let block = Stratum(candidate: Tally(6, of: 60), baseline: Tally(2, of: 540))
        let expected = [
            1.2406744899032802, 2.4278718967984068, 3.47861369659632, 4.823270756052651, 6.104685103445032,
        ]
        let alternatives = Array(Alternatives.worse.prefix(5))
        let values = zip(alternatives, OddsRatio.eValues(block, against: 1.5, alternatives)).map { factor, value in
            min(ln(value), RateCeiling.logLikelihoodRatio(block.candidate, oddsBy: factor, against: 0.002))
        }
        for (value, wanted) in zip(values, expected) { near(value, wanted) }
        near(OddsRatio.logLikelihoodRatio(block, 1.5 * 1.3, against: 1.5), 1.2406744899032802)
        near(RateCeiling.logLikelihoodRatio(block.candidate, oddsBy: 1.3, against: 0.002), 1.538196382486892)
    }

    // By quadrature of the mixture in 30 digits.
    @Test(
        "Requests without a hit that prove a floor",
        arguments: [(0.001, 3_678), (0.005, 735), (0.01, 367), (0.02, 183), (0.05, 72)])
    func errorFree(_ floor: Double, _ requests: Int) {
        let mixture = BetaBinomialMixture(bound: floor, null: .atLeast, a: 0.5, b: 0.5 / floor)
        #expect(mixture.logEvidence(hits: 0, misses: Double(requests - 1)) < ln(20))
        #expect(mixture.logEvidence(hits: 0, misses: Double(requests)) >= ln(20))
    }
}
