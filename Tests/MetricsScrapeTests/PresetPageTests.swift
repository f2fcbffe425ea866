import Analysis
import FoundationEssentials
import PolicyModel
import PrometheusText
import Testing

@testable import MetricsScrape

/// Pages of all presets: of servers that ran, and pages by hand from the documentation of others.
@Suite("What presets read from pages", .timeLimit(.minutes(15)))
struct PresetPageTests {
    /// The expected reading of a page.
    struct Expected: Sendable, CustomTestStringConvertible {
        var preset: String
        var page: String
        var model: String?
        /// Requests and failures; nil if the page does not tell.
        var counts: (requests: Double, errors: Double)?
        /// The number of observations, and the bounds of the P50's bucket in seconds; nil without a histogram.
        var latency: (total: Double, above: Double, upTo: Double)?
        /// The sum of the values of a gauge or counter, or the number of observations of a histogram.
        var series: [PresetSeriesName: Double] = [:]

        var testDescription: String { "\(page), model \(model ?? "any")" }
    }

    static let pages: [Expected] = [
        Expected(
            preset: "fastapi", page: "fastapi.txt", counts: (53, 8), latency: (55, 0, 0.1)),
        Expected(
            preset: "ray-serve", page: "ray-serve.txt", model: "income", counts: (50, 10), latency: (40, 0.02, 0.05),
            series: [.running: 0, .waiting: 0]),
        Expected(preset: "ray-serve", page: "ray-serve.txt", counts: (50, 10), latency: (40, 0.02, 0.05)),
        Expected(preset: "kserve", page: "kserve.txt", model: "income", latency: (52, 0.01, 0.025)),
        Expected(
            preset: "vllm", page: "documented/vllm.txt", model: "llama", counts: (96, 6), latency: (90, 1, 1.5),
            series: [
                .firstToken: 90, .perToken: 8910, .running: 7, .waiting: 11, .saturation: 1, .tokensIn: 12_000,
                .tokensOut: 9000, .cacheQueries: 12_000, .cacheHits: 4000,
            ]),
        Expected(
            preset: "vllm", page: "documented/vllm-0.8.txt", counts: (96, 6), latency: (90, 1, 1.5),
            series: [.perToken: 810, .waiting: 2, .saturation: 0.5, .cacheQueries: 300, .cacheHits: 100]),
        Expected(
            preset: "sglang", page: "documented/sglang.txt", model: "llama", counts: (54, 4), latency: (50, 0.8, 1),
            series: [
                .firstToken: 50, .perToken: 4950, .running: 5, .waiting: 8, .saturation: 0.4, .tokensIn: 7000,
                .tokensOut: 5000, .cacheHits: 900,
            ]),
        Expected(
            preset: "tgi", page: "documented/tgi.txt", counts: (64, 4), latency: (60, 0.768867, 1.153301),
            series: [.perToken: 60, .running: 4, .waiting: 6, .tokensIn: 4800, .tokensOut: 7200]),
        Expected(
            preset: "llamacpp", page: "documented/llamacpp.txt", model: "any",
            series: [.running: 2, .waiting: 7, .tokensIn: 4100, .tokensOut: 2300]),
        Expected(
            preset: "trtllm", page: "documented/trtllm.txt", model: "llama", counts: (42, 2), latency: (40, 0.8, 2),
            series: [
                .firstToken: 40, .perToken: 40, .running: 3, .waiting: 1, .saturation: 0.3, .tokensIn: 1200,
                .tokensOut: 800, .cacheHits: 200,
            ]),
        Expected(
            preset: "nim", page: "documented/nim.txt", model: "meta/llama", counts: (100, 5), latency: (95, 0, 1),
            series: [
                .firstToken: 95, .perToken: 900, .running: 2, .waiting: 1, .saturation: 0.1,
                .tokensIn: 115_891_634_176, .tokensOut: 900,
            ]),
        Expected(
            preset: "dynamo", page: "documented/dynamo.txt", model: "llama", counts: (64, 4), latency: (60, 0, 2),
            series: [.firstToken: 60, .perToken: 900, .running: 4, .waiting: 2, .tokensIn: 4000, .tokensOut: 900]),
        Expected(preset: "torchserve", page: "documented/torchserve.txt", model: "income", counts: (54, 4)),
        Expected(
            preset: "tf-serving", page: "documented/tf-serving.txt", model: "income", counts: (86, 6),
            latency: (80, 10e-6, 0.0035705)),
        Expected(
            preset: "ovms", page: "documented/ovms.txt", model: "income", counts: (55, 5),
            latency: (50, 10e-6, 0.00583537), series: [.running: 2]),
    ]

    private func query(_ name: PresetSeriesName) -> SeriesQuery {
        let kind: SeriesQuery.Kind =
            switch name.kind {
            case .gauge: .gauge
            case .counter: .counter
            case .histogram: .histogram
            }
        return SeriesQuery(selector: name.written, kind: kind)
    }

    private func total(_ reading: SeriesReading?) -> Double? {
        switch reading {
        case .values(let values): values.isEmpty ? nil : values.values.reduce(0, +)
        case .histograms(let histograms): histograms.isEmpty ? nil : histograms.values.map(\.total).reduce(0, +)
        case .unavailable, nil: nil
        }
    }

    @Test("requests, failures and latency are of inference alone, in seconds", arguments: pages)
    func readings(expected: Expected) throws {
        let sample = try presetSample(
            expected.preset, pageFixture(expected.page), model: expected.model,
            queries: Set(PresetSeriesName.allCases.map(query)))
        #expect(!sample.isOtherPage && sample.remark == nil)
        if let counts = expected.counts {
            #expect(sample.requests == counts.requests && sample.errors == counts.errors)
        } else {
            #expect(sample.errors == nil)
        }
        switch (sample.latency, expected.latency) {
        case (.histogram(let histogram), let latency?):
            let median = try #require(histogram.quantile(0.5))
            #expect(histogram.total == latency.total)
            #expect(abs(median.lower - latency.above) < 1e-9 && abs(median.upper - latency.upTo) < 1e-9)
        case (.unavailable(let reason), nil): #expect(reason.hasSuffix("use from: proxy"))
        case (.histogram, nil), (.noData, _), (.unavailable, _?):
            Issue.record("\(sample.latency) instead of \(String(describing: expected.latency))")
        }
        for (name, value) in expected.series {
            #expect(total(sample.series[query(name)]) == value, "\(name)")
        }
    }

    @Test("every preset but those of the other suite has a page here")
    func coverage() {
        let elsewhere = ["reference", "triton", "mlserver", "bentoml"]
        #expect(Set(Self.pages.map(\.preset)).union(elsewhere) == Set(MetricsSource.presetNames))
        for preset in MetricsPreset.all {
            let isDocumented = Self.pages.contains { $0.preset == preset.name && $0.page.hasPrefix("documented/") }
            #expect(isDocumented == (preset.source == .documentation), "\(preset.name)")
        }
    }

    @Test(
        "a page is recognized by its families, whatever other presets read",
        arguments: pages.map { ($0.preset, $0.page) } + [
            ("triton", "triton.txt"), ("mlserver", "mlserver.txt"), ("bentoml", "bentoml.txt"),
        ])
    func recognition(preset: String, page: String) throws {
        let page = try ExpositionParser.parse(pageFixture(page))
        #expect(MetricsPreset.all.first { $0.recognizes(page) }?.name == preset)
    }

    @Test("the newer of two names is read if a page shows both, and the older one if it has samples alone")
    func fallback() throws {
        func saturation(_ text: String) throws -> Double? { try presetSample("vllm", [UInt8](text.utf8)).saturation }
        let new = "vllm:kv_cache_usage_perc"
        let old = "vllm:gpu_cache_usage_perc"
        #expect(try saturation("\(old) 0.2\n\(new) 0.3\n") == 0.3)
        #expect(try saturation("\(old) 0.2\n") == 0.2)
        #expect(try saturation("# TYPE \(new) gauge\n\(old) 0.2\n") == 0.2)
        #expect(try saturation("# TYPE \(old) gauge\n") == nil)
    }

    @Test("a page without a counter of failures shows no error rate of 0")
    func unknownErrors() throws {
        let page = "# TYPE trtllm_request_success_total counter\ntrtllm_request_success_total{model_name=\"m\"} 40\n"
        let old = try presetSample("trtllm", [UInt8](page.utf8))
        #expect(old.requests == nil && old.errors == nil && old.presetReadings?.errors == nil)
        #expect(
            old.remark
                == "the page has no trtllm_request_error_total: TensorRT-LLM has had no failure, or its version does not "
                + "count them; use from: proxy")
        let new = try presetSample("trtllm", [UInt8]((page + "# TYPE trtllm_request_error_total counter\n").utf8))
        #expect(new.requests == 40 && new.errors == 0 && new.remark == nil)
    }

    @Test("counters that do not name the model are not read of a server with several")
    func severalModels() throws {
        let text = """
            http_requests_total{handler="/v1/completions",method="POST",status="2xx"} 10
            vllm:e2e_request_latency_seconds_bucket{model_name="a",le="1"} 4
            vllm:e2e_request_latency_seconds_bucket{model_name="a",le="+Inf"} 4
            vllm:e2e_request_latency_seconds_bucket{model_name="b",le="1"} 6
            vllm:e2e_request_latency_seconds_bucket{model_name="b",le="+Inf"} 6

            """
        let one = try presetSample("vllm", [UInt8](text.utf8), model: "a")
        #expect(one.requests == nil && one.errors == nil)
        #expect(
            one.remark
                == "http_requests_total does not name the model, and this server carries several; use from: proxy")
        guard case .histogram(let latency) = one.latency else {
            Issue.record("the histogram names the model: \(one.latency)")
            return
        }
        #expect(latency.total == 4)
        #expect(try presetSample("vllm", [UInt8](text.utf8)).requests == 10)
    }

    @Test("a page of another server is recognized as such")
    func otherPage() throws {
        #expect(try presetSample("sglang", pageFixture("triton.txt")).isOtherPage)
        #expect(try presetSample("sglang", []).isOtherPage)
        #expect(try !presetSample("mlserver", [UInt8]("# TYPE model_infer_request_success counter\n".utf8)).isOtherPage)
    }

    @Test("a series that the preset does not have is unavailable, with the reason")
    func missingSeries() throws {
        let query = query(.firstToken)
        let sample = try presetSample("mlserver", pageFixture("mlserver.txt"), queries: [query])
        #expect(sample.series[query] == .unavailable("the version's metrics preset has no preset.firstToken"))
    }

    @Test("histograms that checks select are in seconds, whatever the server's unit")
    func scaled() throws {
        let text = """
            nv_inference_first_response_histogram_ms_bucket{model="m",le="100"} 3
            nv_inference_first_response_histogram_ms_bucket{model="m",le="+Inf"} 4

            """
        let query = query(.firstToken)
        guard case .histograms(let all) = try presetSample("triton", [UInt8](text.utf8), queries: [query]).series[query]
        else {
            Issue.record("no histogram")
            return
        }
        #expect(all.values.map(\.bounds) == [[0.1, .infinity]])
    }
}

@Suite("The properties of presets that configurations are checked against", .timeLimit(.minutes(15)))
struct PresetPropertiesTests {
    @Test("they are those of the presets")
    func properties() throws {
        #expect(MetricsSource.presets.map(\.name) == MetricsPreset.all.map(\.name))
        #expect(
            Set(PresetSeriesName.allCases.map(\.rawValue)) == Set(MetricsPreset.SeriesName.allCases.map(\.rawValue)))
        for (properties, preset) in zip(MetricsSource.presets, MetricsPreset.all) {
            #expect(Set(properties.series.map(\.rawValue)) == Set(preset.series.keys.map(\.rawValue)), "\(preset.name)")
            if case .unavailable = preset.errors {
                #expect(!properties.countsErrors, "\(preset.name)")
            } else {
                #expect(properties.countsErrors && !preset.requests.isEmpty, "\(preset.name)")
            }
            if case .unavailable = preset.latency {
                #expect(!properties.hasLatency, "\(preset.name)")
            } else {
                #expect(properties.hasLatency, "\(preset.name)")
            }
            #expect(!preset.signature.isEmpty && preset.path.hasPrefix("/"), "\(preset.name)")
        }
    }

    @Test("the documentation lists every preset with its source, page, switch and series")
    func documentation() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let text = String(decoding: try Data(contentsOf: root.appending(path: "docs/PRESETS.md")), as: UTF8.self)
        for preset in MetricsPreset.all {
            let rows = text.split(separator: "\n").filter { $0.hasPrefix("| `\(preset.name)` |") }
            try #require(rows.count == 3, "\(preset.name)")
            let source =
                switch preset.source {
                case .ran(let version): "| run: \(version) |"
                case .documentation: "| documentation |"
                }
            #expect(rows[0].contains(source) && rows[0].contains("| \(preset.server) |"), "\(preset.name)")
            let port = if case .fixed(let port) = preset.port { "`:\(port)\(preset.path)`" } else { "`\(preset.path)`" }
            #expect(rows[0].contains("| \(port)"), "\(preset.name)")
            let read = (preset.requests + preset.errorSeries).flatMap(\.names)
            #expect(read.allSatisfy(rows[1].contains), "\(preset.name)")
            if case .histogram(let series, _) = preset.latency {
                #expect(series.names.allSatisfy(rows[1].contains), "\(preset.name)")
            }
            let series = preset.series.values.flatMap(\.names)
            #expect(series.allSatisfy(rows[2].contains), "\(preset.name)")
        }
        for name in PresetSeriesName.allCases { #expect(text.contains("`\(name.written)`")) }
    }
}
