import GrowthMeasure
import PolicyModel
import Testing

@testable import Analysis

@Suite("The cost of recordings and windows grows with their size", .timeLimit(.minutes(15)))
struct GrowthTests {
    private static let items: [@Sendable (Int) -> [JudgedItem]] = [
        { count in (0..<count).map { .errors(ErrorTick(second: Int64($0), step: 1)) } },
        { count in
            var tick = ErrorTick(second: 1, step: 1)
            tick.keys = (0..<40 * count).map {
                KeyedResponse(key: UInt32($0) &* 0x9e37_79b9, .candidate, $0 % 3 == 0 ? 404 : .success)
            }
            return [.errors(tick)]
        },
        { count in
            var tick = LatencyTick(second: 1, step: 1, share: .zero)
            tick.entries = (0..<40 * count).map { LatencyEntry(.candidate, shard: $0 & 7, total: $0 % 1_728) }
            return [.latencies(tick)]
        },
        { count in
            [
                .rows(
                    (0..<10 * count).map {
                        QualityRow(
                            arm: .candidate, step: 1, label: 1, prediction: $0 & 1, score: 0.5, groups: ["sex=Female"])
                    })
            ]
        },
    ]

    @Test("a recording is decoded", arguments: items.indices)
    func decoding(shape: Int) throws {
        let factor = try Growth.factor(200) { count in
            ItemCoding.encode(Self.items[shape](count))
        } _: { bytes in
            _ = try ItemCoding.decode(bytes)
        }
        #expect(factor <= Growth.limit)
    }

    @Test("the growth of an arm over its scrapes", arguments: ["scrapes", "series", "buckets", "servers"])
    func window(direction: String) {
        let counter = SeriesQuery(selector: "c", kind: .counter)
        let histogram = SeriesQuery(selector: "h", kind: .histogram)
        let factor = Growth.factor(60) { count in
            var window = SeriesWindow(span: .seconds(3600))
            for server in 0..<(direction == "servers" ? count : 1) {
                for turn in 0..<(direction == "scrapes" ? 2 * count : 4) {
                    let series = direction == "series" ? 4 * count : 4
                    let buckets = direction == "buckets" ? 40 * count : 4
                    let shape = CumulativeHistogram(
                        bounds: (0..<buckets).map(Double.init),
                        counts: [Double](repeating: Double(turn), count: buckets))
                    let labels = (0..<series).map { "i=\"\($0)\"" }
                    window.record(
                        ScrapeSample(
                            at: Int64(turn), requests: Double(turn), errors: 0, latency: .histogram(shape),
                            series: [
                                counter: .values(Dictionary(uniqueKeysWithValues: labels.map { ($0, Double(turn)) })),
                                histogram: .histograms(Dictionary(uniqueKeysWithValues: labels.map { ($0, shape) })),
                            ]),
                        of: Endpoint(host: "h", port: UInt16(server + 1)), arm: .candidate)
                }
            }
            return window
        } _: { window in
            let delta = window.delta(of: .candidate, from: 0, to: .max)
            #expect(delta?.requests != nil)
        }
        #expect(factor <= Growth.limit)
    }
}
