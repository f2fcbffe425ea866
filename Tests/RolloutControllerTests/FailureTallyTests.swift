import Analysis
import PolicyModel
import RolloutEngine
import Testing

@testable import RolloutController

@Suite("Why requests failed", .timeLimit(.minutes(15)))
struct FailureTallyTests {
    private func failures(_ count: UInt64, _ reason: String = "response-timeout") -> FailureCount {
        FailureCount(slot: 1, arm: .candidate, stage: .response, reason: reason, message: "in words", count: count)
    }

    private func moment(_ seconds: Int64) -> Moment {
        Moment(monotonic: seconds * 1_000_000_000, wall: 1_000_000_000_000 + seconds * 1000)
    }

    private func totals(_ tally: FailureTally) -> [(key: FailureTally.Key, count: UInt64)] {
        tally.failedRequests(versions: [], reasons: [])
    }

    @Test("every reason of a known version is listed from the start; closed connections are listed apart")
    func startAtZero() {
        var tally = FailureTally()
        let known = ["connect-failed", "response-timeout"]
        func listed() -> [String] {
            tally.failedRequests(versions: ["new", "old"], reasons: known)
                .map { "\($0.key.version) \($0.key.reason) \($0.count)" }
        }
        #expect(
            listed() == [
                "new connect-failed 0", "new response-timeout 0", "old connect-failed 0", "old response-timeout 0",
            ])
        #expect(tally.surplusConnections(versions: ["new"]).map(\.count) == [0])
        _ = tally.record(failures(3), version: "new", now: moment(1))
        _ = tally.record(failures(2, "unforeseen"), version: "gone", now: moment(1))
        let surplus = FailureCount(
            slot: 1, arm: .candidate, stage: .afterResponse, reason: "surplus-bytes", message: "in words", count: 5)
        _ = tally.record(surplus, version: "old", now: moment(1))
        #expect(
            listed() == [
                "gone unforeseen 2", "new connect-failed 0", "new response-timeout 3", "old connect-failed 0",
                "old response-timeout 0",
            ])
        #expect(
            tally.surplusConnections(versions: ["new"]).map { "\($0.version) \($0.count)" } == ["new 0", "old 5"])
    }

    @Test("a reason is reported at once and then once a minute, with what came since; each reason for itself")
    func reports() {
        var tally = FailureTally()
        #expect(tally.record(failures(3), version: "new", now: moment(10))?.count == 3)
        #expect(tally.record(failures(4), version: "new", now: moment(11)) == nil)
        #expect(tally.record(failures(1, "connect-failed"), version: "new", now: moment(12))?.count == 1)
        #expect(tally.record(failures(1), version: "old", now: moment(12))?.version == "old")
        #expect(tally.record(failures(5), version: "new", now: moment(69)) == nil)
        #expect(tally.record(failures(6), version: "new", now: moment(70))?.count == 15)
        #expect(totals(tally).map(\.count) == [1, 18, 1])
    }

    @Test("what is shown is the last hour of a version, the newest reason first")
    func recent() {
        var tally = FailureTally()
        _ = tally.record(failures(1, "connect-failed"), version: "new", now: moment(0))
        _ = tally.record(failures(2), version: "new", now: moment(100))
        _ = tally.record(failures(2), version: "old", now: moment(100))
        #expect(tally.recent(of: "new", now: moment(200)).map(\.reason) == ["response-timeout", "connect-failed"])
        #expect(tally.recent(of: "new", now: moment(3600)).map(\.reason) == ["response-timeout"])
        #expect(tally.recent(of: "new", now: moment(3700)).isEmpty)
        #expect(totals(tally).count == 3)
    }

    @Test("memory does not follow the versions that come and go, and the newest stay")
    func bounded() {
        var tally = FailureTally()
        for number in 0..<10_000 {
            _ = tally.record(failures(1), version: "v\(number)", now: moment(Int64(number)))
        }
        #expect(totals(tally).count <= 256)
        #expect(tally.recent(of: "v9999", now: moment(10_000)).count == 1)
        #expect(tally.recent(of: "v0", now: moment(10_000)).isEmpty)
    }
}
