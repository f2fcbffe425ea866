import PolicyModel
import Statistics
import TestSupport
import Testing

@testable import Analysis

@Suite("The feed of seconds", .timeLimit(.minutes(15)))
struct TickFeedTests {
    private static let second: Int64 = 1_000_000_000

    /// - Parameters:
    ///   - began: seconds.
    ///   - lasted: seconds.
    private func request(
        _ began: Double, lasted: Double = 0.01, _ outcome: Outcome = .success, arm: Arm = .candidate, key: UInt32 = 0,
        flags: Observation.Flags = .judged
    ) -> Observation {
        Observation(
            slot: 1, arm: arm, outcome: outcome, flags: flags, place: UInt16(key % 10_000), key: key,
            startedAt: Int64(began * 1e9), requestHash: 0, firstByte: UInt32(lasted * 1e6), total: UInt32(lasted * 1e6))
    }

    private func mature(_ feed: inout TickFeed, _ now: Double, latencyMaturity: Int64 = 2) -> [JudgedItem] {
        feed.mature(now: Int64(now * 1e9), latencyMaturity: latencyMaturity)
    }

    private func errors(_ items: [JudgedItem]) -> [ErrorTick] {
        items.compactMap { if case .errors(let tick) = $0 { tick } else { nil } }
    }

    private func latencies(_ items: [JudgedItem]) -> [LatencyTick] {
        items.compactMap { if case .latencies(let tick) = $0 { tick } else { nil } }
    }

    @Test(
        "Every request is emitted once, seconds ascend, and nothing is added to a second that was emitted",
        arguments: 0..<12)
    func once(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var feed = TickFeed(now: 0, isKeyed: true)
        let all = (0..<1_500).map { _ -> Observation in
            let lasted =
                random.chance(0.9)
                ? Double.random(in: 0...0.4, using: &random)
                : Double.random(in: 0...(random.chance(0.5) ? 8 : 200), using: &random)
            return request(
                Double.random(in: 1..<60, using: &random), lasted: lasted,
                random.pick([.success, .success, .success, .serverError, .clientError, .timeout, .clientClosed]),
                arm: random.pick(Arm.allCases), key: UInt32.random(in: 0..<50, using: &random))
        }
        func end(_ o: Observation) -> Int64 { o.startedAt + Int64(o.total) * 1000 }
        let byEnd = all.sorted { end($0) < end($1) }
        var out: [JudgedItem] = []
        var done = 0
        for tick in 1...600 {
            let now = Int64(tick) * Self.second / 2
            while done < byEnd.count, end(byEnd[done]) <= now {
                feed.record(byEnd[done])
                done += 1
            }
            feed.setOpen(
                byEnd[done...].filter { $0.startedAt <= now }.map {
                    var o = $0
                    o.outcome = .open
                    o.total = UInt32((now - o.startedAt) / 1000)
                    o.firstByte = .max
                    return o
                })
            out += feed.mature(now: now, latencyMaturity: 3)
        }
        #expect(done == all.count)
        for seconds in [errors(out).map(\.second), latencies(out).map(\.second)] {
            #expect(zip(seconds, seconds.dropFirst()).allSatisfy { $0 < $1 })
        }
        for arm in Arm.allCases {
            let judged = all.filter { $0.arm == arm && $0.outcome.isJudged }
            let tallies = errors(out).map { $0.tally(arm, .errors) }
            #expect(tallies.reduce(0) { $0 + $1.trials } == judged.count)
            #expect(tallies.reduce(0) { $0 + $1.hits } == judged.count { $0.outcome.isError })
            let refused = errors(out).reduce(0) { $0 + $1.tally(arm, .clientErrors).hits }
            #expect(refused == judged.count { $0.outcome == .clientError })
            let assigned = latencies(out).reduce(0) { $0 + Int($1.assigned[Int(arm.rawValue)]) }
            #expect(assigned == all.count { $0.arm == arm })
        }
        #expect(
            errors(out).reduce(0) { $0 + $1.keys.count }
                == errors(out).reduce(0) {
                    $0 + $1.requests(.baseline) + $1.requests(.candidate)
                })
    }

    @Test("A second is emitted half a second after its end, not before")
    func settles() {
        var feed = TickFeed(now: 0, isKeyed: false)
        feed.record(request(5.2))
        #expect(mature(&feed, 6.4).isEmpty)
        #expect(errors(mature(&feed, 6.5)).map(\.second) == [5])
        #expect(mature(&feed, 6.5).isEmpty)
    }

    @Test("An open request holds its second back, errors for five seconds, latencies for as long as they may count")
    func waits() {
        var feed = TickFeed(now: 0, isKeyed: false)
        feed.record(request(5.1))
        feed.record(request(6.1))
        feed.setOpen([request(5.3, lasted: 0, .open)])
        #expect(mature(&feed, 9, latencyMaturity: 20).isEmpty)
        let first = mature(&feed, 11.5, latencyMaturity: 20)
        #expect(errors(first).map(\.second) == [5] && latencies(first).isEmpty)
        feed.setOpen([request(5.3, lasted: 21, .open)])
        let second = mature(&feed, 26.6, latencyMaturity: 20)
        #expect(latencies(second).map(\.second) == [5])
        // It counts as having taken at least that long.
        #expect(latencies(second)[0].entries.contains { $0.bucket(.total).isCensored })
        feed.setOpen([])
        feed.record(request(5.3, lasted: 40, .timeout))
        let third = mature(&feed, 60, latencyMaturity: 20)
        #expect(!latencies(third).contains { $0.second == 5 })
    }

    @Test("An error that ends late counts once, in the second five seconds before its end")
    func late() {
        var feed = TickFeed(now: 0, isKeyed: false)
        feed.record(request(2.1))
        _ = mature(&feed, 30)
        feed.record(request(2.2, lasted: 60, .timeout))
        let items = errors(mature(&feed, 90))
        #expect(items.map(\.second) == [57])
        #expect(items[0].tally(.candidate, .errors) == Tally(1, of: 1))
    }

    @Test("A request of either arm that ends late is left out if the split has changed since it began")
    func lateAcrossAChange() {
        for isStep in [true, false] {
            var feed = TickFeed(now: 0, isKeyed: false)
            feed.beginStep(share: Weight(clamping: 1_000), now: Self.second)
            _ = mature(&feed, 20)
            if isStep {
                feed.beginStep(share: Weight(clamping: 5_000), now: 30 * Self.second)
            } else {
                feed.changeShare(.zero, now: 30 * Self.second)
            }
            for arm in Arm.allCases {
                for outcome in [Outcome.timeout, .success] { feed.record(request(15.2, lasted: 40, outcome, arm: arm)) }
                feed.record(request(40.2, lasted: 15, .timeout, arm: arm))
            }
            let out = errors(mature(&feed, 90))
            #expect(out.map(\.second) == [50])
            for arm in Arm.allCases { #expect(out.first?.tally(arm, .errors) == Tally(1, of: 1)) }
        }
    }

    @Test("An error whose second was already emitted counts in the next second that was not")
    func afterwards() {
        var feed = TickFeed(now: 0, isKeyed: false)
        _ = mature(&feed, 30)
        feed.record(request(28, lasted: 0.5, .serverError))
        #expect(errors(mature(&feed, 40)).map(\.second) == [29])
    }

    @Test("A step's requests are those that began in a later second than the step, however late they end")
    func steps() {
        var feed = TickFeed(now: 0, isKeyed: false)
        feed.beginStep(share: Weight(clamping: 1_000), now: 3_400_000_000)
        feed.record(request(3.9))
        feed.record(request(4.0))
        feed.beginStep(share: Weight(clamping: 5_000), now: 7_999_999_999)
        feed.record(request(7.5))
        feed.record(request(8.1))
        let out = mature(&feed, 20)
        #expect(errors(out).map(\.step) == [0, 1, 1, 2])
        // Both splits assigned the requests of a second in which the split changed, so its share is 0.
        #expect(latencies(out).map(\.share.basisPoints) == [0, 1_000, 0, 5_000])
        #expect(feed.step == 2 && feed.step(at: 4 * Self.second) == 1 && feed.step(at: 3 * Self.second) == 0)
    }

    @Test("After a restart the numbers of steps continue, and no second from before is emitted")
    func restart() {
        var feed = TickFeed(now: 100 * Self.second, isKeyed: false)
        feed.resume(step: 4, share: Weight(clamping: 2_500))
        // This request began before the restart. The other requests of its second are unknown.
        feed.record(request(98, lasted: 3, .serverError))
        feed.record(request(100.5))
        feed.beginStep(share: Weight(clamping: 5_000), now: 101 * Self.second)
        feed.record(request(102.5))
        let out = mature(&feed, 120)
        #expect(errors(out).map(\.second) == [100, 102] && errors(out).map(\.step) == [4, 5])
        #expect(errors(out)[0].tally(.candidate, .errors) == Tally(1, of: 2))
        #expect(latencies(out).map(\.second) == [100, 102])
        #expect(latencies(out).map(\.share.basisPoints) == [2_500, 5_000])
    }

    @Test("Without sticky routing no key is kept; with it, a request without one has its own")
    func keys() {
        var feed = TickFeed(now: 0, isKeyed: false)
        feed.record(request(1, key: 7))
        #expect(errors(mature(&feed, 5))[0].keys.isEmpty)
        var keyed = TickFeed(now: 0, isKeyed: true)
        keyed.record(request(1, .serverError, key: 7))
        keyed.record(request(1.1, key: 8, flags: [.judged, .keyless]))
        let expected = [KeyedResponse(key: 7, .candidate, 500), KeyedResponse(key: 8, .candidate, .success)]
        #expect(errors(mature(&keyed, 5))[0].keys == expected)
    }

    @Test("Requests of the warm-up count as assigned, but their latency is not judged")
    func warmup() {
        var feed = TickFeed(now: 0, isKeyed: false)
        feed.judgeLatency(from: .max)
        feed.record(request(1))
        feed.judgeLatency(from: 2 * Self.second)
        feed.record(request(1.5))
        feed.record(request(2.5))
        let out = latencies(mature(&feed, 9))
        #expect(out.map { $0.assigned[1] } == [2, 1])
        #expect(out.map(\.entries.count) == [0, 1])
    }
}
