import Analysis
import FoundationEssentials
import PolicyModel
import PrometheusText
import Testing

@testable import MetricsScrape

@Suite("Presets on scrapes of real servers", .timeLimit(.minutes(15)))
struct PresetTests {
    @Test("MLServer: 50 requests, 5 failed, the histogram holds the 45 that were answered", arguments: [nil, "income"])
    func mlserver(model: String?) throws {
        let sample = try presetSample("mlserver", "mlserver.txt", model: model)
        #expect(sample.at == 7 && sample.requests == 50 && sample.errors == 5 && sample.queue == 0)
        #expect(sample.saturation == nil && sample.latencyExcludesErrors)
        guard case .histogram(let latency) = sample.latency else {
            Issue.record("no histogram: \(sample.latency)")
            return
        }
        #expect(latency.total == 45 && latency.bounds.count == 15)
        #expect(latency.counts[0] == 45 && latency.bounds[0] == 0.005)
        #expect(latency.quantile(0.5)?.upper == 0.005)
        #expect(latency.quantile(0.95, slower: 5)?.isLowerBound == true)
    }

    @Test("MLServer with several models: the histogram does not name the model, so the latency is unavailable")
    func severalModels() throws {
        let text = """
            model_infer_request_success_total{model="a"} 4
            model_infer_request_success_total{model="b"} 6
            rest_server_request_duration_seconds_bucket{le="+Inf",path="/v2/models/{model_name}/infer",status_code="200"} 10

            """
        let sample = try presetSample("mlserver", [UInt8](text.utf8), model: "a")
        #expect(sample.requests == 4 && sample.errors == 0)
        #expect(
            sample.latency
                == .unavailable(
                    "rest_server_request_duration_seconds does not name the model, and this server carries several; "
                        + "use from: proxy"))
    }

    @Test("a model that leaves a page is no reset of the others, from the page to the window")
    func modelThatLeaves() throws {
        func page(_ models: [String: (requests: Int, failures: Int)]) -> [UInt8] {
            let lines = models.map { name, counts in
                """
                reference_requests_total{model="\(name)",code="200"} \(counts.requests - counts.failures)
                reference_requests_total{model="\(name)",code="500"} \(counts.failures)
                reference_request_duration_seconds_bucket{model="\(name)",le="0.1"} \(counts.requests)
                reference_request_duration_seconds_bucket{model="\(name)",le="+Inf"} \(counts.requests)

                """
            }
            return [UInt8](lines.joined().utf8)
        }
        let reader = SampleReader(preset: .named("reference"))
        var window = SeriesWindow()
        for (place, models) in [
            ["a": (5_000, 900), "b": (100, 1)], ["b": (110, 2)], ["a": (5_001, 900), "b": (111, 2)],
        ].enumerated() {
            let sample = try reader.read(try ExpositionParser.parse(page(models)), at: Int64(place))
            window.record(sample, of: Endpoint(host: "h", port: 1), arm: .candidate)
        }
        let growth = try #require(window.delta(of: .candidate, from: 0, to: 2))
        #expect(growth.requests == 12 && growth.errors == 1)
        guard case .histogram(let latency) = growth.latency else {
            Issue.record("no histogram: \(growth.latency)")
            return
        }
        #expect(latency.total == 12)
    }

    @Test("Triton: 41 successes and 13 failures; its page has no latency histogram", arguments: [nil, "income"])
    func triton(model: String?) throws {
        let sample = try presetSample("triton", "triton.txt", model: model)
        #expect(sample.requests == 54 && sample.errors == 13 && sample.queue == 0 && sample.saturation == nil)
        guard case .unavailable(let reason) = sample.latency else {
            Issue.record("a mean is no histogram: \(sample.latency)")
            return
        }
        #expect(reason.contains("nv_inference_request_duration_us"))
    }

    @Test("BentoML: 45 answered and 5 failed, without the probe")
    func bentoml() throws {
        let sample = try presetSample("bentoml", "bentoml.txt", model: "Income")
        #expect(sample.requests == 50 && sample.errors == 5 && sample.queue == 0)
        guard case .histogram(let latency) = sample.latency else {
            Issue.record("no histogram: \(sample.latency)")
            return
        }
        #expect(latency.total == 45)
    }

    @Test("the reference server: 4xx are apart, every 5xx is an error")
    func reference() throws {
        var writer = ExpositionWriter()
        writer.family("reference_requests_total", .counter, "Requests.")
        for (code, count) in [("200", 90), ("400", 7), ("500", 3), ("503", 2)] {
            writer.sample("reference_requests_total", [("model", "income"), ("code", code)], value: count)
        }
        writer.sample("reference_requests_total", [("model", "other"), ("code", "200")], value: 1000)
        writer.family("reference_request_duration_seconds", .histogram, "Durations.")
        writer.histogram(
            "reference_request_duration_seconds", [("model", "income")], bounds: [0.01, 0.1], counts: [90, 5, 0], sum: 1
        )
        writer.family("reference_queue_depth", .gauge, "Waiting.")
        writer.sample("reference_queue_depth", [("model", "income")], value: 4)
        let sample = try presetSample("reference", writer.bytes, model: "income")
        #expect(sample.requests == 95 && sample.errors == 5 && sample.queue == 4)
        #expect(
            sample.latency == .histogram(CumulativeHistogram(bounds: [0.01, 0.1, .infinity], counts: [90, 95, 95])))
    }

    @Test("an idle server has no data, which is not zero")
    func idle() throws {
        let idle = try presetSample("mlserver", [UInt8]("# TYPE model_infer_request_success_total counter\n".utf8))
        #expect(idle.requests == nil && idle.errors == nil && idle.latency == .noData && idle.queue == nil)
    }

    @Test("a model that the server does not show is named beside those that it shows")
    func unknownModel() throws {
        let sample = try presetSample("triton", "triton.txt", model: "incme")
        #expect(sample.requests == nil && sample.errors == nil)
        #expect(sample.remark == "the server shows no model incme, but income; correct metrics.model")
        #expect(try presetSample("triton", "triton.txt", model: "income").remark == nil)
        #expect(try presetSample("triton", [], model: "income").remark == nil)
        let many = (0..<9).map { "nv_inference_request_success{model=\"m\($0)\"} 1\n" }.joined()
        #expect(
            try presetSample("triton", [UInt8](many.utf8), model: "x").remark
                == "the server shows no model x, but m0, m1, m2, m3, m4, …; correct metrics.model")
    }

    @Test("if a page repeats a series of the preset, the first counts, and the series is named")
    func repeated() throws {
        let page = """
            nv_inference_request_success{model="m",version="1"} 5
            nv_inference_request_success{version="1",model="m"} 900
            nv_inference_request_success{model="m",version="2"} 2
            nv_inference_request_failure{model="m",version="1"} 1

            """
        let twice = try presetSample("triton", [UInt8](page.utf8))
        #expect(twice.requests == 8 && twice.errors == 1)
        #expect(twice.repeatedSeries == "nv_inference_request_success")
        #expect(try presetSample("triton", "triton.txt").repeatedSeries == nil)
    }

    @Test("wanted series come as values or histograms by their labels, or with the reason why not")
    func queries() throws {
        let text = """
            g{b="2",a="1"} 5
            g{a="2"} 6
            h_bucket{le="1"} 2
            h_bucket{le="+Inf"} 3

            """
        func reading(_ selector: String, _ kind: SeriesQuery.Kind) throws -> SeriesReading? {
            let query = SeriesQuery(selector: selector, kind: kind)
            return try presetSample("triton", [UInt8](text.utf8), queries: [query]).series[query]
        }
        #expect(try reading("g", .gauge) == .values([#"a="1",b="2""#: 5, #"a="2""#: 6]))
        #expect(try reading(#"g{a!="1"}"#, .counter) == .values([#"a="2""#: 6]))
        #expect(try reading("nothing", .gauge) == .values([:]))
        #expect(
            try reading("h", .histogram)
                == .histograms(["": CumulativeHistogram(bounds: [1, .infinity], counts: [2, 3])]))
        #expect(
            try reading("g", .histogram)
                == .unavailable("g is no histogram: it has no buckets to read a quantile from"))
        #expect(
            try reading("h", .gauge)
                == .unavailable("h is a histogram: use a quantile, or name its _sum or _count"))
        #expect(
            try reading("g{", .gauge)
                == .unavailable("expected a label name or }, found the end of the line in the series g{"))
    }

    @Test("a query that matches too many series is refused")
    func tooMany() throws {
        let query = SeriesQuery(selector: "g", kind: .gauge)
        func reading(_ count: Int) throws -> SeriesReading? {
            let text = (0..<count).map { "g{i=\"\($0)\"} 1\n" }.joined()
            return try presetSample("triton", [UInt8](text.utf8), queries: [query]).series[query]
        }
        #expect(try reading(257) == .unavailable("it matches 257 series, more than 256: add label conditions"))
        guard case .values(let values) = try reading(256) else {
            Issue.record("256 series are allowed")
            return
        }
        #expect(values.count == 256)
    }
}

@Suite("Scrape targets", .timeLimit(.minutes(15)))
struct ScrapeTargetTests {
    private let servers = [Endpoint(host: "10.0.0.1", port: 8000), Endpoint(host: "::1", port: 8001)]

    private func urls(_ source: MetricsSource) throws -> [String] {
        try ScrapeTarget.targets(
            service: "income", version: VersionIdentity(name: "v1"), servers: servers, source: source
        ).map(\.url)
    }

    @Test("port and path come from the preset, unless the file has its own")
    func addresses() throws {
        #expect(try urls(MetricsSource()) == ["http://10.0.0.1:8000/metrics", "http://[::1]:8001/metrics"])
        #expect(
            try urls(MetricsSource(preset: "triton")) == ["http://10.0.0.1:8002/metrics", "http://[::1]:8002/metrics"])
        #expect(try urls(MetricsSource(preset: "mlserver"))[0] == "http://10.0.0.1:8082/metrics")
        #expect(try urls(MetricsSource(preset: "bentoml"))[0] == "http://10.0.0.1:8000/metrics")
        #expect(
            try urls(MetricsSource(preset: "triton", path: "/m?x=1", port: 9))[0] == "http://10.0.0.1:9/m?x=1")
        #expect(
            try urls(MetricsSource(preset: "tf-serving"))[0]
                == "http://10.0.0.1:8000/monitoring/prometheus/metrics")
        #expect(try urls(MetricsSource(preset: "ray-serve"))[0] == "http://10.0.0.1:8080/metrics")
    }

    @Test("a page of one model is asked for with the model in its query")
    func modelParameter() throws {
        let llamacpp = "http://10.0.0.1:8000/metrics"
        #expect(try urls(MetricsSource(preset: "llamacpp"))[0] == llamacpp)
        #expect(
            try urls(MetricsSource(preset: "llamacpp", model: "qwen-3.5_a~b"))[0] == llamacpp + "?model=qwen-3.5_a~b")
        #expect(
            try urls(MetricsSource(preset: "llamacpp", model: "a/b c&d=é#"))[0]
                == llamacpp + "?model=a%2Fb%20c%26d%3D%C3%A9%23")
        #expect(
            try urls(MetricsSource(preset: "llamacpp", path: "/metrics?model=x", model: "y"))[0]
                == llamacpp + "?model=x")
    }

    @Test("an unknown preset is named beside the known ones")
    func unknown() {
        let error = #expect(throws: UnknownPreset.self) { try urls(MetricsSource(preset: "trition")) }
        #expect(
            error?.description
                == "unknown metrics preset trition: there are reference, triton, mlserver, bentoml, vllm, sglang, tgi, "
                + "llamacpp, trtllm, nim, dynamo, ray-serve, kserve, torchserve, tf-serving, ovms, fastapi")
    }

    @Test("targets are spread over the interval, each at the same place in every interval")
    func spread() {
        let targets = (0..<100).map { number in
            ScrapeTarget(
                service: "s", version: VersionIdentity(name: "v"), server: servers[0],
                metrics: Endpoint(host: "10.0.0.\(number)", port: 80))
        }
        let period: Int64 = 5_000_000_000
        for target in targets {
            let first = target.due(after: 12_345_678_901)
            #expect(first > 12_345_678_901 && first <= 12_345_678_901 + period)
            #expect(target.due(after: first) == first + period)
            #expect(target.due(after: first - 1) == first)
        }
        let tenths = Set(targets.map { $0.offset * 10 / period })
        #expect(tenths == Set(0..<10))
    }
}
