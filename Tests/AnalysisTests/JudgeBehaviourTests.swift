import GrowthMeasure
import PolicyModel
import Statistics
import TestSupport
import Testing
import Vocabulary

@testable import Analysis

/// What the sequential judge makes of traffic whose truth is known.
@Suite(.timeLimit(.minutes(15))) struct JudgeBehaviourTests {
    static let policy = Policy(
        name: "standard",
        checks: [
            Check(name: "errors", kind: .errors(ErrorsCheck(max: 0.02, maxIncrease: 0.5, floor: 0.0025))),
            Check(name: "p95", kind: .latency(LatencyCheck(quantile: 0.95, max: .seconds(1), maxIncrease: 0.15))),
        ])

    /// Both arms for a while, second by second.
    struct Traffic {
        var judge: SequentialJudge
        var random: SplitMix64
        var second: Int64 = 1000
        var step: UInt16 = 1
        var share = 0.1
        var rate = 40.0
        var baselineErrors = 0.001
        var candidateErrors = 0.001
        /// Of the candidate's latencies.
        var slowdown = 1.0
        var candidateRequests = 0

        init(_ policies: [Policy] = [JudgeBehaviourTests.policy], seed: UInt64, watched: Int = 900) {
            random = SplitMix64(seed: seed)
            judge = SequentialJudge(policies, risk: Risk(), isKeyed: false)
            var before = self
            (before.share, before.step) = (0, 0)
            // What the agent saw of the baseline before.
            for _ in 0..<watched { before.tick() }
            judge = SequentialJudge(policies, risk: Risk(), isKeyed: false, profile: before.judge.profile)
            (second, random) = (before.second, before.random)
        }

        private mutating func requests() -> Int {
            let whole = Int(rate)
            return whole + (random.chance(rate - Double(whole)) ? 1 : 0)
        }

        mutating func tick() {
            var errors = ErrorTick(second: second, step: step)
            var latencies = LatencyTick(
                second: second, step: step, share: Weight(clamping: Int((share * 10_000).rounded())))
            for _ in 0..<requests() {
                let arm: Arm = random.chance(share) ? .candidate : .baseline
                let shard = Int.random(in: 0..<8, using: &random)
                let fails = random.chance(arm == .candidate ? candidateErrors : baselineErrors)
                errors.add(arm, shard: shard, fails ? 500 : .success)
                latencies.assigned[Int(arm.rawValue)] += 1
                if arm == .candidate { candidateRequests += 1 }
                // The mean of three uniform numbers, 20 to 80 ms: a hump with a thin tail.
                let u = (0..<3).reduce(0) { sum, _ in sum + Double.random(in: 0..<1, using: &random) } / 3
                let time = (20_000 + 60_000 * u) * (arm == .candidate ? slowdown : 1)
                let bucket = fails ? LatencyEntry.slowest : LatencyBuckets.index(UInt32(time))
                latencies.entries.append(LatencyEntry(arm, shard: shard, total: bucket))
            }
            judge.take(.errors(errors))
            judge.take(.latencies(latencies))
            second += 1
        }

        func result(_ name: String) -> CheckResult {
            var judge = judge
            let empty = WindowSnapshot(observations: ObservationWindow(retention: .seconds(60), startedAt: 0))
            return judge.evaluate([JudgeBehaviourTests.policy], empty, now: 0).first { $0.check == name }!
        }

        /// Until a check fails; nil where none does.
        mutating func run(_ seconds: Int) -> String? {
            for _ in 0..<seconds {
                tick()
                for name in ["errors", "p95"] where result(name).verdict == .fail { return name }
            }
            return nil
        }
    }

    @Test("a sound candidate is not reverted, looked at each second, and proven in the end", arguments: 1...3)
    func sound(seed: Int) {
        var traffic = Traffic(seed: UInt64(seed))
        #expect(traffic.run(300) == nil)
        traffic.step = 2
        traffic.share = 0.5
        #expect(traffic.run(1200) == nil)
        #expect(traffic.result("errors").proven && traffic.result("p95").proven)
    }

    @Test("a candidate that fails or is slow is reverted after few requests, by the check that is meant")
    func bad() {
        for seed in 1...3 {
            var failing = Traffic(seed: UInt64(seed))
            failing.candidateErrors = 0.1
            #expect(failing.run(600) != nil)
            #expect(failing.candidateRequests < 200)
            var slow = Traffic(seed: UInt64(seed))
            slow.slowdown = 1.6
            #expect(slow.run(600) == "p95")
            #expect(slow.candidateRequests < 400)
        }
    }

    @Test("a candidate that fails and is found by its latency is said to fail, with the counts") func failsMore() throws
    {
        var traffic = Traffic(seed: 2)
        traffic.candidateErrors = 0.1
        while traffic.result("p95").verdict != .fail { traffic.tick() }
        let words = traffic.result("p95").words
        let failed = try #require(words.firstMatch(of: /p95: increase: (.*): ([0-9]+) of ([0-9]+) against ([0-9]+) of/))
        #expect(failed.1 == "fails more often, and failed requests count as the slowest", "\(words)")
        #expect(traffic.result("p95").decisive?.notes.first?.kind == .failsMore)
        #expect(Int(failed.3) == traffic.candidateRequests)
        #expect(try #require(Int(failed.2)) > traffic.candidateRequests / 30, "\(words)")
        traffic = Traffic(seed: 2)
        traffic.slowdown = 1.6
        #expect(traffic.run(600) == "p95")
        #expect(!traffic.result("p95").words.contains("fails more often"))
    }

    @Test("a proof is said to be out of reach only when enough was seen to say so") func outOfReach() {
        var traffic = Traffic(seed: 4)
        traffic.slowdown = 1.17
        #expect(traffic.run(30) == nil)
        #expect(traffic.result("p95").missing.contains("too few to say how many more"))
        traffic.share = 0.5
        #expect(traffic.run(100) == nil)
        #expect(traffic.result("p95").missing.contains("no end in sight"))
    }

    @Test("a change of the weight keeps the evidence for a revert and begins the proof anew") func steps() {
        var traffic = Traffic(seed: 7)
        traffic.candidateErrors = 0
        _ = traffic.run(900)
        let before = traffic.result("errors").evidence!
        traffic.step = 2
        traffic.share = 0.25
        traffic.tick()
        let after = traffic.result("errors").evidence!
        #expect(abs(after.value - before.value) < 1)
        #expect(before.proof > 1 && after.proof < 0.5)
        #expect(traffic.result("errors").verdict == .noData)
        let words = traffic.result("errors").verdictWords
        #expect(
            words.hasPrefix("no data: standard/errors: ")
                && words.hasSuffix(" of 20 requests on the candidate in this step"))
    }

    @Test("of a candidate that is promoted its own latencies are known, and how the traffic's failures cluster")
    func promoted() throws {
        var traffic = Traffic(seed: 6)
        (traffic.share, traffic.slowdown) = (0.5, 1.1)
        for _ in 0..<120 { traffic.tick() }
        let (baseline, promoted) = (traffic.judge.profile, traffic.judge.promoted)
        for measure in LatencyMeasure.allCases {
            let before = try #require(baseline[measure].seconds(0.5))
            let after = try #require(promoted[measure].seconds(0.5))
            #expect(after > 1.05 * before && after < 1.15 * before)
        }
        for known in [\BaselineProfile.errorOverdispersion, \.latencyOverdispersion] {
            #expect(baseline[keyPath: known] != nil && baseline[keyPath: known] == promoted[keyPath: known])
        }
    }

    @Test("an outage that hits both arms alike reverts nobody, although a ceiling is crossed") func outage() {
        var traffic = Traffic(seed: 3)
        #expect(traffic.run(120) == nil)
        (traffic.baselineErrors, traffic.candidateErrors) = (0.4, 0.4)
        #expect(traffic.run(60) == nil)
        (traffic.baselineErrors, traffic.candidateErrors) = (0.001, 0.001)
        #expect(traffic.run(600) == nil)
    }

    @Test("before it is known how failures cluster, bets are small; then they are not") func clustering() {
        var unknown = Traffic(seed: 5, watched: 0)
        var known = Traffic(seed: 5)
        for _ in 0..<5 {
            unknown.tick()
            known.tick()
        }
        #expect(unknown.result("errors").evidence!.dependence.contains("not known"))
        #expect(known.result("errors").evidence!.dependence.contains("independently"))
        (unknown.candidateErrors, known.candidateErrors) = (0.05, 0.05)
        _ = unknown.run(900)
        _ = known.run(900)
        #expect(unknown.candidateRequests > known.candidateRequests)
    }

    @Test("requests that are not dealt as intended block, and revert nobody") func mismatch() {
        var traffic = Traffic(seed: 2)
        for _ in 0..<300 {
            traffic.tick()
            var skewed = LatencyTick(second: traffic.second, step: 1, share: Weight(clamping: 1000))
            skewed.assigned = [70, 30]
            traffic.judge.take(.latencies(skewed))
        }
        let empty = WindowSnapshot(observations: ObservationWindow(retention: .seconds(60), startedAt: 0))
        let results = traffic.judge.evaluate([Self.policy], empty, now: 0)
        let mismatch = results.first { $0.check == "sample-ratio" }
        #expect(mismatch?.verdict == .inconclusive && mismatch?.isRequired == true)
        #expect(!results.contains { $0.verdict == .fail })
    }

    @Test("the second in which the split changes says nothing of how requests are dealt") func mixedSecond() {
        var feed = TickFeed(now: 1_000_000_000_000, isKeyed: false)
        feed.beginStep(share: Weight(clamping: 1000), now: 1_000_500_000_000)
        func request(at: Int64, _ arm: Arm) -> Observation {
            Observation(
                slot: 1, arm: arm, outcome: .success, flags: .judged, place: 0, startedAt: at, requestHash: 0,
                firstByte: 10, total: 20)
        }
        for ms in stride(from: Int64(0), to: 3000, by: 100) {
            feed.record(request(at: 1_000_000_000_000 + ms * 1_000_000, .baseline))
        }
        feed.beginStep(share: Weight(clamping: 5000), now: 1_002_500_000_000)
        feed.record(request(at: 1_003_100_000_000, .candidate))
        let ticks = feed.mature(now: 1_005_000_000_000, latencyMaturity: 2).compactMap { item -> LatencyTick? in
            if case .latencies(let tick) = item { tick } else { nil }
        }
        #expect(ticks.map(\.share.basisPoints) == [0, 1000, 0, 5000])
        #expect(ticks.map(\.step) == [0, 1, 1, 2])
        #expect(ticks.map { $0.assigned[0] } == [10, 10, 10, 0])
    }

    @Test("results belong to their checks by name, in whatever order the policies come") func pairs() {
        // `a/b` and `a-/b` differ only where the policy's name ends.
        let policies = ["a", "a-", "b"].map { name in
            Policy(
                name: name,
                checks: [
                    Check(name: "b", kind: .errors(ErrorsCheck(max: name == "a-" ? 0.9 : 0.0001))),
                    Check(
                        name: "gauge", kind: .metric(MetricCheck(series: "x", aggregate: .max, max: 1)), action: .notify
                    ),
                ])
        }
        var traffic = Traffic(policies, seed: 5, watched: 30)
        traffic.candidateErrors = 0.5
        for _ in 0..<120 { traffic.tick() }
        let empty = WindowSnapshot(observations: ObservationWindow(retention: .seconds(60), startedAt: 0))
        for policies in [policies, policies.reversed()] {
            let results = traffic.judge.evaluate(policies, empty, now: 0)
            #expect(results.map(\.path) == policies.flatMap { ["\($0.name)/b", "\($0.name)/gauge"] })
            for result in results where result.check == "b" {
                #expect((result.verdict == .fail) == (result.policy != "a-"), "\(result.path)")
            }
        }
    }

    @Test("every kind of note has words, and a kind of its own where a program has to tell it apart") func notes() {
        let notes: [MeasurementNote] = [
            .tooSmallToJudge(candidate: 3, baseline: 40, needed: 50),
            .fewRows(candidate: 3, baseline: 40, needed: 50), .strongestAtQuantile(0.999),
            .failsMore(candidate: .init(failed: 12, total: 140), baseline: .init(failed: 1, total: 1260)),
        ]
        #expect(notes.map(\.kind) == [.tooSmallToJudge, .fewSamples, .strongestAtQuantile, .failsMore])
        #expect(
            notes.map(\.words) == [
                "too small to judge: 3 of 50 samples on the candidate, 40 on the baseline",
                "3 of 50 samples on the candidate, 40 on the baseline", "shows most at P99.9",
                "fails more often, and failed requests count as the slowest: 12 of 140 against 1 of 1,260 on the baseline",
            ])
    }

    @Test("bounds at the ends of their ranges are judged, not crashed on") func extremes() {
        let checks = [
            Check(name: "floor", kind: .errors(ErrorsCheck(maxIncrease: 0.5, floor: 1))),
            Check(name: "none", kind: .errors(ErrorsCheck(max: 0))),
            Check(name: "all", kind: .errors(ErrorsCheck(max: 1))),
            Check(name: "low", kind: .latency(LatencyCheck(quantile: 1e-300, max: .seconds(1)))),
            Check(name: "high", kind: .latency(LatencyCheck(quantile: 1 - 1e-12, max: .zero, maxIncrease: 0))),
            Check(name: "equal", kind: .errors(ErrorsCheck(maxIncrease: 0))),
        ]
        var traffic = Traffic([Policy(name: "standard", checks: checks)], seed: 1, watched: 30)
        for _ in 0..<60 { traffic.tick() }
        for check in checks { #expect(traffic.judge.states.contains { $0.check.name == check.name }) }
        #expect(traffic.judge.states.allSatisfy { !$0.process.evidence.value.isNaN })
    }

    @Test("a baseline that fails now and then is still one to measure latency by") func failingBaseline() {
        var traffic = Traffic(seed: 8, watched: 0)
        traffic.baselineErrors = 0.03
        traffic.candidateErrors = 0.03
        #expect(traffic.run(60) == nil)
        #expect(traffic.result("p95").verdict == .pass)
        traffic.slowdown = 2
        #expect(traffic.run(600) == "p95")
    }

    @Test("where traffic is dealt by key, requests without one and a break after a long clean time are seen")
    func keyless() {
        var judge = SequentialJudge([Self.policy], risk: Risk(), isKeyed: true)
        var feed = TickFeed(now: 0, isKeyed: true)
        feed.beginStep(share: Weight(clamping: 5000), now: 0)
        var random = SplitMix64(seed: 5)
        for second in Int64(2)..<1200 {
            for i in Int64(0)..<20 {
                let arm: Arm = random.chance(0.5) ? .candidate : .baseline
                let fails = arm == .candidate && second > 1100
                feed.record(
                    Observation(
                        slot: 1, arm: arm, outcome: fails ? .serverError : .success, flags: [.judged, .keyless],
                        place: UInt16.random(in: 0..<10_000, using: &random),
                        key: UInt32.random(in: 0 ... .max, using: &random),
                        startedAt: second * 1_000_000_000 + i * 1_000_000, requestHash: 0, firstByte: 900, total: 1000))
            }
            for item in feed.mature(now: (second + 1) * 1_000_000_000, latencyMaturity: 2) { judge.take(item) }
        }
        let empty = WindowSnapshot(observations: ObservationWindow(retention: .seconds(60), startedAt: 0))
        #expect(judge.evaluate([Self.policy], empty, now: 0)[0].verdict == .fail)
    }

    @Test("labels that one arm lacks block, and revert nobody; labels that both lack do not")
    func missingLabels() {
        let check = QualityCheck(measure: .accuracy, maxDrop: 0.05)
        let policy = Policy(name: "labels", checks: [Check(name: "accuracy", kind: .quality(check))])
        for candidatesLabelled in [0.5, 0.3] {
            var judge = SequentialJudge([policy], risk: Risk(), isKeyed: false)
            var random = SplitMix64(seed: 4)
            judge.take(.latencies(LatencyTick(second: 1, step: 1, share: Weight(clamping: 5000))))
            for _ in 0..<3000 {
                let arm: Arm = random.chance(0.5) ? .candidate : .baseline
                guard random.chance(arm == .candidate ? candidatesLabelled : 0.5) else { continue }
                let row = QualityRow(
                    arm: arm, step: 1, label: 1, prediction: random.chance(0.8) ? 1 : 0, score: nil, groups: [])
                judge.take(.rows([row]))
            }
            let empty = WindowSnapshot(observations: ObservationWindow(retention: .seconds(60), startedAt: 0))
            let results = judge.evaluate([policy], empty, now: 0)
            let isBlocked = results.contains { $0.check == "label-ratio" && $0.verdict == .inconclusive }
            #expect(isBlocked == (candidatesLabelled < 0.5))
            #expect(!results.contains { $0.verdict == .fail })
        }
    }

    @Test("scores of 60 against 90 in a range of [0, 100] revert, and are shown in their own unit; 91 are promoted")
    func scoresInTheirUnit() throws {
        let range = try #require(ScoreRange(0, 100))
        let check = QualityCheck(measure: .score, range: range, maxDrop: 5)
        let policy = Policy(name: "scores", checks: [Check(name: "score", kind: .quality(check))])
        let empty = WindowSnapshot(observations: ObservationWindow(retention: .seconds(60), startedAt: 0))
        for (mean, verdict) in [(60.0, Verdict.fail), (91, .pass)] {
            var judge = SequentialJudge([policy], risk: Risk(), isKeyed: false)
            judge.take(.errors(ErrorTick(second: 1, step: 1)))
            var random = SplitMix64(seed: 7)
            let rows = (0..<4_000).map { _ in
                let arm: Arm = random.chance(0.5) ? .candidate : .baseline
                let score = (arm == .candidate ? mean : 90) + (random.chance(0.5) ? 3 : -3)
                return QualityRow(arm: arm, step: 1, label: nil, prediction: nil, score: score, groups: [])
            }
            judge.take(.rows(rows))
            let result = judge.evaluate([policy], empty, now: 0)[0]
            #expect(result.verdict == verdict && result.proven == (verdict == .pass))
            let m = result.measurements[0]
            #expect(m.unit == .score && m.bound == 5 && abs((m.candidate ?? 0) - mean) < 0.5)
            if verdict == .fail { #expect(m.words.hasPrefix("all rows: 60") && m.words.contains("worse by ")) }
        }
    }

    @Test("a score outside the range counts nowhere and is named, as in a recording under another policy")
    func scoresOutside() {
        let check = QualityCheck(measure: .score, maxDrop: 0.05, minSamples: 1)
        let policy = Policy(name: "scores", checks: [Check(name: "score", kind: .quality(check))])
        var judge = SequentialJudge([policy], risk: Risk(), isKeyed: false)
        let rows = [0.5, 60, -1, .nan].flatMap { score in
            Arm.allCases.map { QualityRow(arm: $0, step: 0, label: nil, prediction: nil, score: score, groups: []) }
        }
        judge.take(.rows(rows))
        let empty = WindowSnapshot(observations: ObservationWindow(retention: .seconds(60), startedAt: 0))
        let m = judge.evaluate([policy], empty, now: 0)[0].measurements[0]
        #expect(m.candidateSamples == 1 && m.note.contains("6 scores outside [0, 1] are not counted"))
    }

    @Test("rows with many groups cost what they are many, however many groups are judged") func groupCost() {
        let check = QualityCheck(
            measure: .accuracy, groups: (0..<16).map { GroupSelector(attribute: "a\($0)") }, maxDrop: 0.05)
        let policy = Policy(name: "groups", checks: [Check(name: "accuracy", kind: .quality(check))])
        func judge(_ rows: Int) {
            var judge = SequentialJudge([policy], risk: Risk(), isKeyed: false)
            judge.take(
                .rows(
                    (0..<rows).map { i in
                        QualityRow(
                            arm: .candidate, step: 1, label: 1, prediction: 1, score: nil,
                            groups: (0..<16).map { "a\($0)=\(i)" })
                    }))
        }
        #expect(Growth.ratio(small: { judge(500) }, large: { judge(1_000) }) <= Growth.limit)
    }

    @Test("a group that is served worse is found; the others are not blamed; small ones only stand aside") func groups()
    {
        let check = QualityCheck(
            measure: .recall, groups: [GroupSelector(attribute: "sex")], maxDrop: 0.05, minSamples: 100,
            small: .report)
        let policy = Policy(name: "groups", checks: [Check(name: "recall", kind: .quality(check))])
        var judge = SequentialJudge([policy], risk: Risk(), isKeyed: false)
        judge.take(.errors(ErrorTick(second: 1, step: 1)))
        var random = SplitMix64(seed: 11)
        let empty = WindowSnapshot(observations: ObservationWindow(retention: .seconds(60), startedAt: 0))
        var result: CheckResult?
        for _ in 0..<3000 where result?.verdict != .fail {
            let arm: Arm = random.chance(0.5) ? .candidate : .baseline
            let group = random.chance(0.01) ? "Other" : random.chance(0.4) ? "Female" : "Male"
            let recall = arm == .candidate && group == "Female" ? 0.3 : 0.7
            judge.take(
                .rows([
                    QualityRow(
                        arm: arm, step: 1, label: 1, prediction: random.chance(recall) ? 1 : 0, score: nil,
                        groups: ["sex=\(group)"])
                ]))
            result = judge.evaluate([policy], empty, now: 0).first
            // Small groups stand aside of others, not of nothing.
            if judge.items == 50 { #expect(result?.verdict == .noData && result?.proven == false) }
        }
        let failing = result?.measurements.filter { $0.verdict == .fail }.map(\.subject)
        #expect(failing == ["sex=Female"])
        let small = result?.measurements.first { $0.subject == "sex=Other" }
        #expect(small == nil || small!.note.contains("too small"))
    }

    @Test("a client that always fails is one error where traffic is dealt by key") func keys() {
        func evidence(isKeyed: Bool) -> Double {
            var judge = SequentialJudge([Self.policy], risk: Risk(), isKeyed: isKeyed)
            var random = SplitMix64(seed: 21)
            for second in 0..<900 {
                var tick = ErrorTick(second: Int64(second), step: 1)
                for _ in 0..<40 {
                    let key = UInt32.random(in: 0..<400, using: &random)
                    // The one whose requests always fail happens to be dealt to the candidate.
                    let arm: Arm = key < 40 ? .candidate : .baseline
                    let fails = key == 0 || random.chance(0.001)
                    let code: ResponseCode = fails ? 500 : .success
                    tick.add(arm, shard: Int(key % 8), code)
                    tick.keys.append(KeyedResponse(key: key, arm, code))
                }
                judge.take(.errors(tick))
            }
            let empty = WindowSnapshot(observations: ObservationWindow(retention: .seconds(60), startedAt: 0))
            return judge.evaluate([Self.policy], empty, now: 0)[0].evidence!.value
        }
        #expect(evidence(isKeyed: true) < 3)
        #expect(evidence(isKeyed: false) > 5)
    }
}
