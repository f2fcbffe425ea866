import PolicyModel
import Testing

@testable import Analysis

@Suite("Series window", .timeLimit(.minutes(15)))
struct SeriesWindowTests {
    private static let second: Int64 = 1_000_000_000
    private let one = Endpoint(host: "127.0.0.1", port: 1)
    private let two = Endpoint(host: "127.0.0.1", port: 2)

    private func window(
        _ scrapes: [(Int64, Double?)], of server: Endpoint? = nil, arm: Arm = .candidate,
        into window: SeriesWindow = SeriesWindow()
    ) -> SeriesWindow {
        var window = window
        for (at, requests) in scrapes {
            window.record(ScrapeSample(at: at * Self.second, requests: requests), of: server ?? one, arm: arm)
        }
        return window
    }

    private func requests(_ window: SeriesWindow, _ from: Int64, _ to: Int64) -> Double? {
        window.delta(of: .candidate, from: from * Self.second, to: to * Self.second)?.requests
    }

    @Test("counters: steps, resets, gaps and idleness")
    func counters() {
        #expect(requests(window([(0, 10), (5, 14), (10, 20)]), 0, 10) == 10)
        // The restart at 10 counts from zero: 4 + 3 + 2.
        #expect(requests(window([(0, 10), (5, 14), (10, 3), (15, 5)]), 0, 15) == 9)
        // Shown for the first time: it began at zero. Missing once: it goes on.
        #expect(requests(window([(0, nil), (5, 7)]), 0, 5) == 7)
        #expect(requests(window([(0, 10), (5, nil), (10, 12)]), 0, 10) == 2)
        // Idle is no data, not zero; standing still is zero.
        #expect(requests(window([(0, nil), (5, nil)]), 0, 5) == nil)
        #expect(requests(window([(0, 10), (5, 10)]), 0, 5) == 0)
        #expect(requests(window([(0, 10)]), 0, 5) == nil)
        #expect(requests(window([(0, 10), (5, .nan), (10, 11)]), 0, 10) == 1)
    }

    @Test("intervals that follow one another count every step once")
    func tiling() {
        let filled = window((0...20).map { (Int64($0) * 3, Double($0 * $0)) })
        let parts = [(0, 10), (10, 11), (11, 30), (30, 60)].compactMap { requests(filled, $0.0, $0.1) }
        #expect(parts.reduce(0, +) == 400)
    }

    @Test("a scrape long before the interval is not its start")
    func slack() {
        let filled = window([(0, 0), (100, 50), (105, 60)])
        #expect(requests(filled, 90, 105) == 10)
        #expect(requests(filled, 15, 105) == 60)
    }

    @Test("servers add up; one that went keeps its past and is not counted again")
    func servers() {
        var filled = window([(0, 0), (5, 10)], of: one)
        filled = window([(0, 100), (5, 101), (10, 103)], of: two, into: filled)
        #expect(requests(filled, 0, 10) == 13)
        filled.setServers([two], of: .candidate)
        #expect(requests(filled, 0, 10) == 13)
        #expect(filled.freshness(of: .candidate).map(\.server) == [two])
        filled = window([(400, 110)], of: two, into: filled)
        #expect(requests(filled, 0, 400) == nil)
    }

    @Test("older scrapes are dropped by age and by count; times that do not ascend are ignored")
    func bounds() {
        var small = SeriesWindow(span: .seconds(20), maxScrapes: 3)
        small = window([(0, 0), (5, 1), (5, 100), (4, 100), (10, 2), (15, 4), (20, 8)], into: small)
        #expect(requests(small, 0, 20) == 6)
        small = window([(39, 16)], into: small)
        #expect(requests(small, 0, 40) == 8)
    }

    @Test("both arms are taken over the interval that both have")
    func common() throws {
        var filled = window([(0, 0), (5, 5), (10, 10), (15, 15), (20, 20)], arm: .candidate)
        filled = window([(9, 0), (14, 50), (19, 100), (24, 150)], of: two, arm: .baseline, into: filled)
        let (baseline, candidate) = try #require(filled.deltas(from: 0, to: 30 * Self.second))
        // From 9 to 20: the candidate's scrape at 5 is the last before it.
        #expect(candidate.requests == 15 && candidate.from == 5 * Self.second && candidate.to == 20 * Self.second)
        #expect(baseline.requests == 100 && baseline.to == 19 * Self.second)
        #expect(window([(0, 0), (5, 5)]).deltas(from: 0, to: 5 * Self.second) == nil)
    }

    private func latency(_ scrapes: [CumulativeHistogram?], errors: [Double?] = []) -> SeriesDelta? {
        var filled = SeriesWindow()
        for (place, histogram) in scrapes.enumerated() {
            filled.record(
                ScrapeSample(
                    at: Int64(place) * Self.second, errors: errors.isEmpty ? nil : errors[place],
                    latency: histogram.map { .histogram($0) } ?? .noData, latencyExcludesErrors: !errors.isEmpty),
                of: one, arm: .candidate)
        }
        return filled.delta(of: .candidate, from: 0, to: 100 * Self.second)
    }

    private func histogram(_ counts: Double..., bounds: [Double] = [0.1, 0.5, .infinity]) -> CumulativeHistogram {
        CumulativeHistogram(bounds: bounds, counts: counts)
    }

    @Test("histograms: steps, a reset as a whole, other bounds start anew")
    func histograms() {
        #expect(latency([histogram(1, 2, 3), histogram(2, 5, 7)])?.latency == .histogram(histogram(1, 3, 4)))
        #expect(latency([histogram(1, 20, 30), histogram(2, 5, 7)])?.latency == .histogram(histogram(2, 5, 7)))
        #expect(latency([nil, histogram(2, 5, 7)])?.latency == .histogram(histogram(2, 5, 7)))
        let fine = [0.2, 0.5, .infinity]
        #expect(
            latency([
                histogram(1, 2, 3), histogram(2, 5, 7), histogram(1, 1, 1, bounds: fine),
                histogram(1, 2, 3, bounds: fine),
            ])?.latency == .histogram(histogram(0, 1, 2, bounds: fine)))
        #expect(latency([nil, nil])?.latency == .noData)
    }

    /// The growth over pages of several models, each with its requests, its errors, and how many were fast.
    private func models(_ pages: [[String: (requests: Double, errors: Double, fast: Double)]]) -> SeriesDelta? {
        var filled = SeriesWindow()
        for (place, page) in pages.enumerated() {
            let latency = page.mapValues { histogram($0.fast, $0.requests, $0.requests) }
            var sample = ScrapeSample(
                at: Int64(place) * Self.second, requests: page.values.map(\.requests).reduce(0, +),
                errors: page.values.map(\.errors).reduce(0, +), latency: .noData)
            if let first = latency.values.first {
                sample.latency = .histogram(latency.values.dropFirst().reduce(first) { $0.merged(with: $1)! })
            }
            sample.presetReadings = PresetReadings(
                requests: page.mapValues(\.requests), errors: page.mapValues(\.errors), latency: latency)
            filled.record(sample, of: one, arm: .candidate)
        }
        return filled.delta(of: .candidate, from: 0, to: 100 * Self.second)
    }

    @Test("a model that leaves a page, comes back or is new is no reset of the others")
    func modelsThatComeAndGo() throws {
        let a = (requests: 5_000.0, errors: 900.0, fast: 4_000.0)
        let b = (requests: 100.0, errors: 1.0, fast: 90.0)
        let bLater = (requests: 110.0, errors: 1.0, fast: 100.0)
        let gone = try #require(models([["a": a, "b": b], ["b": bLater]]))
        #expect(gone.requests == 10 && gone.errors == 0)
        #expect(gone.latency == .histogram(histogram(10, 10, 10)))
        let aLater = (requests: 5_007.0, errors: 902.0, fast: 4_000.0)
        let back = try #require(models([["a": a, "b": b], ["b": bLater], ["a": aLater, "b": bLater]]))
        #expect(back.requests == 17 && back.errors == 2)
        #expect(back.latency == .histogram(histogram(10, 17, 17)))
        let new = try #require(models([["b": b], ["a": (3, 1, 2), "b": bLater]]))
        #expect(new.requests == 13 && new.errors == 1)
        #expect(new.latency == .histogram(histogram(12, 13, 13)))
        // A model that was restarted counts from zero, whatever the others do.
        let restarted = try #require(models([["a": a, "b": b], ["a": aLater, "b": (4, 0, 3)]]))
        #expect(restarted.requests == 11 && restarted.errors == 2)
        #expect(restarted.latency == .histogram(histogram(3, 11, 11)))
    }

    @Test("the same holds for the series of a check, also where the window begins with a page that lacks one")
    func checkedModelsThatComeAndGo() throws {
        let counters = SeriesQuery(selector: "failures", kind: .counter)
        let histograms = SeriesQuery(selector: "tokens", kind: .histogram)
        var filled = SeriesWindow()
        // Three models of which one is missing from each page; each counts 2 a scrape, on top of a long past.
        for place in 0..<40 {
            let shown = (0..<3).filter { place % 4 != $0 }
            let counts = shown.map { ("m\($0)", Double(1_000 * $0 + 2 * place)) }
            var sample = ScrapeSample(at: Int64(place) * Self.second)
            sample.series[counters] = .values(Dictionary(uniqueKeysWithValues: counts))
            sample.series[histograms] = .histograms(
                Dictionary(uniqueKeysWithValues: counts.map { ($0, histogram(0, $1, $1)) }))
            filled.record(sample, of: one, arm: .candidate)
        }
        for start in 4..<8 {
            // All models are on the last page; whole turns of four pages lie between.
            let delta = try #require(
                filled.delta(of: .candidate, from: Int64(start) * Self.second, to: Int64(start + 32) * Self.second))
            guard case .counter(let increase, _) = delta.series[counters],
                case .histogram(let histogram) = delta.series[histograms]
            else {
                Issue.record("\(delta.series)")
                continue
            }
            #expect(increase == 3 * 32 * 2)
            #expect(histogram.counts == [0, 192, 192])
        }
    }

    @Test(
        "series that are gone are remembered in a bounded number, and those that were shown last",
        arguments: [1_000, 3_000])
    func goneSeries(others: Int) {
        var tracker = CounterTracker()
        func growth(_ labels: String, _ value: Double) -> Double? {
            var sample = ScrapeSample(at: 0)
            sample.presetReadings = PresetReadings(requests: [labels: value])
            return tracker.record(sample).requests
        }
        #expect(growth("old", 1_000) == nil)
        for turn in 0..<others { #expect(growth("model \(turn)", 1) == 1) }
        #expect(growth("model \(others - 1)", 3) == 2)
        // A series that was forgotten counts anew.
        #expect(growth("old", 1_001) == (others > 2_000 ? 1_001 : 1))
    }

    @Test(
        "a quoted name is no condition on labels",
        arguments: [
            ("m", false), ("m{}", false), (#"{"my.metric"}"#, false), (#"{"a=b"}"#, false), (#"m{a="b"}"#, true),
            (#"m{a!="b"}"#, true), (#"{"my.metric",a="b"}"#, true), (#"m{"a label"="b"}"#, true),
        ])
    func labelConditions(selector: String, hasConditions: Bool) {
        #expect(SeriesQuery(selector: selector, kind: .counter).hasLabelConditions == hasConditions)
    }

    @Test("histograms of servers with other bounds meet on the bounds that they share")
    func mergedBounds() {
        let merged = histogram(1, 2, 3).merged(with: histogram(4, 5, 6, bounds: [0.2, 0.5, .infinity]))
        #expect(merged == histogram(7, 9, bounds: [0.5, .infinity]))
        #expect(histogram(1, 2, 3).merged(with: histogram(4, 6, bounds: [0.2, .infinity])) == nil)
    }

    @Test("quantiles are interpolated in their bucket, as histogram_quantile does")
    func quantiles() throws {
        let sample = histogram(50, 90, 100)
        #expect(sample.quantile(0.25) == QuantileEstimate(value: 0.05, lower: 0, upper: 0.1))
        #expect(sample.quantile(0.5)?.value == 0.1)
        #expect(abs(try #require(sample.quantile(0.7)).value - 0.3) < 1e-12)
        #expect(sample.quantile(0.95) == QuantileEstimate(value: 0.5, lower: 0.5, upper: .infinity))
        #expect(sample.quantile(0.95)?.isLowerBound == true)
        #expect(histogram(0, 0, 0).quantile(0.5) == nil)
        #expect(abs(try #require(histogram(0, 10, 10).quantile(0.5)).value - 0.3) < 1e-12)
    }

    @Test("failures that the histogram leaves out are slower than all of it")
    func slower() throws {
        let delta = try #require(
            latency([histogram(0, 0, 0), histogram(90, 95, 95)], errors: [0, 5]))
        #expect(delta.slower == 5)
        #expect(delta.latencyQuantile(0.9)?.value == 0.1)
        #expect(delta.latencyQuantile(0.96)?.isLowerBound == true)
    }

    @Test("wanted counters are followed series by series, and their rate is per second")
    func series() throws {
        let query = SeriesQuery(selector: "x", kind: .counter)
        var filled = SeriesWindow()
        for (at, values) in [(0, ["a": 100.0, "b": 5]), (10, ["b": 15]), (20, ["a": 110, "b": 2])] as [(Int64, _)] {
            filled.record(
                ScrapeSample(at: at * Self.second, series: [query: .values(values)]), of: one, arm: .candidate)
        }
        let delta = try #require(filled.delta(of: .candidate, from: 0, to: 20 * Self.second))
        #expect(delta.series[query] == .counter(increase: 22, perSecond: 1.1))
    }

    @Test("gauges: the last fresh scrapes of all servers, without NaN; what cannot be answered says why")
    func gauges() {
        let query = SeriesQuery(selector: "g", kind: .gauge)
        var filled = SeriesWindow()
        for (at, server, values) in [
            (0, one, [1.0]), (10, one, [2, .nan]), (11, two, [5]), (20, one, [3]), (21, two, []),
        ] as [(Int64, Endpoint, [Double])] {
            let labelled = Dictionary(uniqueKeysWithValues: values.enumerated().map { ("\($0)", $1) })
            filled.record(
                ScrapeSample(at: at * Self.second, series: [query: .values(labelled)]), of: server, arm: .candidate)
        }
        let readings = filled.gauges(query, of: .candidate, last: 5, since: 5 * Self.second)
        #expect(readings.map(\.at) == [21 * Self.second, 11 * Self.second])
        #expect(readings.map { $0.aggregated(by: .sum) } == [3, 7])
        #expect(readings[1].aggregated(by: .max) == 5 && readings[1].aggregated(by: .mean) == 3.5)
        #expect(filled.gauges(query, of: .candidate, last: 1, since: 0).count == 1)
        #expect(filled.gauges(query, of: .baseline, last: 1, since: 0).isEmpty)
        #expect(filled.unavailable(query, of: .candidate) == nil)
        #expect(filled.delta(of: .candidate, from: 0, to: 30 * Self.second)?.series.isEmpty == true)
        filled.record(
            ScrapeSample(at: 30 * Self.second, series: [query: .unavailable("no such thing")]), of: one, arm: .candidate
        )
        #expect(filled.unavailable(query, of: .candidate) == "no such thing")
    }

    @Test("freshness counts failures since the last success and keeps the last reason")
    func freshness() {
        var filled = SeriesWindow()
        filled.setServers([one, two], of: .candidate)
        filled.recordFailure("refused", at: 1, of: one, arm: .candidate)
        filled.recordFailure("timed out", at: 2, of: one, arm: .candidate)
        #expect(
            filled.freshness(of: .candidate) == [
                ScrapeFreshness(server: one, lastSuccess: nil, consecutiveFailures: 2, lastFailure: "timed out"),
                ScrapeFreshness(server: two, lastSuccess: nil, consecutiveFailures: 0, lastFailure: nil),
            ])
        filled = window([(7, 1)], of: one, into: filled)
        #expect(filled.freshness(of: .candidate)[0].consecutiveFailures == 0)
        #expect(filled.freshness(of: .candidate)[0].lastSuccess == 7 * Self.second)
    }
}
