import PolicyModel
import TestSupport
import Testing

@testable import Analysis

@Suite(.timeLimit(.minutes(15))) struct ObservationWindowTests {
    private static let second: Int64 = 1_000_000_000
    private static let start = 1000 * second

    private func request(
        _ arm: Arm = .candidate, at seconds: Double, lasting: Double = 0.02, _ outcome: Outcome = .success
    ) -> Observation {
        Observation(
            slot: 1, arm: arm, outcome: outcome, flags: .judged, place: 0,
            startedAt: Self.start + Int64(seconds * 1e9), requestHash: 0, firstByte: UInt32(lasting * 5e5),
            total: UInt32(lasting * 1e6))
    }

    private func at(_ seconds: Double) -> Int64 { Self.start + Int64(seconds * 1e9) }
    private func window() -> ObservationWindow {
        ObservationWindow(retention: .seconds(120), startedAt: Self.start)
    }

    @Test("a latency belongs to the second in which its request began, however late it ended")
    func cohorts() {
        var window = window()
        window.record(request(at: 50))
        window.record(request(at: 10, lasting: 40.5))
        window.record(request(at: 30.2))
        window.record(request(at: 30.9))
        #expect(window.cohorts[1].map(\.second) == [1010, 1030, 1050])
        #expect(window.summary(.candidate, since: at(20)).outcomes.success == 3)
        #expect(window.summary(.candidate, since: at(30), until: at(31)).outcomes.success == 2)
        #expect(window.summary(.baseline, since: at(0)).outcomes.all == 0)
    }

    @Test("an error counts when its request ends: a time-out of a minute is not too old to be seen")
    func ends() {
        var window = window()
        for i in 0..<10 { window.record(request(at: Double(i), lasting: 60, .timeout)) }
        #expect(window.counts(.candidate, since: at(60)).timeout == 10)
        #expect(window.counts(.candidate, since: at(65)).timeout == 5)
        #expect(window.counts(.candidate, since: at(71)).timeout == 0)
    }

    @Test("what is older than the retention goes, and what still comes for it is counted as late")
    func expiry() {
        var window = window()
        window.record(request(at: 1))
        window.record(request(at: 200))
        window.expire(now: at(201))
        #expect(window.cohorts[1].map(\.second) == [1200])
        window.record(request(at: 2, lasting: 198))
        #expect(window.late == 1)
        #expect(window.cohorts[1].count == 1)
        #expect(window.sinceStart[1].success == 3)
    }

    @Test("memory is bounded by the retention, whatever comes in which order") func bounded() {
        var window = window()
        var random = SplitMix64(seed: 9)
        for i in 0..<5000 {
            window.record(
                request(random.pick(Arm.allCases), at: Double(i) + Double.random(in: 0...300, using: &random)))
            window.expire(now: at(Double(i) + 300))
            #expect(window.cohorts.allSatisfy { $0.count <= 422 })
            #expect(zip(window.cohorts[1], window.cohorts[1].dropFirst()).allSatisfy { $0.second < $1.second })
        }
    }

    @Test("a step counts what began in it, to the nanosecond, and a change of weight drops nothing") func steps() {
        var window = window()
        window.record(request(at: 9.5))
        window.beginStep(at: at(10))
        window.record(request(at: 9.9, lasting: 0.3))
        window.record(request(at: 10))
        window.record(request(.baseline, at: 10.5, .serverError))
        #expect(window.sinceStep[1].success == 1)
        #expect(window.sinceStep[0].errors == 1)
        #expect(window.sinceStart[1].success == 3)
        #expect(window.summary(.candidate, since: at(0)).outcomes.success == 3)
    }

    @Test("open requests count as long as they are open; abandoned ones as slower than what they outlived")
    func open() {
        var window = window()
        window.setOpen([request(at: 5, lasting: 2, .open), request(.baseline, at: 5, lasting: 1, .open)])
        #expect(window.summary(.candidate, since: at(0)).open == 1)
        #expect(window.summary(.candidate, since: at(6)).open == 0)
        window.setOpen([])
        #expect(window.summary(.candidate, since: at(0)).open == 0)
        window.record(request(at: 5, lasting: 3, .clientClosed))
        #expect(window.summary(.candidate, since: at(0)).exceedances(.total, atOrAbove: 64) == (1, 1))
        #expect(window.sinceStart[1].judged == 0)
    }

    @Test("an observation stays at 40 bytes, with its status") func size() {
        #expect(MemoryLayout<Observation>.stride == 40)
    }

    @Test("client errors are requests, no errors, and not timed; a request that the proxy refused is none")
    func clientErrors() {
        var window = window()
        window.record(request(at: 1, .clientError))
        window.record(request(at: 1, .rejected))
        let counts = window.counts(.candidate, since: at(0))
        #expect(counts.judged == 1 && counts.errors == 0 && counts.all == 2)
        #expect(counts.clientErrorRate == 1 && counts.count(.clientErrors) == 1)
        #expect(window.summary(.candidate, since: at(0)).quantile(0.5, of: .total) == nil)
    }

    @Test("latencies from before the warm-up's end are left out, errors are not") func warmup() {
        var window = window()
        window.judgeLatency(from: .max)
        window.record(request(at: 1, lasting: 5))
        window.record(request(at: 1, .serverError))
        window.judgeLatency(from: at(10))
        window.record(request(at: 9, lasting: 5))
        window.record(request(at: 11))
        let summary = window.summary(.candidate, since: at(0))
        #expect(summary.total.reduce(0, +) == 1)
        #expect(window.counts(.candidate, since: at(0)).errors == 1)
    }
}
