import PolicyModel
import Testing
import Vocabulary

@testable import Analysis

/// Scrapes of both arms every five seconds, beside requests that the arms answered, and what a check makes of them.
private struct Pages {
    static let second: Int64 = 1_000_000_000
    static let servers: [Arm: Endpoint] = [
        .baseline: Endpoint(host: "old", port: 1), .candidate: Endpoint(host: "new", port: 1),
    ]
    var now = 1000 * Pages.second
    var window = ObservationWindow(retention: .seconds(130), startedAt: 1000 * Pages.second)
    var series = SeriesWindow()
    var judge = ThresholdJudge()
    var policies: [Policy]

    init(_ kind: CheckKind, _ limits: ThresholdLimits = ThresholdLimits(), action: CheckAction = .revert) {
        policies = [Policy(name: "p", checks: [Check(name: "c", kind: kind, action: action, limits: limits)])]
        for (arm, server) in Self.servers {
            series.setServers([server], of: arm, version: arm == .candidate ? "new" : "old")
        }
    }

    /// Five seconds of requests, and then a scrape of each arm.
    mutating func scrape(
        requests: Int = 50, baseline: ((inout ScrapeSample) -> Void)? = nil, _ candidate: (inout ScrapeSample) -> Void
    ) {
        for arm in Arm.allCases {
            for i in 0..<requests {
                window.record(
                    Observation(
                        slot: 1, arm: arm, outcome: .success, flags: .judged, place: 0,
                        startedAt: now + Int64(i) * 5 * Self.second / Int64(max(requests, 1)), requestHash: 0,
                        firstByte: 500, total: 1000))
            }
        }
        now += 5 * Self.second
        for (arm, server) in Self.servers {
            var sample = ScrapeSample(at: now)
            if arm == .baseline, let baseline { baseline(&sample) } else { candidate(&sample) }
            series.record(sample, of: server, arm: arm)
        }
    }

    var snapshot: WindowSnapshot { WindowSnapshot(observations: window, series: series) }
    mutating func look() -> CheckResult { judge.evaluate(policies, snapshot, now: now)[0] }
    var problems: [ScrapeProblem] { snapshot.problems(of: policies) }
    /// Of the candidate.
    var texts: [String] { problems.filter { $0.arm == .candidate }.map(\.text) }
}

@Suite("Series that are not what a check takes them for", .timeLimit(.minutes(15)))
struct ScrapedSeriesTests {
    private static let gauge = MetricCheck(series: "vllm:num_request_waiting", aggregate: .max, max: 50, forScrapes: 3)
    private static let labeled = MetricCheck(
        series: #"http_requests_total{handler="/predict",status="5xx"}"#, aggregate: .rate, max: 1)

    private func show(
        _ metric: MetricCheck, _ values: [String: Double], _ presence: SeriesPresence = .shown, type: String? = nil,
        isRepeated: Bool = false
    ) -> (inout ScrapeSample) -> Void {
        { sample in
            sample.series[metric.query] = .values(values)
            sample.details[metric.query] = SeriesDetails(presence: presence, type: type, isRepeated: isRepeated)
        }
    }

    @Test("a series that three scrapes do not show is missing: an error at once, with the name that is meant")
    func missing() {
        var pages = Pages(.metric(Self.gauge))
        let absent = show(Self.gauge, [:], .unknown(nearest: "vllm:num_requests_waiting"))
        for _ in 0..<2 { pages.scrape(absent) }
        let early = pages.look()
        #expect(
            early.verdict == .noData && early.missing.contains("no series vllm:num_request_waiting in 2 scrapes of new")
        )
        #expect(pages.problems.isEmpty)
        for _ in 0..<10 { pages.scrape(absent) }
        let text = "no series vllm:num_request_waiting in 12 scrapes of new; did you mean vllm:num_requests_waiting?"
        let result = pages.look()
        #expect(result.verdict == .error && result.fault == .missingSeries)
        #expect(result.measurements.map(\.note) == [text])
        #expect(pages.texts == [text] && pages.problems.allSatisfy { $0.isAlarm })
        // The other arm's problem is one of its own; a scrape later both are the same problems.
        let before = pages.problems
        #expect(before.count == 2)
        pages.scrape(absent)
        #expect(zip(before, pages.problems).allSatisfy { $0.isSame(as: $1) })
        pages.scrape(show(Self.gauge, ["": 3]))
        #expect(pages.problems.isEmpty)
    }

    @Test(
        "a check without maxIncrease needs no scrapes of the baseline",
        arguments: [MetricAggregate.rate, .quantile(0.9)])
    func onlyTheCandidate(aggregate: MetricAggregate) {
        let metric = MetricCheck(series: "queue_seconds", aggregate: aggregate, max: 5)
        func bucketed(_ i: Int) -> CumulativeHistogram {
            CumulativeHistogram(bounds: [1, .infinity], counts: [Double(i) * 90, Double(i) * 100])
        }
        var pages = Pages(.metric(metric))
        pages.series.setServers([], of: .baseline, version: "old")
        for i in 1...8 {
            pages.scrape { sample in
                sample.series[metric.query] =
                    aggregate == .rate ? .values(["": Double(i) * 10]) : .histograms(["": bucketed(i)])
                sample.details[metric.query] = SeriesDetails(presence: .shown, type: nil, isRepeated: false)
            }
        }
        let result = pages.look()
        #expect(result.verdict == .pass, "\(result.measurements)")
        #expect(result.measurements.first?.value != nil)
    }

    @Test("a gauge is shown in the unit of its bound, with the number of scrapes that were read")
    func units() throws {
        let metric = MetricCheck(
            series: "memory_bytes", aggregate: .max, max: 2_147_483_648, forScrapes: 3, unit: .bytes)
        var pages = Pages(.metric(metric))
        for _ in 0..<4 { pages.scrape(show(metric, ["": 1_610_612_736])) }
        let measurement = try #require(pages.look().measurements.first)
        #expect(measurement.words == "memory_bytes: 1.5 GiB (at most 2 GiB)" && measurement.candidateSamples == 3)
        for _ in 0..<3 { pages.scrape(show(metric, ["": .infinity])) }
        let words = try #require(pages.look().measurements.first?.words)
        #expect(words.hasPrefix("memory_bytes: beyond measure (at most 2147483648)"), "\(words)")
    }

    @Test("a check that only notifies is reported just the same")
    func notified() {
        var pages = Pages(.metric(Self.gauge), action: .notify)
        for _ in 0..<3 { pages.scrape(show(Self.gauge, [:], .unknown(nearest: nil))) }
        #expect(
            pages.texts == [
                "no series vllm:num_request_waiting in 3 scrapes of new, and none of a similar name: correct the check's series"
            ])
    }

    @Test("a labeled counter that appears with its first event is at 0 once its family was seen in three scrapes")
    func firstEvent() {
        var pages = Pages(.metric(Self.labeled))
        func show(_ value: Double?) -> (inout ScrapeSample) -> Void {
            self.show(Self.labeled, value.map { ["": $0] } ?? [:], value == nil ? .otherValues : .shown)
        }
        for _ in 0..<2 { pages.scrape(show(nil)) }
        #expect(pages.look().verdict == .noData)
        pages.scrape(show(nil))
        pages.now += 10 * Pages.second
        let result = pages.look()
        #expect(result.verdict == .pass && result.proven && result.measurements.first?.value == 0)
        #expect(pages.problems.isEmpty)
        for i in 1...4 {
            pages.scrape(baseline: show(nil), show(Double(i) * 100))
            pages.now += 10 * Pages.second
        }
        #expect(pages.look().measured == .fail)
    }

    @Test(
        "a family without the label, or without any sample, is no evidence of 0",
        arguments: [
            (SeriesPresence.withoutLabel("status"), ": its samples have no label status; correct the check's series"),
            (.declared, ": its family is declared and has no sample; if that means 0, write absent: zero in the check"),
        ])
    func otherFamily(presence: SeriesPresence, hint: String) {
        var pages = Pages(.metric(Self.labeled))
        for _ in 0..<4 { pages.scrape(show(Self.labeled, [:], presence)) }
        #expect(pages.look().fault == .missingSeries)
        #expect(pages.texts == ["no series \(Self.labeled.series) in 4 scrapes of new\(hint)"])
    }

    @Test("absent: zero takes the operator's word for it", arguments: [MetricAggregate.rate, .max])
    func absentIsZero(aggregate: MetricAggregate) {
        let metric = MetricCheck(series: "retries_total", aggregate: aggregate, max: 1, absent: .zero)
        var pages = Pages(.metric(metric))
        for _ in 0..<4 { pages.scrape(show(metric, [:], .unknown(nearest: nil))) }
        #expect(pages.look().verdict == .pass && pages.problems.isEmpty)
    }

    @Test("a counter without labels that vanished with its family is missing, not at 0")
    func vanished() {
        let metric = MetricCheck(series: "retries_total", aggregate: .rate, max: 1)
        var pages = Pages(.metric(metric), ThresholdLimits(window: .seconds(10)))
        for _ in 0..<4 { pages.scrape(show(metric, ["": 1])) }
        #expect(pages.look().verdict == .pass)
        for _ in 0..<6 { pages.scrape(show(metric, [:], .unknown(nearest: nil))) }
        #expect(pages.look().fault == .missingSeries)
    }

    @Test("one of several servers that lacks a series is named")
    func partly() {
        var pages = Pages(.metric(Self.gauge))
        let other = Endpoint(host: "new-2", port: 1)
        pages.series.setServers([Pages.servers[.candidate]!, other], of: .candidate, version: "new")
        for _ in 0..<3 {
            pages.scrape(show(Self.gauge, ["": 3]))
            var sample = ScrapeSample(at: pages.now)
            show(Self.gauge, [:], .unknown(nearest: nil))(&sample)
            pages.series.record(sample, of: other, arm: .candidate)
        }
        #expect(pages.look().verdict == .pass)
        #expect(
            pages.texts.first?.hasPrefix("no series vllm:num_request_waiting in 3 scrapes of new-2:1 of new") == true)
    }

    @Test("a gauge that is NaN now and then is an error, and fails where the other scrapes are beyond the bound")
    func notANumber() {
        var pages = Pages(.metric(Self.gauge))
        for value in [3, 3, .nan, 3] { pages.scrape(show(Self.gauge, ["": value])) }
        let result = pages.look()
        #expect(result.measured == .error && result.fault == .unusableSeries)
        let text = "vllm:num_request_waiting is not a number (NaN) in 1 of the last "
        #expect(result.measurements.first?.note == text + "3 scrapes of new")
        #expect(pages.texts == [text + "4 scrapes of new"])
        for _ in 0..<3 { pages.scrape(show(Self.gauge, ["a": 90, "b": .nan])) }
        pages.now += 10 * Pages.second
        #expect(pages.look().measured == .fail)
    }

    @Test("two checks that read the same series in two ways name its trouble once")
    func sameTrouble() {
        var pages = Pages(.metric(MetricCheck(series: "queue", aggregate: .max, max: 1)))
        pages.policies[0].checks.append(
            Check(name: "rate", kind: .metric(MetricCheck(series: "queue", aggregate: .rate, max: 1))))
        for _ in 0..<3 {
            pages.scrape { sample in
                for kind in [SeriesQuery.Kind.gauge, .counter] {
                    let query = SeriesQuery(selector: "queue", kind: kind)
                    sample.series[query] = .values(["": 1])
                    sample.details[query] = SeriesDetails(isRepeated: true)
                }
            }
        }
        #expect(pages.texts.count == 1 && pages.texts[0].contains("stands twice"))
    }

    @Test("a series that is written twice and a type that changes are named")
    func repeatedAndRetyped() {
        var pages = Pages(.metric(Self.gauge))
        pages.scrape(show(Self.gauge, ["": 3], type: "counter", isRepeated: true))
        #expect(
            pages.texts == [
                "vllm:num_request_waiting stands twice with the same labels on the page of new:1 of new; the first counts"
            ])
        pages.scrape(show(Self.gauge, ["": 3], type: "gauge"))
        #expect(pages.texts.count == 1 && pages.texts[0].contains("was declared a counter and then a gauge"))
    }

    @Test("timestamps that do not advance for a minute, are five minutes old or ten minutes ahead, are of another time")
    func timestamps() {
        let metric = MetricCheck(series: "retries_total", aggregate: .rate, max: 1)
        func page(_ timestamp: Double, age: Double) -> (inout ScrapeSample) -> Void {
            { sample in
                self.show(metric, ["": 1])(&sample)
                sample.page = PageState(newestTimestamp: timestamp, age: age)
            }
        }
        var still = Pages(.metric(metric))
        for i in 0..<13 {
            #expect(still.problems.isEmpty, "scrape \(i)")
            still.scrape(page(1e12, age: Double(i) * 5))
        }
        #expect(
            still.texts == ["the metrics page of new:1 stands still: its newest timestamp has been the same for 60 s"])
        #expect(still.look().fault == .unusableSeries)
        var old = Pages(.metric(metric))
        for i in 0..<3 { old.scrape(page(1e12 + Double(i) * 5000, age: 400)) }
        #expect(old.texts == ["the metrics page of new:1 is out of date: its newest timestamp is 400 s old"])
        var ahead = Pages(.metric(metric))
        ahead.scrape(page(1e13, age: -3e8))
        #expect(
            ahead.texts == [
                "the metrics page of new:1 is of another time: its newest timestamp is 300000000 s ahead of this machine's clock"
            ])
        #expect(ahead.look().fault == .unusableSeries)
        var fast = Pages(.metric(metric))
        for i in 0..<30 { fast.scrape(page(1e12 + Double(i) * 5000, age: -590)) }
        #expect(fast.problems.isEmpty)
        var live = Pages(.metric(metric))
        for i in 0..<30 { live.scrape(page(1e12 + Double(i) * 5000, age: 1)) }
        #expect(live.problems.isEmpty && live.look().verdict == .pass)
    }

    @Test(
        "a request counter that does not move while requests are answered is another server's; without requests it is idle"
    )
    func frozenRequests() {
        func page(_ requests: Double?) -> (inout ScrapeSample) -> Void {
            { sample in
                sample.requests = requests
                sample.errors = requests.map { _ in 0 }
                sample.page.counters = requests.map { UInt64($0) }
            }
        }
        var frozen = Pages(.errors(ErrorsCheck(max: 0.01, from: .scrape)))
        for _ in 0..<6 { frozen.scrape(page(1000)) }
        let result = frozen.look()
        #expect(result.measured == .error && result.fault == .unusableSeries)
        #expect(frozen.texts.count == 1 && frozen.texts[0].contains("its request counter did not move in 6 scrapes"))
        var idle = Pages(.errors(ErrorsCheck(max: 0.01, from: .scrape)))
        for _ in 0..<6 { idle.scrape(requests: 0, page(1000)) }
        #expect(idle.problems.isEmpty && idle.look().measured == .noData)
        var moving = Pages(.errors(ErrorsCheck(max: 0.01, from: .scrape)))
        for i in 0..<6 { moving.scrape(page(1000 + Double(i) * 50)) }
        #expect(moving.problems.isEmpty && moving.look().measured == .pass)
        // A preset that is not the server's.
        var foreign = Pages(.errors(ErrorsCheck(max: 0.01, from: .scrape)))
        for _ in 0..<6 { foreign.scrape(page(nil)) }
        #expect(foreign.look().fault == .unusableSeries)
        #expect(foreign.texts.count == 1 && foreign.texts[0].contains("none of its preset's request counters"))
    }

    @Test(
        "counters that all stand still while requests are answered are named, and hold nothing: they may count what is rare"
    )
    func stillCounters() {
        let metric = MetricCheck(series: "retries_total", aggregate: .rate, max: 1)
        var pages = Pages(.metric(metric))
        for _ in 0..<6 {
            pages.scrape { sample in
                show(metric, ["": 2])(&sample)
                sample.page.counters = 7
            }
        }
        #expect(pages.look().verdict == .pass)
        #expect(
            pages.texts.count == 1
                && pages.texts[0].hasPrefix("no counter on the metrics page of new moved in 6 scrapes"))
    }

    @Test("a series of the preset that stands twice is named while it does")
    func repeatedPresetSeries() {
        var pages = Pages(.errors(ErrorsCheck(max: 0.01, from: .scrape)))
        pages.scrape { ($0.requests, $0.repeatedSeries) = (1, "requests_total") }
        #expect(
            pages.texts == [
                "requests_total stands twice with the same labels on the page of new:1 of new; the first counts"
            ])
        pages.scrape { $0.requests = 1 }
        #expect(pages.problems.isEmpty)
    }

    @Test("a model that the server does not show is named")
    func remark() {
        var pages = Pages(.errors(ErrorsCheck(max: 0.01, from: .scrape)))
        pages.scrape { $0.remark = "the server shows no model incme, but income; correct metrics.model" }
        #expect(pages.texts == ["new:1 of new: the server shows no model incme, but income; correct metrics.model"])
        pages.scrape { $0.requests = 1 }
        #expect(pages.problems.isEmpty)
    }

    @Test("details of one scrape are kept once, however many scrapes there are")
    func memory() {
        var pages = Pages(.metric(Self.gauge))
        for _ in 0..<20 { pages.scrape(show(Self.gauge, [:], .unknown(nearest: "x"))) }
        let samples = pages.series.histories[.candidate]!.values.flatMap(\.samples)
        #expect(samples.count == 20 && samples.allSatisfy { $0.details.isEmpty })
    }
}

@Suite("Bounds between two bucket edges", .timeLimit(.minutes(15)))
struct BucketEdgeTests {
    private static let edges = [0.05, 0.1, 0.25, .infinity]

    /// - Parameter counts: observations by bucket, a scrape's worth.
    private func look(_ kind: CheckKind, candidate: [Double], baseline: [Double] = [1000, 0, 0, 0])
        -> Analysis.Measurement
    {
        var pages = Pages(kind)
        func cumulative(_ counts: [Double], _ times: Double) -> CumulativeHistogram {
            var sum = 0.0
            let counts = counts.map { count in
                sum += count * times
                return sum
            }
            return CumulativeHistogram(bounds: Self.edges, counts: counts)
        }
        func page(_ counts: [Double], _ times: Double) -> (inout ScrapeSample) -> Void {
            { sample in
                let histogram = cumulative(counts, times)
                sample.requests = histogram.total
                sample.errors = 0
                sample.latency = .histogram(histogram)
                if case .metric(let metric) = kind { sample.series[metric.query] = .histograms(["": histogram]) }
            }
        }
        for i in 0..<4 { pages.scrape(baseline: page(baseline, Double(i)), page(candidate, Double(i))) }
        return pages.look().measurements[0]
    }

    private func latency(max: Int? = nil, maxIncrease: Double? = nil) -> CheckKind {
        .latency(
            LatencyCheck(
                quantile: 0.95, max: max.map { .milliseconds($0) }, maxIncrease: maxIncrease, from: .scrape))
    }

    @Test("what is beyond the upper edge fails")
    func beyond() {
        #expect(look(latency(max: 120), candidate: [0, 0, 0, 1000]).verdict == .fail)
        #expect(look(latency(max: 120), candidate: [500, 300, 0, 200]).verdict == .fail)
    }

    @Test("what is within the lower edge passes")
    func within() {
        #expect(look(latency(max: 120), candidate: [0, 1000, 0, 0]).verdict == .pass)
        #expect(look(latency(max: 120), candidate: [500, 460, 40, 0]).verdict == .pass)
    }

    @Test("between them both edges are named, and the shares that are beyond")
    func between() {
        let m = look(latency(max: 120), candidate: [0, 200, 800, 0])
        #expect(m.verdict == .inconclusive)
        #expect(
            m.note
                == "120 ms lies between the bucket edges 100 ms and 250 ms; 80% took longer than 100 ms; 0% longer than "
                + "250 ms; only an edge can be judged: write 100 ms or 250 ms as the bound")
        let above = look(latency(max: 2000), candidate: [0, 0, 0, 1000])
        #expect(above.verdict == .inconclusive && above.note.contains("above the highest bucket edge, 250 ms"))
        let below = look(latency(max: 20), candidate: [1000, 0, 0, 0])
        #expect(below.verdict == .inconclusive && below.note.contains("below the lowest bucket edge, 50 ms"))
        #expect(look(latency(max: 20), candidate: [0, 1000, 0, 0]).verdict == .fail)
    }

    @Test("on an edge nothing is uncertain but chance")
    func onEdge() {
        #expect(look(latency(max: 100), candidate: [0, 200, 800, 0]).verdict == .fail)
        #expect(look(latency(max: 100), candidate: [0, 960, 40, 0]).verdict == .pass)
        #expect(look(latency(max: 250), candidate: [0, 200, 0, 800]).verdict == .fail)
        let chance = look(latency(max: 100), candidate: [0, 948, 52, 0])
        #expect(chance.verdict == .inconclusive && chance.note.contains("less than two standard errors"))
        #expect(CumulativeHistogram(bounds: [0.1 * 3, .infinity], counts: [0, 0]).span(around: 0.3) == nil)
    }

    @Test("against the baseline a candidate like it passes, and one that cannot be told says why")
    func increase() {
        let slow = [0.0, 200, 800, 0]
        #expect(look(latency(maxIncrease: 0.1), candidate: slow, baseline: slow).verdict == .pass)
        let fast = [0.0, 1000, 0, 0]
        #expect(look(latency(maxIncrease: 0.1), candidate: [0, 200, 0, 800], baseline: fast).verdict == .fail)
        // 265 ms: of what took longer than the highest edge nothing more is known.
        let beyond = look(latency(maxIncrease: 0.1), candidate: [0, 200, 0, 800], baseline: slow)
        #expect(beyond.verdict == .inconclusive && beyond.note.contains("above the highest bucket edge, 250 ms"))
        let m = look(latency(maxIncrease: 0.01), candidate: [0, 100, 900, 0], baseline: [0, 900, 100, 0])
        #expect(
            m.verdict == .inconclusive && m.note.contains("between the bucket edges 100 ms and 250 ms"), "\(m.words)")
    }

    @Test("a quantile of any histogram is judged by its whole bucket")
    func metric() {
        func check(max: Double? = nil, min: Double? = nil) -> CheckKind {
            .metric(MetricCheck(series: "queue_seconds", aggregate: .quantile(0.95), max: max, min: min))
        }
        #expect(look(check(max: 0.12), candidate: [0, 0, 0, 1000]).verdict == .fail)
        #expect(look(check(max: 0.12), candidate: [0, 1000, 0, 0]).verdict == .pass)
        let m = look(check(max: 0.12), candidate: [0, 0, 1000, 0])
        #expect(m.verdict == .inconclusive && m.note.contains("between the bucket edges 0.1 and 0.25"))
        #expect(look(check(min: 0.08), candidate: [1000, 0, 0, 0]).verdict == .fail)
        #expect(look(check(min: 0.08), candidate: [0, 1000, 0, 0]).verdict == .inconclusive)
        #expect(look(check(min: 0.08), candidate: [0, 0, 1000, 0]).verdict == .pass)
        #expect(look(check(max: 0.25), candidate: [0, 200, 0, 800]).verdict == .fail)
        #expect(look(check(max: 0.3), candidate: [0, 200, 0, 800]).verdict == .inconclusive)
        // Everything may be exactly at the edge.
        #expect(look(check(min: 0.1), candidate: [0, 1000, 0, 0]).verdict == .inconclusive)
        #expect(look(check(max: 0.12), candidate: [0, 0, 0, 1]).verdict == .noData)
    }

    @Test("the edges are named after the first scrape, before a verdict depends on them")
    func problems() {
        var pages = Pages(latency(max: 120))
        pages.scrape { $0.latency = .histogram(CumulativeHistogram(bounds: Self.edges, counts: [0, 0, 0, 0])) }
        #expect(
            pages.texts == [
                "p/c: the bound of 120 ms lies between the bucket edges 100 ms and 250 ms of new: only an edge can be "
                    + "judged: write 100 ms or 250 ms as the bound"
            ])
        #expect(!pages.problems.contains { $0.isAlarm })
    }
}
