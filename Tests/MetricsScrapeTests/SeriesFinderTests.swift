import Analysis
import FoundationEssentials
import PolicyModel
import PrometheusText
import Testing

@testable import MetricsScrape

@Suite("How pages show the series that checks ask for", .timeLimit(.minutes(15)))
struct SeriesFinderTests {
    private func read(_ text: [UInt8], _ selector: String, _ kind: SeriesQuery.Kind, wall: Double? = nil) throws
        -> (sample: ScrapeSample, details: SeriesDetails)
    {
        let query = SeriesQuery(selector: selector, kind: kind)
        let sample = try SampleReader(preset: nil, queries: [query])
            .read(try ExpositionParser.parse(text), at: 7, wall: wall)
        return (sample, try #require(sample.details[query]))
    }

    private func presence(_ text: String, _ selector: String, _ kind: SeriesQuery.Kind = .gauge) throws
        -> SeriesPresence
    {
        try read([UInt8](text.utf8), selector, kind).details.presence
    }

    private func fixture(_ name: String) throws -> [UInt8] {
        let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        return [UInt8](try Data(contentsOf: tests.appending(path: "PrometheusTextTests/Fixtures/\(name)")))
    }

    @Test(
        "on real pages a misspelt name finds the one that is meant",
        arguments: [
            ("triton.txt", "nv_inference_request_succes", SeriesQuery.Kind.counter, "nv_inference_request_success"),
            ("triton.txt", "nv_inference_pending_requests_count", .gauge, "nv_inference_pending_request_count"),
            ("mlserver.txt", "rest_server_request_in_progress", .gauge, "rest_server_requests_in_progress"),
            ("mlserver.txt", "model_infer_request_failure", .counter, "model_infer_request_failure_total"),
            (
                "mlserver.txt", "rest_server_requests_duration_second", .histogram,
                "rest_server_request_duration_seconds"
            ),
            ("bentoml.txt", "bentoml_service_requests_total", .counter, "bentoml_service_request_total"),
        ])
    func nearest(page: String, written: String, kind: SeriesQuery.Kind, meant: String) throws {
        let page = try fixture(page)
        #expect(try read(page, written, kind).details.presence == .unknown(nearest: meant))
    }

    @Test("a name that is like none finds none")
    func farAway() throws {
        let page = try fixture("triton.txt")
        #expect(try read(page, "vllm:num_requests_waiting", .gauge).details.presence == .unknown(nearest: nil))
        #expect(try presence("", "up") == .unknown(nearest: nil))
        #expect(try presence("a 1\n", String(repeating: "a", count: 500)) == .unknown(nearest: nil))
    }

    @Test("labels tell a counter at 0 from a mistake")
    func labels() throws {
        let page = #"http_requests_total{handler="/predict",status="2xx"} 5"# + "\n"
        #expect(try presence(page, #"http_requests_total{handler="/predict",status="5xx"}"#, .counter) == .otherValues)
        #expect(try presence(page, #"http_requests_total{status!="2xx"}"#, .counter) == .otherValues)
        #expect(try presence(page, #"http_requests_total{stauts="5xx"}"#, .counter) == .withoutLabel("stauts"))
        #expect(try presence(page, #"http_requests_total{stauts=""}"#, .counter) == .shown)
        #expect(try presence("# TYPE r_total counter\n", "r_total", .counter) == .declared)
        #expect(try presence("# TYPE r counter\n", "r_total", .counter) == .declared)
        let real = try read(
            fixture("bentoml.txt"), #"bentoml_service_request_total{http_response_code="503"}"#, .counter)
        #expect(real.details.presence == .otherValues && real.details.type == "counter")
    }

    @Test("types, repeated series, timestamps and counters are read off the page")
    func page() throws {
        let page = "# TYPE q gauge\nq 1 1700000000000\nq 2 1700000005000\n"
        let read = try read([UInt8](page.utf8), "q", .gauge, wall: 1_700_000_065_000)
        #expect(read.details == SeriesDetails(presence: .shown, type: "gauge", isRepeated: true))
        #expect(read.sample.page == PageState(newestTimestamp: 1_700_000_005_000, age: 60, counters: nil))
        func digest(_ text: String) throws -> UInt64? {
            try self.read([UInt8](text.utf8), "q", .gauge).sample.page.counters
        }
        let before = try digest("q 1\nr_total 5\n")
        #expect(try digest("q 2\nr_total 5\n") == before)
        #expect(try digest("q 1\nr_total 6\n") != before)
        #expect(
            try self.read([UInt8]("q 1 1700000000\n".utf8), "q", .gauge).sample.page.newestTimestamp
                == 1_700_000_000_000)
        #expect(try self.read([UInt8]("q 1 NaN\n".utf8), "q", .gauge, wall: 0).sample.page.age == nil)
    }

    @Test("looking for a similar name costs no more than a page's length")
    func bounded() throws {
        let page = (0..<20_000).map { "requests_waiting_in_queue_number_\($0) 1\n" }.joined()
        #expect(try presence(page, "requests_waiting_in_queue_number_x") != .shown)
    }
}
