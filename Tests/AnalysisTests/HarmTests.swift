import FoundationEssentials
import PolicyModel
import Testing
import Vocabulary

@testable import Analysis

@Suite("The harm budget", .timeLimit(.minutes(15)))
struct HarmTests {
    private let policy = Policy(
        name: "p", checks: [Check(name: "errors", kind: .errors(ErrorsCheck(max: 0.9)), action: .notify)])

    private func judge(_ risk: Risk, isKeyed: Bool = false) -> SequentialJudge {
        SequentialJudge([policy], risk: risk, isKeyed: isKeyed)
    }

    private func result(_ judge: inout SequentialJudge) -> CheckResult? {
        let nothing = WindowSnapshot(observations: ObservationWindow(retention: .seconds(1), startedAt: 0))
        return judge.evaluate([policy], nothing, now: 0).first { $0.path == "canaryd/excess-failures" }
    }

    /// A second in which these requests of each arm fail.
    private func take(
        _ judge: inout SequentialJudge, second: Int64, candidate: Int, baseline: Int, share: Int? = 5_000,
        splitFirst: Bool = false
    ) {
        func takeSplit() {
            guard let share else { return }
            judge.take(.latencies(LatencyTick(second: second, step: 1, share: Weight(clamping: share))))
        }
        if splitFirst { takeSplit() }
        var errors = ErrorTick(second: second, step: 1)
        for (arm, failed) in [(Arm.candidate, candidate), (.baseline, baseline)] {
            for i in 0..<20 { errors.add(arm, shard: i % ErrorTick.shards, i < failed ? 500 : .success) }
        }
        judge.take(.errors(errors))
        if !splitFirst { takeSplit() }
    }

    @Test("it pauses once the bound reaches the budget, and takes no share of the risk")
    func budget() throws {
        var judge = judge(Risk(harm: HarmBudget(excessFailures: 30)))
        for second in Int64(0)..<30 { take(&judge, second: second, candidate: 1, baseline: 0) }
        let before = try #require(result(&judge))
        #expect(before.verdict == .pass && before.mostExcessFailures == 30 && before.action == .pause)
        take(&judge, second: 30, candidate: 1, baseline: 0)
        let after = try #require(result(&judge))
        #expect(after.verdict == .fail && after.mostExcessFailures == 31)
        let words = "canaryd/excess-failures: excess failures: 31 (at most 30)"
        #expect(after.words.hasPrefix(words), "\(after.words)")
        #expect(judge.evidence.allSatisfy { $0.evidence.weight == 1 })
        #expect(!after.provesForPromotion && after.measurements[0].candidateSamples == 620)
    }

    @Test("the baseline's failures count by the split of their second, and not if it changed during it")
    func shares() throws {
        var (even, small, unknown) = (
            judge(Risk(harm: HarmBudget(excessFailures: 10_000))),
            judge(Risk(harm: HarmBudget(excessFailures: 10_000))),
            judge(Risk(harm: HarmBudget(excessFailures: 10_000)))
        )
        for second in Int64(0)..<300 {
            take(&even, second: second, candidate: 2, baseline: 2)
            take(&small, second: second, candidate: 2, baseline: 2, share: 2_000)
            take(&unknown, second: second, candidate: 2, baseline: 2, share: 0)
        }
        let (equal, fifth, all) = try (
            #require(result(&even)?.mostExcessFailures), #require(result(&small)?.mostExcessFailures),
            #require(result(&unknown)?.mostExcessFailures)
        )
        #expect(all == 600)
        #expect(fifth > 450 && fifth < 600, "a fifth of the requests would have had 150 failures: \(fifth)")
        #expect(equal < 450, "\(equal)")
    }

    @Test("the split of a second may be known before its errors")
    func order() throws {
        var (after, before) = (
            judge(Risk(harm: HarmBudget(excessFailures: 10_000))),
            judge(Risk(harm: HarmBudget(excessFailures: 10_000)))
        )
        for second in Int64(0)..<300 {
            take(&after, second: second, candidate: 2, baseline: 2)
            take(&before, second: second, candidate: 2, baseline: 2, splitFirst: true)
        }
        let most = try #require(result(&after)?.mostExcessFailures)
        #expect(most < 450 && result(&before)?.mostExcessFailures == most)
    }

    @Test("what is kept does not grow with the seconds")
    func bounded() throws {
        var (short, long) = (HarmProcess(isKeyed: false), HarmProcess(isKeyed: false))
        func fill(_ process: inout HarmProcess, seconds: Int64) throws -> Int {
            for second in 0..<seconds {
                process.observe(LatencyTick(second: second, step: 1, share: Weight(clamping: 100)))
                var errors = ErrorTick(second: seconds + second, step: 1)
                errors.add(.baseline, shard: 0, 500)
                process.observe(errors)
            }
            return try JSONEncoder().encode(process).count
        }
        // More digits in the numbers, not more numbers.
        #expect(try fill(&long, seconds: 50_000) < fill(&short, seconds: 1_000) * 3 / 2)
    }

    @Test("a failure of the budget is over when no excess is left, and not when the number falls below the budget")
    func over() throws {
        var judge = judge(Risk(harm: HarmBudget(excessFailures: 30)))
        for second in Int64(0)..<31 { take(&judge, second: second, candidate: 1, baseline: 0) }
        #expect(result(&judge)?.verdict == .fail)
        var second: Int64 = 31
        while result(&judge)?.verdict == .fail, second < 10_000 {
            take(&judge, second: second, candidate: 0, baseline: 1)
            second += 1
        }
        let below = try #require(result(&judge))
        #expect(below.verdict == .pass && !below.isFailureOver)
        for _ in 0..<10_000 {
            take(&judge, second: second, candidate: 0, baseline: 1)
            second += 1
        }
        #expect(result(&judge)?.isFailureOver == true)
    }

    @Test("under sticky routing all of the candidate's failures count")
    func sticky() throws {
        var judge = judge(Risk(harm: HarmBudget(excessFailures: 10_000)), isKeyed: true)
        for second in Int64(0)..<300 { take(&judge, second: second, candidate: 2, baseline: 2) }
        #expect(result(&judge)?.mostExcessFailures == 600)
    }

    @Test("without a budget nothing fails, and without a rule nothing is counted")
    func rules() throws {
        var waiving = judge(Risk(promotion: UnprovenPromotion(after: .seconds(60), whenExcessFailuresAtMost: 5)))
        for second in Int64(0)..<50 { take(&waiving, second: second, candidate: 2, baseline: 0) }
        let shown = try #require(result(&waiving))
        #expect(shown.verdict == .inconclusive && shown.action == .notify && shown.mostExcessFailures == 100)
        var plain = judge(Risk())
        take(&plain, second: 0, candidate: 2, baseline: 0)
        #expect(result(&plain) == nil)
    }
}
