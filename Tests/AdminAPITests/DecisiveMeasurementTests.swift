import AdminTypes
import Analysis
import PolicyModel
import Testing
import Vocabulary

@testable import AdminAPI

@Suite("The measurement that decided a check", .timeLimit(.minutes(15)))
struct DecisiveMeasurementTests {
    /// A measurement with a bound of 0.1.
    private func measurement(
        _ subject: String, _ value: Double?, _ verdict: Verdict, isSmall: Bool = false
    ) -> Analysis.Measurement {
        Analysis.Measurement(
            subject: subject, unit: .points, bound: 0.1, value: value, verdict: verdict,
            notes: isSmall ? [.tooSmallToJudge(candidate: 3, baseline: 3, needed: 100)] : [])
    }

    @Test("The agent and canaryctl name the same one: the furthest beyond its bound, a small group only without others")
    func alike() {
        let cases: [(measured: Verdict, measurements: [Analysis.Measurement], expected: String)] = [
            (.fail, [measurement("a", 0.2, .fail), measurement("b", 0.3, .fail), measurement("c", 0.9, .pass)], "b"),
            (.fail, [measurement("a", 0.9, .fail, isSmall: true), measurement("b", 0.2, .fail)], "b"),
            (.noData, [measurement("a", nil, .noData), measurement("b", 0.3, .noData, isSmall: true)], "b"),
            (.noData, [measurement("a", 0.3, .pass), measurement("b", nil, .noData)], "b"),
            (.error, [measurement("a", 0.3, .pass)], "a"),
        ]
        for (measured, measurements, expected) in cases {
            let result = CheckResult(
                policy: "p", check: "c", action: .revert, verdict: measured, measured: measured,
                measurements: measurements)
            #expect(result.decisive?.subject == expected)
            #expect(CheckStatus(result, traced: false).decisive?.subject == expected)
        }
    }
}
