// The evaluation: metrics pages with extreme numbers through the parser, the reader, the window and the judges. Built
// by scripts/fuzz with these modules; no SwiftPM target.

import Analysis
import Glibc
import PolicyModel
import PrometheusText

/// Interprets the fuzzer's bytes as scrapes of both arms, so that nearly every input reaches the judge.
private struct Script {
    let bytes: UnsafeBufferPointer<UInt8>
    var place = 0

    var isAtEnd: Bool { place >= bytes.count }

    mutating func byte() -> UInt8 {
        guard place < bytes.count else { return 0 }
        defer { place += 1 }
        return bytes[place]
    }

    mutating func bits() -> UInt64 { (0..<8).reduce(0) { bits, _ in bits << 8 | UInt64(byte()) } }

    /// A counter's or a gauge's next value: mostly a small step up, sometimes a number at the end of some range.
    mutating func value(after last: Double) -> Double {
        let choice = byte()
        switch choice {
        case 0..<160: return last.isFinite && last >= 0 ? last + Double(choice) : Double(choice)
        case 160..<180: return last
        case 180..<190: return Double(bitPattern: bits())
        default: return extremes[Int(choice) % extremes.count]
        }
    }
}

private let extremes: [Double] = [
    0, -0.0, 1, -1, .nan, .infinity, -.infinity, 3e19, -3e19, 1e308, -1e308, 0x1p53, 0x1p53 + 2, 0x1p62, 0x1p63, 0x1p64,
    .greatestFiniteMagnitude, .leastNonzeroMagnitude, 0.5, 1e15,
]

/// The series that a page shows.
private struct Layout {
    var counters: [[UInt8]]
    /// The name of the first counter, without labels.
    var firstFamily: [UInt8]
    /// The start of the histogram's lines, up to the bound.
    var histogram: [UInt8]

    init(_ counters: [String], histogram: String) {
        self.counters = counters.map { Array($0.utf8) }
        firstFamily = Array(counters[0].utf8.prefix { $0 != UInt8(ascii: "{") })
        self.histogram = Array("\(histogram)_bucket{le=\"".utf8)
    }
}

/// The series of each preset, then those that the metric checks ask for.
private let layouts = [
    Layout(
        [
            #"nv_inference_request_success{model="a"}"#, #"nv_inference_request_success{model="b"}"#,
            "nv_inference_request_failure",
        ], histogram: "nv_inference_request_duration_seconds"),
    Layout(
        [#"reference_requests_total{code="200"}"#, #"reference_requests_total{code="500"}"#, "reference_queue_depth"],
        histogram: "reference_request_duration_seconds"),
    Layout(
        [
            #"retries_total{handler="/a"}"#, #"retries_total{handler="/b"}"#, "queue_length", #"queue_length{gpu="0"}"#,
        ], histogram: "waiting_seconds"),
]
private let bounds = ["-Inf", "1e-300", "0.1", "0.10", "0.5", "1e308", "Inf", "+Inf"].map { Array($0.utf8) }
private let types = ["counter", "gauge", "histogram", "untyped"].map { Array($0.utf8) }

/// What one server shows.
private struct Page {
    var counters = [Double](repeating: 0, count: 4)
    var buckets = [Double](repeating: 0, count: bounds.count)
    var text: [UInt8] = []

    /// - Parameter hidden: bits of the series that no page of this input shows.
    mutating func render(_ layout: Layout, hidden: UInt8, _ script: inout Script) {
        text.removeAll(keepingCapacity: true)
        let change = script.byte()
        if change & 8 != 0 {
            text += "# TYPE ".utf8
            text += layout.firstFamily
            text.append(UInt8(ascii: " "))
            text += types[Int(script.byte()) % types.count]
            text.append(UInt8(ascii: "\n"))
        }
        // Explicit timestamps, in milliseconds: old, equal, of the future, or at the ends of their range.
        let timestamp: Int64? =
            change & 0x30 == 0x30
            ? (change & 0x40 == 0 ? Int64(script.byte()) * 1_000 : Int64(bitPattern: script.bits())) : nil
        for place in layout.counters.indices where hidden >> UInt8(place) & 1 == 0 {
            counters[place] = script.value(after: counters[place])
            line(layout.counters[place], counters[place], timestamp)
        }
        // A duplicate with another value.
        if change & 1 != 0 { line(layout.counters[0], script.value(after: counters[0]), timestamp) }
        guard hidden & 0x80 == 0 else { return }
        // Usually three buckets; others where the script changes the bounds.
        let shown = change & 2 == 0 ? 0b1001_0100 : script.byte()
        for place in bounds.indices where shown >> UInt8(place) & 1 != 0 {
            buckets[place] = script.value(after: buckets[place])
            line(layout.histogram + bounds[place] + Array(#""}"#.utf8), buckets[place], timestamp)
        }
    }

    private mutating func line(_ start: [UInt8], _ value: Double, _ timestamp: Int64?) {
        text += start
        text.append(UInt8(ascii: " "))
        if value.isNaN {
            text += "NaN".utf8
        } else if value.isInfinite {
            text += (value < 0 ? "-Inf" : "+Inf").utf8
        } else {
            text += value.description.utf8
        }
        if let timestamp {
            text.append(UInt8(ascii: " "))
            text += timestamp.description.utf8
        }
        text.append(UInt8(ascii: "\n"))
    }
}

/// One of the two is judged at a time: that keeps an input cheap.
private let policies: [[Policy]] = [
    [
        Policy(
            name: "p",
            checks: [
                Check(
                    name: "errors", kind: .errors(ErrorsCheck(max: 0.05, maxIncrease: 0.5, floor: 0.01, from: .scrape)),
                    limits: limits),
                Check(
                    name: "latency",
                    kind: .latency(
                        LatencyCheck(quantile: 0.95, max: .milliseconds(500), maxIncrease: 0.3, from: .scrape)),
                    limits: limits),
            ])
    ],
    [
        Policy(
            name: "p",
            checks: [
                Check(
                    name: "rate", kind: .metric(MetricCheck(series: "retries_total", aggregate: .rate, max: 5)),
                    limits: limits),
                Check(
                    name: "increase",
                    kind: .metric(MetricCheck(series: "retries_total", aggregate: .rate, maxIncrease: 0.5)),
                    limits: limits),
                Check(
                    name: "quantile",
                    kind: .metric(MetricCheck(series: "waiting_seconds", aggregate: .quantile(0.9), max: 2)),
                    limits: limits
                ),
                Check(
                    name: "mean",
                    kind: .metric(MetricCheck(series: "queue_length", aggregate: .mean, max: 100, min: -5)),
                    limits: limits),
                Check(
                    name: "sum",
                    kind: .metric(
                        MetricCheck(series: "queue_length", aggregate: .sum, maxIncrease: 0.5, forScrapes: 2)),
                    limits: limits),
            ])
    ],
]
private let limits = ThresholdLimits(
    interval: .seconds(5), window: .seconds(60), minSamples: 3, failureLimit: 1, inconclusiveLimit: 3,
    consecutiveErrorLimit: 1)
private let queries = Set(
    policies[1][0].checks.compactMap { check in if case .metric(let metric) = check.kind { metric.query } else { nil } }
)
/// The reader of each layout.
private let readers = [
    SampleReader(preset: MetricsPreset.named("triton"), queries: []),
    SampleReader(preset: MetricsPreset.named("reference"), queries: []),
    SampleReader(preset: MetricsPreset.named("reference"), queries: queries),
]
/// The numbers of pages that an input chooses from, mostly few, which keeps it cheap.
private let rounds = [2, 2, 3, 5]
private let servers = [Endpoint(host: "a", port: 1), Endpoint(host: "b", port: 2)]
private let sequential = policies.map { SequentialJudge($0, risk: Risk(), isKeyed: false) }
private let second: Int64 = 1_000_000_000

nonisolated(unsafe) private var inputs = 0
nonisolated(unsafe) private var judged = 0

@_cdecl("LLVMFuzzerInitialize")
public func initialize(_: UnsafePointer<CInt>, _: UnsafePointer<UnsafePointer<UnsafePointer<CChar>>>) -> CInt {
    atexit { print("reached the judge: \(judged) of \(inputs)") }
    return 0
}

/// An input reaches the judge where both arms have growth to compare when it evaluates.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzEvaluation(_ input: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    inputs += 1
    var script = Script(bytes: UnsafeBufferPointer(start: input, count: size))
    let plan = script.byte()
    let hidden = script.byte()
    let place = plan & 0x80 == 0 ? Int(plan & 1) : 2
    let reader = readers[place]
    let layout = layouts[place]
    let servers = servers.prefix(plan & 0x30 == 0x30 ? 2 : 1)
    var pages = [Page](repeating: Page(), count: 2 * servers.count)
    var window = SeriesWindow()
    for arm in [Arm.baseline, .candidate] { window.setServers(Array(servers), of: arm) }
    var now: Int64 = 0
    for _ in 0..<rounds[Int(plan >> 1 & 3)] {
        now += (plan & 8 == 0 ? 5 : Int64(script.byte()) + 1) * second
        for (place, server) in servers.enumerated() {
            for arm in [Arm.baseline, .candidate] {
                let page = place * 2 + Int(arm.rawValue)
                pages[page].render(layout, hidden: hidden, &script)
                do {
                    let sample = try reader.read(ExpositionParser.parse(pages[page].text), at: now)
                    check(sample)
                    window.record(sample, of: server, arm: arm)
                } catch {
                    window.recordFailure("\(error)", at: now, of: server, arm: arm)
                }
            }
        }
    }
    if window.deltas(from: now - 60 * second, to: now) != nil { judged += 1 }
    let snapshot = WindowSnapshot(
        observations: ObservationWindow(retention: .seconds(60), startedAt: 0), series: window)
    let results: [CheckResult]
    let policies = policies[Int(plan >> 7)]
    if plan & 0x40 == 0 {
        var judge = ThresholdJudge()
        results = judge.evaluate(policies, snapshot, now: now)
    } else {
        var judge = sequential[Int(plan >> 7)]
        results = judge.evaluate(policies, snapshot, now: now)
    }
    for result in results { check(result) }
    return 0
}

/// What the reader lets through is a count.
private func check(_ sample: ScrapeSample) {
    for count in [sample.requests, sample.errors] {
        if let count, !(0...Proportion.largestCount).contains(count) { fatalError("\(count) requests") }
    }
    if case .histogram(let histogram) = sample.latency {
        if let count = histogram.impossibleCount { fatalError("\(count) in a bucket") }
        guard zip(histogram.bounds, histogram.bounds.dropFirst()).allSatisfy({ $0 < $1 }),
            zip(histogram.counts, histogram.counts.dropFirst()).allSatisfy({ $0 <= $1 })
        else { fatalError("a histogram out of order") }
    }
}

/// A verdict rests on numbers that can be compared, and everything that is said of it can be put into words.
private func check(_ result: CheckResult) {
    guard !result.verdictWords.isEmpty else { fatalError("a verdict without words") }
    for m in result.measurements {
        switch m.verdict {
        case .pass, .fail:
            guard m.value?.isNaN != true, !m.bound.isNaN else { fatalError("\(m.verdict) of \(m)") }
            if m.unit != .plain, m.value == nil { fatalError("\(m.verdict) without a value: \(m)") }
        case .error, .noData:
            if m.note.isEmpty { fatalError("\(m.verdict) without a reason: \(m)") }
        case .inconclusive: break
        }
        let largest = UInt64(Proportion.largestCount)
        guard m.candidateSamples <= largest, m.baselineSamples <= largest else { fatalError("samples: \(m)") }
        _ = m.value.map { Measurement.format($0, m.unit) }
    }
}
