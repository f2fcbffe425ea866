import FoundationEssentials
import Testing

@testable import Statistics

@Suite(.timeLimit(.minutes(15))) struct ProcessTests {
    @Test("No single stratum multiplies the evidence by more than the cap")
    func cap() {
        var process = CeilingProcess(bound: 0.01)
        process.observe(Tally(100, of: 100))
        #expect(process.logEvidence <= ln(10))
        var open = CeilingProcess(bound: 0.01, cap: nil)
        open.observe(Tally(100, of: 100))
        #expect(open.logEvidence > 100)
    }

    @Test("A regression that starts late is found about as soon as one that starts at once")
    func lateOnset() {
        func strataToFind(after quiet: Int, _ restarts: RestartWeights) -> Int {
            var process = CeilingProcess(bound: 0.02, restarts: restarts)
            for _ in 0..<quiet { process.observe(Tally(0, of: 10)) }
            for n in 1...10_000 {
                process.observe(Tally(1, of: 10))
                if process.logEvidence > ln(100) { return n }
            }
            return .max
        }
        let early = strataToFind(after: 0, .inverseSquare(early: 0.5))
        #expect(strataToFind(after: 2_000, .inverseSquare(early: 0.5)) < 4 * early)
        #expect(strataToFind(after: 2_000, .never) > 20 * early)
    }

    @Test("A discount η raises each bet to the power η")
    func discount() {
        let stratum = Stratum(candidate: Tally(3, of: 50), baseline: Tally(1, of: 450))
        var process = OddsRatioProcess(bound: 1, alternatives: [5], restarts: .never, cap: nil)
        process.observe(stratum, discount: 0.2)
        #expect(abs(process.logEvidence - 0.2 * 3.491237095356155) < 1e-12)
        var mixture = BetaBinomialMixture(bound: 0.01, tightestAt: 1000, alpha: 0.05)
        mixture.observe(Tally(50, of: 1000), discount: 0.1)
        #expect(abs(mixture.logEvidence - 2.352950626566532) < 1e-9)
    }

    @Test("Strata without information change neither the odds ratio's evidence nor its restarts")
    func uninformative() {
        var process = OddsRatioProcess(bound: 1)
        for stratum in [
            Stratum(candidate: Tally(0, of: 5), baseline: Tally(0, of: 50)),
            Stratum(candidate: Tally(5, of: 5), baseline: Tally(50, of: 50)),
            Stratum(candidate: Tally(3, of: 5), baseline: Tally(0, of: 0)),
            Stratum(candidate: Tally(0, of: 0), baseline: Tally(3, of: 5)),
        ] { process.observe(stratum) }
        #expect(process.strata == 0 && process.logEvidence == 0)
    }

    @Test("The normalizer agrees with the plain sum for small and large counts and for odds far from 1")
    func normalizer() {
        for (nc, nb, k) in [(1, 1, 1), (5, 9, 7), (50, 450, 60), (500, 500, 900), (3000, 200, 1500)] {
            let margins = Margins(Stratum(candidate: Tally(0, of: nc), baseline: Tally(min(k, nb), of: nb)))
            for odds in [0.15, 1, 1.5, 30, 150] {
                let m = Margins(
                    Stratum(candidate: Tally(k - min(k, nb), of: nc), baseline: Tally(min(k, nb), of: nb)))
                let plain = logSumExp(
                    (m.low...m.high).map { logChoose(nc, $0) + logChoose(nb, k - $0) + Double($0) * ln(odds) })
                #expect(abs(m.logNormalizer(odds) - plain) < 1e-9 * max(1, abs(plain)), "\(nc) \(nb) \(k) \(odds)")
            }
            #expect(margins.low <= margins.high)
        }
    }

    @Test("The likelihood ratios of eight alternatives at once equal those computed one by one, also beyond a Double")
    func ladder() {
        let rows = [
            (3, 50, 1, 450), (0, 20, 3, 80), (20, 20, 80, 90), (120, 500, 30, 500), (700, 3000, 100, 200),
            (0, 5000, 5000, 9000), (5000, 6000, 0, 1_000_000), (4000, 8000, 4000, 8000),
        ]
        for row in rows {
            let stratum = Stratum(candidate: Tally(row.0, of: row.1), baseline: Tally(row.2, of: row.3))
            for (bound, alternatives) in [(1, Alternatives.worse), (1.5, Alternatives.regressions), (1, [0.15])] {
                let values = OddsRatio.eValues(stratum, against: bound, alternatives)
                #expect(values.count == alternatives.count)
                for (value, odds) in zip(values, alternatives) {
                    let expected = OddsRatio.logLikelihoodRatio(stratum, bound * odds, against: bound)
                    let isBeyond = abs(expected) > 690
                    let agrees = isBeyond ? (value > 1) == (expected > 0) : abs(ln(value) - expected) < 1e-9
                    #expect(agrees, "\(row) \(bound * odds): \(value), expected \(expected)")
                }
            }
        }
        let silent = Stratum(candidate: Tally(0, of: 5), baseline: Tally(0, of: 9))
        #expect(OddsRatio.eValues(silent, against: 1, Alternatives.better) == [1, 1, 1, 1, 1, 1])
    }

    @Test("Evidence beyond the range of a Double is kept and can be lost again")
    func fortunes() {
        var bank = Bank(BankSettings(alternatives: 2, restarts: .never, cap: nil))
        for n in 1...40 {
            bank.observe { $0 == 0 ? 1e50 : 0.5 }
            #expect(abs(bank.logEvidence - (Double(n) * ln(1e50) - ln(2))) < 1e-6)
        }
        for n in 1...39 {
            bank.observe { _ in 1e-50 }
            #expect(abs(bank.logEvidence - (Double(40 - n) * ln(1e50) - ln(2))) < 1e-6)
        }
        #expect(bank.strongestAlternative == 0)
    }

    @Test("An outage of both arms leaves the evidence against a union of two nulls where it was")
    func outage() {
        var both = UnionNullProcess(
            rateBound: 0.01, oddsBound: 1, rule: BlockRule(seconds: 1, requests: 1),
            restart: BlockRule(seconds: 1, requests: 1))
        var ceilingAlone = CeilingProcess(bound: 0.01)
        var highest = 0.0
        for block in 0..<20 {
            let down = (5..<10).contains(block)
            let stratum = Stratum(candidate: Tally(down ? 55 : 0, of: 60), baseline: Tally(down ? 495 : 1, of: 540))
            both.observe(stratum)
            ceilingAlone.observe(stratum.candidate)
            highest = max(highest, ceilingAlone.logEvidence)
            #expect(both.logEvidence < 0.5)
        }
        #expect(highest > 3)
    }

    @Test("A stratum is complete with twenty requests or after a minute, and never while an arm is empty")
    func strata() {
        var builder = StratumBuilder()
        func add(_ c: Int, _ b: Int) -> Bool {
            builder.add([Stratum(candidate: Tally(0, of: c), baseline: Tally(0, of: b))])
        }
        var closed = [add(1, 9), add(1, 9)]
        #expect(closed == [false, true])
        #expect(builder.open == [Stratum(candidate: Tally(0, of: 2), baseline: Tally(0, of: 18))])
        builder.clear()
        closed = [add(0, 100), add(1, 0)]
        #expect(closed == [false, true])
        builder.clear()
        closed = (0..<64).map { add($0 == 0 ? 1 : 0, $0 == 0 ? 1 : 0) }
        #expect(closed == [Bool](repeating: false, count: 63) + [true])
    }

    @Test("A stratum ends on a grid of seconds, and not with the request that completes it")
    func grid() {
        var builder = StratumBuilder()
        var ends: [Int] = []
        var endsWithTheRequest = 0
        // The candidate gets one request in about seven seconds, at odd distances.
        for second in 0..<4_000 {
            let hasRequest = second * second % 7 == 2 && second % 3 != 0
            let tick = Stratum(candidate: Tally(0, of: hasRequest ? 1 : 0), baseline: Tally(0, of: 20))
            guard builder.add([tick]) else { continue }
            ends.append(second)
            if hasRequest { endsWithTheRequest += 1 }
            builder.clear()
            #expect(builder.isEmpty)
        }
        #expect(ends.count > 300)
        // As often as any second has one.
        #expect(endsWithTheRequest * 3 < ends.count, "\(endsWithTheRequest) of \(ends.count)")
    }

    @Test("A stratum's discount is the one that was known when it began")
    func changedDiscount() {
        // Two ticks make a stratum.
        let tick = Stratum(candidate: Tally(3, of: 6), baseline: Tally(0, of: 6))
        func evidence(_ discounts: [Double]) -> Double {
            var process = RateProcess(RateBounds(factor: 1), mode: .counts(discount: discounts[0]))
            for discount in discounts {
                process.changeDiscount(to: discount)
                process.observe(tick)
            }
            return process.logEvidence
        }
        #expect(evidence([1, 0.2]) == evidence([1, 1]))
        #expect(evidence([0.2, 1]) == evidence([0.2, 0.2]))
        #expect(evidence([1, 0.2, 0.2, 0.2]) < evidence([1, 1, 1, 1]))
        #expect(evidence([1, 0.2, 0.2, 0.2]) > evidence([0.2, 0.2, 0.2, 0.2]))
    }

    @Test("When the split changes, a stratum with requests of one arm is dropped and one with both arms is bet on")
    func splitChanges() {
        let alone = Stratum(candidate: Tally(5, of: 5))
        let both = Stratum(candidate: Tally(5, of: 5), baseline: Tally(0, of: 5))
        let later = Stratum(candidate: Tally(2, of: 10), baseline: Tally(1, of: 10))
        func rate(_ before: Stratum?) -> Double {
            var process = RateProcess(RateBounds(factor: 1), mode: .counts(discount: 1))
            if let before { process.observe(before) }
            process.weightChanged()
            process.observe(later)
            return process.logEvidence
        }
        #expect(rate(alone) == rate(nil))
        #expect(rate(both) > rate(nil) + 0.5)
        func latency(_ before: Stratum?) -> Double {
            var process = LatencyRatioProcess()
            if let before { process.observe([before, before, before]) }
            process.weightChanged()
            process.observe([later, later, later])
            return process.logEvidence
        }
        #expect(latency(alone) == latency(nil))
        #expect(latency(both) > latency(nil) + 0.5)
    }

    @Test("A rate beyond its bounds is found, with the bound that it violates")
    func rateProcess() {
        func run(_ bounds: RateBounds, _ mode: CountingMode, candidate: Int, baseline: Int) -> RateProcess {
            var process = RateProcess(bounds, mode: mode)
            for _ in 0..<40 {
                process.observe(Stratum(candidate: Tally(candidate, of: 20), baseline: Tally(baseline, of: 100)))
            }
            process.weightChanged()
            return process
        }
        let both = RateBounds(ceiling: 0.3, factor: 1.5, floor: 0.01)
        for mode in [CountingMode.counts(discount: 1), .counts(discount: 0.2), .ticks] {
            let bad = run(both, mode, candidate: 10, baseline: 5)
            #expect(bad.logEvidence > ln(100), "\(mode)")
            #expect(run(both, mode, candidate: 1, baseline: 5).logEvidence < 1)
            // As bad as the baseline: under no bound.
            #expect(run(both, mode, candidate: 20, baseline: 100).logEvidence < 1)
        }
        // A tick's rate is clipped, but never below what can show that a ceiling is broken.
        for ceiling in [0.05, 0.2, 0.3, 0.6] {
            let broken = run(RateBounds(ceiling: ceiling), .ticks, candidate: 20, baseline: 5)
            #expect(broken.logEvidence > ln(100), "\(ceiling)")
        }
        #expect(run(both, .counts(discount: 1), candidate: 10, baseline: 5).strongest.part == .increase)
        let onlyCeiling = RateBounds(ceiling: 0.05)
        #expect(run(onlyCeiling, .counts(discount: 1), candidate: 4, baseline: 5).strongest.part == .ceiling)
        #expect(run(onlyCeiling, .counts(discount: 1), candidate: 4, baseline: 5).logEvidence > ln(100))
        // Twice the baseline and under the floor.
        let floor = RateBounds(factor: 1.5, floor: 0.3)
        #expect(run(floor, .counts(discount: 1), candidate: 4, baseline: 10).logEvidence < 1)
    }

    @Test("A general slow-down is found near the median, a slow-down of a few requests in the tail")
    func latencyRatio() {
        func strata(_ hits: [(Int, Int)]) -> [Stratum] {
            hits.map { Stratum(candidate: Tally($0.0, of: 50), baseline: Tally($0.1, of: 50)) }
        }
        func evidence(_ slower: [Stratum]) -> Double {
            var process = LatencyRatioProcess()
            for _ in 0..<40 { process.observe(slower) }
            return process.logEvidence
        }
        #expect(evidence(strata([(25, 25), (5, 5), (1, 1)])) < 1)
        #expect(evidence(strata([(20, 25), (4, 5), (0, 1)])) < 1)
        #expect(evidence(strata([(33, 25), (5, 5), (1, 1)])) > ln(100))
        #expect(evidence(strata([(25, 25), (5, 5), (4, 1)])) > ln(100))
    }

    @Test("Bursts of up to three seconds are counted, outages are not")
    func bursts() {
        var counter = BurstCounter()
        func feed(_ hits: [Int]) { for k in hits { counter.observe(Tally(k, of: 10)) } }
        for _ in 0..<20 { feed([0, 1, 2, 0, 1]) }
        #expect(counter.bursts == 0)
        let quiet = [Int](repeating: 0, count: BurstCounter.apart)
        feed([10, 9] + quiet + [0, 5] + quiet)
        #expect(counter.bursts == 2 && counter.areUsual)
        feed([10, 10, 10, 10] + quiet)
        #expect(counter.bursts == 2)
        // An incident that fails half of the requests, here and there a second with more.
        feed([4, 9, 2, 5, 1, 0, 0, 6, 7] + quiet)
        #expect(counter.bursts == 2)
        // Where a third of the requests hit all day, an ordinary second is no burst.
        var busy = BurstCounter()
        for _ in 0..<20 { for k in [3, 4, 3, 2, 5] { busy.observe(Tally(k, of: 10)) } }
        #expect(busy.bursts == 0)
        // A whole second of hits is one where a fifth hit all day.
        var usual = BurstCounter()
        for _ in 0..<20 { for k in [2, 3, 1, 2, 2] { usual.observe(Tally(k, of: 10)) } }
        #expect(usual.bursts == 0)
        for k in [10] + [Int](repeating: 2, count: BurstCounter.apart) { usual.observe(Tally(k, of: 10)) }
        #expect(usual.bursts == 1)
    }

    @Test("The state survives encoding and decoding")
    func coding() throws {
        var process = RateProcess(RateBounds(ceiling: 0.1, factor: 1.5, floor: 0.01), mode: .counts(discount: 1))
        process.observe(Stratum(candidate: Tally(3, of: 20), baseline: Tally(1, of: 20)))
        let copy = try JSONDecoder().decode(RateProcess.self, from: JSONEncoder().encode(process))
        #expect(copy == process && copy.logEvidence == process.logEvidence)
    }

    @Test("A user whose requests always fail is one hit; a user whose arm changes within a stratum is none")
    func firstFailures() {
        var counter = FirstFailures()
        for stratum in 0..<3 {
            for key in 0..<10 as Range<UInt64> {
                counter.observe(key: key, isCandidate: key < 5, isHit: false)
                counter.observe(key: key, isCandidate: key < 5, isHit: key == 2)
            }
            let seen = counter.close()
            #expect(seen.candidate == (stratum == 0 ? Tally(1, of: 5) : Tally(0, of: 4)))
            #expect(seen.baseline == Tally(0, of: 5))
        }
        counter.observe(key: 7, isCandidate: true, isHit: true)
        counter.observe(key: 7, isCandidate: false, isHit: true)
        #expect(counter.close() == Stratum())
    }

    @Test("The number of users kept is bounded")
    func firstFailuresAreBounded() {
        var counter = FirstFailures()
        for key in 0..<100_000 as Range<UInt64> { counter.observe(key: key, isCandidate: key % 2 == 0, isHit: true) }
        let seen = counter.close()
        let kept = seen.candidate.trials + seen.baseline.trials
        #expect(kept <= FirstFailures.capacity && kept > FirstFailures.capacity / 4)
        #expect(abs(seen.candidate.trials * 2 - kept) < kept / 10)
    }

    @Test("The risk is divided by source and by share among the checks present")
    func risk() {
        let budget = RiskBudget(alpha: 0.01)
        let weights = budget.weights([(.errors, 1), (.latency, 3), (.latency, 1), (.quality, 2)])
        #expect(weights == [0.5, 0.1875, 0.0625, 0.25])
        #expect(budget.weights([(.latency, 1)]) == [1])
        #expect(abs(budget.logThreshold(weight: 0.5) - ln(200)) < 1e-12)
    }

    @Test("An outage of both arms proves nothing of the candidate")
    func outageIsNoProof() {
        var process = NonInferiorityProcess(margin: 1.5, floor: nil)
        for _ in 0..<60 {
            process.observe(Stratum(candidate: Tally(40, of: 50), baseline: Tally(41, of: 50)), isIncident: true)
        }
        #expect(process.logEvidence == 0)
        for _ in 0..<60 { process.observe(Stratum(candidate: Tally(5, of: 50), baseline: Tally(5, of: 50))) }
        #expect(process.logEvidence > ln(20))
    }

    @Test(
        "An incident is seen in the baseline alone, within seconds, and over soon after it",
        arguments: [(10, 3, 10), (100, 8, 10), (1, 1, 10), (20, 1, 10)])
    func incident(rate: Int, hits: Int, seconds: Int) {
        var watch = IncidentWatch()
        var isUsual = true
        // One request in a thousand fails.
        for second in 0..<5_000 {
            let fails = second * rate % 1_000 < rate
            watch.observe(Tally(fails ? 1 : 0, of: rate), seconds: 1)
            if second > 2_000 { isUsual = isUsual && !watch.isIncident(fewestHits: 2) }
        }
        #expect(isUsual)
        for _ in 0..<seconds { watch.observe(Tally(hits, of: rate), seconds: 1) }
        #expect(watch.isIncident(fewestHits: 2))
        for _ in 0..<120 { watch.observe(Tally(0, of: rate), seconds: 1) }
        #expect(!watch.isIncident(fewestHits: 0.1))
    }

    @Test("An incident that few requests of the baseline show late is no fault of a candidate under the floor")
    func incidentAtNinety() {
        var process = UnionNullProcess(
            rateBound: 0.0025, oddsBound: 1.5, alternatives: Alternatives.regressions,
            restarts: .inverseSquare(early: 0.95))
        // One failure in 500, where the baseline has none: far beyond its odds, and within the floor.
        for second in 0..<3_000 {
            let failed = Tally(second % 50 == 0 ? 1 : 0, of: 10)
            process.observe(Stratum(candidate: failed, baseline: Tally(0, of: 10)))
        }
        #expect(process.logEvidence < ln(10))
        // One request in nine fails, and by chance none of the baseline's first ones.
        for _ in 0..<10 { process.observe(Stratum(candidate: Tally(1, of: 9), baseline: Tally(0, of: 1))) }
        #expect(process.logEvidence < ln(100), "\(process.logEvidence)")
    }

    @Test("What is usual all day is no incident, however much it is")
    func usualIsNoIncident() {
        var watch = IncidentWatch()
        for _ in 0..<1_000 { watch.observe(Tally(4, of: 20), seconds: 1) }
        for _ in 0..<60 {
            watch.observe(Tally(8, of: 20), seconds: 1)
            #expect(!watch.isIncident(fewestHits: 2))
        }
        for _ in 0..<60 { watch.observe(Tally(20, of: 20), seconds: 1) }
        #expect(watch.isIncident(fewestHits: 2))
    }

    @Test("A key is counted once, and a filter that has seen many leaves some out")
    func keys() {
        var filter = KeyFilter()
        #expect((0..<1_000).count { filter.insert($0) } > 980)
        #expect((0..<1_000).count { filter.insert($0) } == 0)
        let new = (1_000..<200_000).count { filter.insert($0) }
        #expect(new > 60_000 && new < 65_536)
    }

    @Test("A filter of keys is stored in text, and read again as it was", arguments: [0, 1, 2_000, 6_000, 100_000])
    func storedKeys(count: UInt64) throws {
        var filter = KeyFilter()
        for key in 0..<count { _ = filter.insert(key) }
        let bytes = try JSONEncoder().encode(filter)
        #expect(bytes.count < (count <= 2_000 ? 3_500 : 11_100), "\(bytes.count) bytes")
        #expect(try JSONDecoder().decode(KeyFilter.self, from: bytes) == filter)
    }

    @Test(
        "A damaged filter of keys is refused, not read as another",
        arguments: [
            "{}", #"{"bits":"?"}"#, #"{"bits":"\#(String(repeating: "A", count: 10_922))-"}"#, #"{"distances":"E"}"#,
            #"{"distances":"EAAAA"}"#, #"{"distances":"g"}"#, #"{"distances":"CAAgh"}"#, #"{"distances":"ü"}"#,
        ])
    func damagedKeys(text: String) {
        #expect(throws: DecodingError.self) { try JSONDecoder().decode(KeyFilter.self, from: Data(text.utf8)) }
    }

    @Test("The forecast of a proof agrees with the requests that the process then needs")
    func forecast() throws {
        var process = NonInferiorityProcess(margin: 1.5, floor: 0.002)
        let forecast = try #require(
            process.requestsNeeded(logThreshold: ln(20), rate: 0.02, share: 0.5, discount: 1))
        let taken = Self.requestsTaken(&process, rate: 0.02, until: ln(20))
        #expect(abs(Double(taken) - forecast) < 0.15 * forecast, "\(taken) taken, \(forecast) forecast")
        #expect(process.requestsNeeded(logThreshold: ln(20), rate: 0.02, share: 0.5, discount: 1) == 0)

        // From half-way, and where the floor is what proves it.
        var floor = NonInferiorityProcess(margin: 1.5, floor: 0.01)
        _ = Self.requestsTaken(&floor, rate: 0.0001, until: ln(5))
        let rest = try #require(floor.requestsNeeded(logThreshold: ln(20), rate: 0.0001, share: 0.5, discount: 1))
        let restTaken = Self.requestsTaken(&floor, rate: 0.0001, until: ln(20))
        // Taken in whole strata of fifty.
        #expect(abs(Double(restTaken) - rest) < 0.15 * rest + 50, "\(restTaken) taken, \(rest) forecast")

        // A candidate at the margin is never proven.
        #expect(
            NonInferiorityProcess(margin: 1.5, floor: nil)
                .requestsNeeded(logThreshold: ln(20), rate: 0.02, share: 0.5, odds: 1.5, discount: 1) == nil)
    }

    /// Feeds expected strata of fifty requests an arm: hits in thirds of their expectation would be no counts, so the
    /// evidence is averaged over many seeded runs instead.
    private static func requestsTaken(
        _ process: inout NonInferiorityProcess, rate: Double, until threshold: Double
    ) -> Int {
        var random = SplitMix(seed: 3)
        let start = process
        var total = 0
        var last = process
        let runs = 30
        for _ in 0..<runs {
            last = start
            while last.logEvidence < threshold {
                func hits() -> Int { (0..<50).count { _ in Double.random(in: 0..<1, using: &random) < rate } }
                last.observe(Stratum(candidate: Tally(hits(), of: 50), baseline: Tally(hits(), of: 50)))
                total += 50
            }
        }
        process = last
        return total / runs
    }
}
