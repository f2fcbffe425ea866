import FoundationEssentials
import PrometheusText
import Testing

/// What real servers printed; Fixtures/README.md says which and after what.
@Suite("Scrapes of real servers", .timeLimit(.minutes(15)))
struct RealScrapeTests {
    static func fixture(_ name: String) throws -> Exposition {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures")
        return try ExpositionParser.parse([UInt8](Data(contentsOf: folder.appending(path: name))))
    }

    @Test(
        "every sample line is read, every declared family is known",
        arguments: [
            ("mlserver.txt", 27, 125), ("triton.txt", 15, 18), ("triton-summary.txt", 20, 53), ("bentoml.txt", 5, 88),
            ("fastapi.txt", 20, 105), ("kserve.txt", 17, 70), ("ray-serve.txt", 5, 120),
        ])
    func counts(name: String, families: Int, samples: Int) throws {
        let exposition = try Self.fixture(name)
        #expect(exposition.families.count == families)
        #expect(exposition.samples.count == samples)
        #expect(exposition.families.allSatisfy { $0.kind != .untyped && $0.help != nil })
    }

    @Test("MLServer: 45 ok, 5 failed; le in the middle of the labels; a summary without quantiles")
    func mlserver() throws {
        let exposition = try Self.fixture("mlserver.txt")
        #expect(exposition.sum(SeriesSelector("model_infer_request_success_total")) == 45)
        #expect(exposition.sum(SeriesSelector("model_infer_request_failure_total")) == 5)
        let infer = LabelMatcher("path", .equals("/v2/models/{model_name}/infer"))
        let histograms = exposition.histograms(SeriesSelector("rest_server_request_duration_seconds", [infer]))
        #expect(histograms.map(\.count).sorted() == [1, 5, 45])
        #expect(histograms.allSatisfy { $0.bounds.count == 15 && $0.bounds.last == .infinity })
        let ok = histograms.first { $0.labels.contains(Label("status_code", "200")) }
        #expect(ok?.sum == 0.07012984200036954)
        #expect(ok?.labels.map(\.name) == ["app_name", "method", "path", "status_code"])
        let summary = exposition.summaries(SeriesSelector("model_infer_request_duration"))
        #expect(summary.count == 1 && summary[0].quantiles.isEmpty && summary[0].count == 50)
    }

    @Test("MLServer: a family without samples is there and has no data")
    func idleFamily() throws {
        let exposition = try Self.fixture("mlserver.txt")
        #expect(exposition.family(named: "grpc_server_handled_total")?.kind == .counter)
        #expect(exposition.samples(of: "grpc_server_handled_total").isEmpty)
        #expect(exposition.sum(SeriesSelector("grpc_server_handled_total")) == nil)
    }

    @Test("Triton: 41 success, 13 failures of the backend")
    func triton() throws {
        let exposition = try Self.fixture("triton.txt")
        #expect(exposition.sum(SeriesSelector("nv_inference_request_success")) == 41)
        let backend = LabelMatcher("reason", .equals("BACKEND"))
        #expect(exposition.sum(SeriesSelector("nv_inference_request_failure", [backend])) == 13)
    }

    @Test("Triton: the opt-in summary has its quantiles, sum and count")
    func tritonSummary() throws {
        let summary = try Self.fixture("triton-summary.txt").summaries(
            SeriesSelector("nv_inference_request_summary_us"))
        #expect(summary.count == 1)
        #expect(summary[0].labels == [Label("model", "income"), Label("version", "1")])
        #expect(summary[0].quantiles == [0.5: 18252, 0.9: 22544, 0.95: 41469, 0.99: 41779, 0.999: 41779])
        #expect(summary[0].sum == 777539 && summary[0].count == 37)
    }

    @Test("BentoML: the probe is told apart by its endpoint")
    func bentoml() throws {
        let exposition = try Self.fixture("bentoml.txt")
        #expect(exposition.sum(SeriesSelector("bentoml_service_request_total")) == 51)
        let judged = LabelMatcher("endpoint", .isNoneOf(["/readyz", "/livez"]))
        #expect(exposition.sum(SeriesSelector("bentoml_service_request_total", [judged])) == 50)
        let failed = LabelMatcher("http_response_code", .startsWith("5"))
        #expect(exposition.sum(SeriesSelector("bentoml_service_request_total", [judged, failed])) == 5)
    }
}
