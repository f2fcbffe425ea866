import Analysis
import GrowthMeasure
import PrometheusText
import Testing

@testable import MetricsScrape

@Suite("The cost of a scrape grows with its size")
struct GrowthTests {
    private static let limits = ExpositionLimits(samples: .max, labels: 64, textLength: .max, lineLength: .max)

    static let queries: Set<SeriesQuery> = [
        SeriesQuery(selector: "reference_requests_total", kind: .counter), SeriesQuery(selector: "g", kind: .gauge),
        SeriesQuery(selector: "reference_request_duration_seconds", kind: .histogram),
    ]

    static let lines: [@Sendable (Int) -> String] = [
        // Each model with its own counters and its own histogram of other bounds: the largest number of groups.
        { place in
            """
            reference_requests_total{model="m\(place)",code="200"} 1
            reference_request_duration_seconds_bucket{model="m\(place)",le="\(place)"} 1
            reference_request_duration_seconds_bucket{model="m\(place)",le="+Inf"} 1
            reference_request_duration_seconds_sum{model="m\(place)"} 1
            reference_request_duration_seconds_count{model="m\(place)"} 1

            """
        },
        // One histogram of many buckets.
        { "reference_request_duration_seconds_bucket{le=\"\($0)\"} \($0)\n" },
        // One label set, written again and again.
        { "reference_requests_total{code=\"200\"} \($0)\n" },
        { "g{i=\"\($0)\"} 1\n" },
    ]

    @Test("a page, from its bytes to what the judge sees of it", arguments: lines.indices, [nil, "m7"])
    func page(shape: Int, model: String?) throws {
        let reader = SampleReader(preset: .named("reference"), model: model, queries: Self.queries)
        let factor = try Growth.factor(1_000) { count in
            let last = "reference_request_duration_seconds_bucket{le=\"+Inf\"} \(4 * count)\n"
            return [UInt8](((0..<count).map(Self.lines[shape]).joined() + last).utf8)
        } _: { text in
            _ = try reader.read(try ExpositionParser.parse(text, limits: Self.limits), at: 1)
        }
        #expect(factor <= Growth.limit)
    }
}
