import Analysis
import Foundation
import PolicyModel
import PrometheusText
import Testing

@testable import MetricsScrape

/// A page of the fixtures of PrometheusText's tests, such as `triton.txt`.
func pageFixture(_ name: String) throws -> [UInt8] {
    let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    return [UInt8](try Data(contentsOf: tests.appending(path: "PrometheusTextTests/Fixtures/\(name)")))
}

/// Reads a page as a scrape with a preset does.
func presetSample(
    _ preset: String, _ page: [UInt8], model: String? = nil, queries: Set<SeriesQuery> = []
) throws -> ScrapeSample {
    let preset = try #require(MetricsPreset.named(preset))
    return try SampleReader(preset: preset, model: model, queries: queries)
        .read(try ExpositionParser.parse(page), at: 7)
}

func presetSample(_ preset: String, _ fixture: String, model: String? = nil) throws -> ScrapeSample {
    try presetSample(preset, pageFixture(fixture), model: model)
}
