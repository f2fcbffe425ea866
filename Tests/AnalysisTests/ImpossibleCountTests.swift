import PolicyModel
import Testing

@testable import Analysis

/// Whatever a window was filled with, an evaluation gives a verdict or says why not.
@Suite("Impossible counts in a window of scrapes", .timeLimit(.minutes(15)))
struct ImpossibleCountTests {
    private static let second: Int64 = 1_000_000_000
    private let server = Endpoint(host: "127.0.0.1", port: 1)

    /// Ten scrapes of both arms; the candidate as given, the baseline with ten requests a scrape.
    private func results(_ kind: CheckKind, candidate: (Int) -> ScrapeSample) -> CheckResult? {
        var series = SeriesWindow()
        for arm in [Arm.baseline, .candidate] { series.setServers([server], of: arm) }
        for turn in 0..<10 {
            let at = Int64(turn) * 5 * Self.second
            let count = Double(turn) * 10
            series.record(
                ScrapeSample(
                    at: at, requests: count, errors: 0,
                    latency: .histogram(
                        CumulativeHistogram(bounds: [0.1, 1, .infinity], counts: [count, count, count]))),
                of: server, arm: .baseline)
            var sample = candidate(turn)
            sample.at = at
            series.record(sample, of: server, arm: .candidate)
        }
        let check = Check(name: "c", kind: kind)
        let now = 46 * Self.second
        var judge = ThresholdJudge()
        return judge.evaluate(
            [Policy(name: "p", checks: [check])],
            WindowSnapshot(observations: ObservationWindow(retention: .seconds(60), startedAt: 0), series: series),
            now: now
        ).first
    }

    private let errors = CheckKind.errors(ErrorsCheck(max: 0.05, maxIncrease: 0.5, from: .scrape))
    private let latency = CheckKind.latency(LatencyCheck(quantile: 0.95, max: .milliseconds(500), from: .scrape))

    @Test("counters that grow by more than can be counted are an error", arguments: [3e19, 0x1p62, 1e308])
    func growth(step: Double) throws {
        let result = try #require(
            results(errors) { ScrapeSample(at: 0, requests: Double($0) * step, errors: 0) })
        #expect(result.measured == .error)
        #expect(result.measurements[0].note.contains("cannot be counted"))
    }

    @Test("a latency histogram that grows by more than can be counted is an error", arguments: [3e19, 0x1p62, 1e308])
    func histogram(step: Double) throws {
        let result = try #require(
            results(latency) { turn in
                // Each reset adds the whole histogram again.
                let count = turn.isMultiple(of: 2) ? Proportion.largestCount : 0
                return ScrapeSample(
                    at: 0,
                    latency: .histogram(
                        CumulativeHistogram(bounds: [0.1, .infinity], counts: [count, count])))
            })
        #expect(result.measured == .error)
        #expect(result.measurements[0].note.contains("cannot be counted"))
        // Buckets that are no counts are no evidence at all.
        let refused = try #require(
            results(latency) { turn in
                let count = Double(turn) * step
                return ScrapeSample(
                    at: 0,
                    latency: .histogram(
                        CumulativeHistogram(bounds: [0.1, .infinity], counts: [count, count])))
            })
        #expect(refused.measured == .noData)
    }

    @Test(
        "negative and infinite counters add nothing", arguments: [-1, -3e19, .infinity, -.infinity, .nan] as [Double])
    func missing(value: Double) throws {
        let result = try #require(
            results(errors) { turn in
                ScrapeSample(at: 0, requests: Double(turn) * 10, errors: turn == 5 ? value : 0)
            })
        #expect(result.measurements[0].candidate == 0 && result.measurements[0].candidateSamples == 90)
    }

    @Test("a rate that no number can hold is unavailable")
    func rate() {
        let query = SeriesQuery(selector: "bytes_total", kind: .counter)
        var series = SeriesWindow()
        for (turn, value) in [0, 1.7e308, 0, 1.7e308].enumerated() {
            series.record(
                ScrapeSample(at: Int64(turn), series: [query: .values(["": value])]), of: server, arm: .candidate)
        }
        #expect(
            series.delta(of: .candidate, from: 0, to: 10)?.series[query]
                == .unavailable("the counters grew by more than a number can hold"))
    }

    @Test("gauges of both infinities have no sum")
    func gauges() {
        let reading = GaugeReading(at: 0, values: [.infinity, -.infinity])
        #expect(reading.aggregated(by: .sum) == nil && reading.aggregated(by: .mean) == nil)
        #expect(reading.aggregated(by: .max) == .infinity)
    }
}
