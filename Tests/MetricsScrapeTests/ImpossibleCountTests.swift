import Analysis
import PrometheusText
import Testing

@testable import MetricsScrape

/// Numbers that no counter can have: the page is refused, with a reason that names the series.
@Suite("Impossible counts on a metrics page", .timeLimit(.minutes(15)))
struct ImpossibleCountTests {
    private func read(_ preset: String?, _ lines: [String], queries: Set<SeriesQuery> = []) throws -> ScrapeSample {
        let text = lines.joined(separator: "\n") + "\n"
        return try SampleReader(preset: preset.flatMap(MetricsPreset.named), queries: queries)
            .read(try ExpositionParser.parse([UInt8](text.utf8)), at: 1)
    }

    private func refusal(_ preset: String, _ lines: [String]) -> String? {
        do {
            _ = try read(preset, lines)
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test(
        "a request counter that is no count",
        arguments: ["-1", "30000000000000000000", "1e308", "+Inf", "-Inf", "NaN", "9007199254740994"])
    func counter(value: String) throws {
        let why = try #require(
            refusal(
                "triton",
                [#"nv_inference_request_success{model="a"} 7"#, #"nv_inference_request_success{model="b"} \#(value)"#]))
        #expect(why.hasPrefix("nv_inference_request_success is "))
        #expect(why.hasSuffix(", which is no count: counts are from 0 to 9007199254740992"))
        #expect(refusal("triton", ["nv_inference_request_failure \(value)"]) != nil)
    }

    @Test("counters that are counts one by one and not together")
    func sum() {
        let lines = (0..<9).map { #"nv_inference_request_success{model="\#($0)"} 9007199254740992"# }
        #expect(refusal("triton", Array(lines.prefix(1))) == nil)
        #expect(refusal("triton", lines)?.hasPrefix("the sum of nv_inference_request_success is 8.1") == true)
    }

    @Test("a latency bucket that is no count", arguments: ["-3", "3e19", "+Inf", "NaN"])
    func bucket(value: String) throws {
        let lines = [
            #"reference_requests_total{code="200"} 4"#,
            #"reference_request_duration_seconds_bucket{le="0.1"} \#(value)"#,
            #"reference_request_duration_seconds_bucket{le="+Inf"} 4"#,
        ]
        let why = try #require(refusal("reference", lines))
        #expect(why.contains("reference_request_duration_seconds_bucket") && why.contains("no count"))
    }

    @Test("a series of a check: only this check is without evidence, the page is read")
    func query() throws {
        let counter = SeriesQuery(selector: "retries_total", kind: .counter)
        let histogram = SeriesQuery(selector: "h", kind: .histogram)
        let sample = try read(
            "triton",
            [
                "nv_inference_request_success 5", #"retries_total{a="1"} 2"#, #"retries_total{a="2"} -2"#,
                #"h_bucket{le="1"} 3e19"#, #"h_bucket{le="+Inf"} 3e19"#,
            ], queries: [counter, histogram])
        #expect(sample.requests == 5)
        #expect(sample.series[counter] == .unavailable("retries_total is -2.0, which no counter can be"))
        #expect(
            sample.series[histogram]
                == .unavailable("h_bucket is 3e+19, which is no count: counts are from 0 to 9007199254740992"))
    }

    @Test("one bound written in two ways is one bucket, and a bucket at -Inf is none")
    func bounds() throws {
        let query = SeriesQuery(selector: "h", kind: .histogram)
        let sample = try read(
            nil,
            [
                #"h_bucket{le="-Inf"} 0"#, #"h_bucket{le="1"} 2"#, #"h_bucket{le="1.0"} 3"#, #"h_bucket{le="Inf"} 4"#,
                #"h_bucket{le="+Inf"} 4"#,
            ], queries: [query])
        #expect(
            sample.series[query]
                == .histograms(["": CumulativeHistogram(bounds: [1, .infinity], counts: [3, 4])]))
    }
}
