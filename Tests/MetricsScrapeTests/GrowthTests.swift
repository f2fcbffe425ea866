import Analysis
import GrowthMeasure
import PolicyModel
import PrometheusText
import Testing

@testable import MetricsScrape

@Suite("The cost of a scrape is at most proportional to its size", .timeLimit(.minutes(15)))
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

    @Test("a page of combining marks costs about as much as one of letters: nothing normalizes what a server writes")
    func combiningMarks() throws {
        let queries: Set = [
            SeriesQuery(selector: "g", kind: .gauge), SeriesQuery(selector: "c", kind: .counter),
            SeriesQuery(selector: "h", kind: .histogram),
        ]
        let reader = SampleReader(preset: .named("reference"), queries: queries)
        func page(_ filler: String) -> [UInt8] {
            let lines = (0..<40).map { place in
                """
                g{i="\(filler)\(place)"} 1
                c{"\(filler)\(place)"="v"} 1
                h_bucket{i="\(filler)\(place)",le="+Inf"} 1
                reference_requests_total{model="\(filler)\(place)",code="\(filler)"} 1
                {"\(filler)\(place)"} 1

                """
            }
            return [UInt8](lines.joined().utf8)
        }
        var window = SeriesWindow()
        var time: Int64 = 0
        func read(_ text: [UInt8]) throws {
            time += 1
            let sample = try reader.read(try ExpositionParser.parse(text, limits: Self.limits), at: time)
            window.record(sample, of: Endpoint(host: "h", port: 1), arm: .candidate)
            _ = window.delta(of: .candidate, from: time - 2, to: time)
        }
        let letters = page(String(repeating: "aaaa", count: 800))
        let marks = page(String(repeating: "\u{301}\u{323}", count: 800))
        #expect(try Growth.ratio(bound: 20, small: { try read(letters) }, large: { try read(marks) }) <= 20)
    }

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
