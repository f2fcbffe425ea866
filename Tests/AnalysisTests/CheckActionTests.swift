import FoundationEssentials
import PolicyModel
import Statistics
import Testing
import Vocabulary

@testable import Analysis

@Suite("Actions of checks", .timeLimit(.minutes(15)))
struct CheckActionTests {
    private func judge(_ actions: [CheckAction]) -> SequentialJudge {
        let checks = actions.enumerated().map { index, action in
            Check(name: "errors-\(index)", kind: .errors(ErrorsCheck(max: 0.05)), action: action)
        }
        return SequentialJudge([Policy(name: "p", checks: checks)], risk: Risk(), isKeyed: false)
    }

    @Test("revert and pause share the risk; notify spends none, and has all of it for itself")
    func risk() {
        let alone = judge([.revert]).evidence.map(\.evidence.revertAt)
        #expect(alone.map { ($0 * 1e9).rounded() } == [(-ln(0.01) * 1e9).rounded()])
        let shared = judge([.revert, .pause, .notify]).evidence.map(\.evidence)
        #expect(shared.map(\.weight) == [0.5, 0.5, 1])
        #expect(shared[0].revertAt == shared[1].revertAt && shared[1].revertAt > alone[0])
        #expect(shared[2].revertAt == alone[0])
    }

    @Test("the proof of revert and pause is required, that of notify is not")
    func proof() {
        func evaluation(_ action: CheckAction, _ verdict: Verdict) -> Evaluation {
            Evaluation(results: [
                CheckResult(policy: "p", check: "c", action: action, verdict: verdict, measured: verdict)
            ])
        }
        for action in CheckAction.allCases {
            let isRequired = action != .notify
            #expect(evaluation(action, .pass).unproven.isEmpty == !isRequired)
            for verdict in [Verdict.fail, .error, .inconclusive, .noData] {
                #expect(evaluation(action, verdict).verdict == (isRequired ? verdict : .pass))
            }
            #expect(evaluation(action, .fail).verdict(accepting: ["p/c"]) == (action == .revert ? .fail : .pass))
            #expect(evaluation(action, .error).verdict(accepting: ["p/c"]) == (isRequired ? .error : .pass))
        }
    }

    @Test("a judge without numbers stops for what it stops for with them, a revert before a pause")
    func standing() {
        var judge = judge([.pause, .revert, .notify])
        for second in Int64(0)..<60 {
            var tick = ErrorTick(second: second, step: 1)
            for shard in 0..<ErrorTick.shards {
                tick.trials[shard] = 1
                tick.trials[ErrorTick.shards + shard] = 1
                tick.responses[ErrorTick.shards + shard].add(500)
            }
            judge.take(.errors(tick))
        }
        #expect(judge.requiredChecks.pauses == "p/errors-0" && judge.requiredChecks.reverts == "p/errors-1")
    }

    private func result(_ evidence: Double?, failures: Int = 0, verdict: Verdict = .fail, groups: [String] = [])
        -> CheckResult
    {
        var result = CheckResult(
            policy: "p", check: "c", action: .pause, verdict: verdict, measured: verdict,
            measurements: groups.map {
                Measurement(subject: $0, unit: .points, bound: 0.1, value: 0.2, verdict: .fail)
            },
            failures: failures, failureLimit: 2)
        result.evidence = evidence.map {
            CheckEvidence(value: $0, revertAt: 5, proof: 0, promoteAt: 3, weight: 1, part: "", trace: EvidenceTrace())
        }
        return result
    }

    @Test("a check has failed again when what came since would have failed it alone")
    func again() {
        let earlier = result(7, groups: ["sex=Female"]).extent
        #expect(earlier == FailureExtent(evidence: 7, groups: ["sex=Female"]))
        #expect(!result(7).hasFailedAgain(since: earlier))
        #expect(!result(11.9).hasFailedAgain(since: earlier))
        #expect(result(12).hasFailedAgain(since: earlier))
        #expect(!result(12, verdict: .inconclusive).hasFailedAgain(since: earlier))
        #expect(!result(7, groups: ["sex=Female"]).hasFailedAgain(since: earlier))
        #expect(result(7, groups: ["sex=Male"]).hasFailedAgain(since: earlier))
        let counted = result(nil, failures: 3).extent
        #expect(!result(nil, failures: 5).hasFailedAgain(since: counted))
        #expect(result(nil, failures: 6).hasFailedAgain(since: counted))
    }

    @Test("nothing is left of a failure when its evidence is back at 1 : 1")
    func over() {
        #expect(!result(0.1, verdict: .pass).isFailureOver && result(0, verdict: .pass).isFailureOver)
        #expect(!result(nil).isFailureOver && result(nil, verdict: .pass).isFailureOver)
    }

    @Test(
        "what earlier builds stored as a mode is read as its action",
        arguments: [("enforce", CheckAction.revert), ("observe", .notify)])
    func stored(mode: String, action: CheckAction) throws {
        func earlier(_ value: some Encodable) throws -> Data {
            let text = String(decoding: try JSONEncoder().encode(value), as: UTF8.self)
            #expect(text.contains("\"action\":\"\(action.rawValue)\""))
            return Data(text.replacing("\"action\":\"\(action.rawValue)\"", with: "\"mode\":\"\(mode)\"").utf8)
        }
        let policy = Policy(
            name: "p",
            checks: [Check(name: "c", kind: .errors(ErrorsCheck(max: 0.1)), action: action, share: 2)])
        #expect(try JSONDecoder().decode(Policy.self, from: earlier(policy)) == policy)
        var result = result(3, failures: 1, groups: ["g=a"])
        result.action = action
        result.needsMoreThanTraffic = true
        result.isOverInconclusiveLimit = true
        #expect(try JSONDecoder().decode(CheckResult.self, from: earlier(result)) == result)
    }
}
