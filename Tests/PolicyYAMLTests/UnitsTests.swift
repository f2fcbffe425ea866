import PolicyModel
import PrometheusText
import Testing
import Vocabulary

@testable import PolicyYAML

@Suite("Units", .timeLimit(.minutes(15)))
struct UnitsTests {
    @Test(
        "Durations with their units",
        arguments: [
            ("250ms", Duration.milliseconds(250)), ("5m", .seconds(300)), ("24h", .seconds(86_400)),
            ("1h30m", .seconds(5400)), ("1.5s", .milliseconds(1500)), ("7d", .seconds(604_800)),
            ("1m0s250ms", .milliseconds(60_250)), ("50us", .microseconds(50)), ("0s", .zero),
        ])
    func durations(_ text: String, _ value: Duration) throws {
        #expect(try Units.duration(text) == value)
    }

    @Test(
        "What is no duration is refused with the way to write it",
        arguments: [
            ("5", "has no unit: write 5s or 5m"), ("5 m", "is no duration: write 250ms, 5m or 1h30m"),
            ("5min", "has an unknown unit 'min': write d, h, m, s, ms or us"),
            ("-5s", "is no duration: write 250ms, 5m or 1h30m"),
            ("30m1h", "names its units out of order: write 1h30m, large units first"),
            ("1m1m", "names its units out of order: write 1h30m, large units first"),
            ("m", "is no duration: write 250ms, 5m or 1h30m"), ("", "is empty: write one such as 5m"),
            ("1.2.3s", "is no duration: write 250ms, 5m or 1h30m"), ("99999999d", "is longer than ten years"),
        ])
    func badDurations(_ text: String, _ problem: String) {
        #expect(message { () throws(InvalidValue) in _ = try Units.duration(text) } == problem)
    }

    @Test(
        "Shares, differences and bounds",
        arguments: [
            ("1%", 0.01), ("0.01", 0.01), ("0.2%", 0.002), ("200%", 2), ("1", 1), ("0", 0),
        ])
    func fractions(_ text: String, _ value: Double) throws {
        #expect(abs(try Units.fraction(text) - value) < 1e-12)
    }

    @Test(
        "Bounds of series take plain numbers and units",
        arguments: [
            ("70GiB", 75_161_927_680), ("16MiB", 16_777_216), ("1kB", 1000), ("250ms", 0.25), ("90%", 0.9), ("-3", -3),
            ("1e6", 1e6), ("12", 12), ("8B", 8),
        ])
    func quantities(_ text: String, _ value: Double) throws {
        #expect(abs(try Units.quantity(text) - value) < 1e-9)
    }

    @Test("Differences are in points", arguments: [("5pp", 0.05), ("0.05", 0.05), ("12.5pp", 0.125)])
    func points(_ text: String, _ value: Double) throws {
        #expect(abs(try Units.points(text) - value) < 1e-12)
    }

    @Test(
        "Quantiles by their usual names, or any as a number",
        arguments: [
            ("p95", 0.95), ("P99", 0.99), ("p99.9", 0.999), ("0.59", 0.59), ("p50", 0.5),
        ])
    func quantiles(_ text: String, _ value: Double) throws {
        #expect(try Units.quantile(text) == value)
    }

    @Test("A misspelled quantile is refused with the one that was probably meant")
    func slip() {
        let problem = message { () throws(InvalidValue) in _ = try Units.quantile("p59") }
        #expect(problem == "is no usual quantile: did you mean 'p95'? Write 0.59 where it is meant")
    }

    @Test(
        "A text that is not a finite decimal number is refused",
        arguments: ["nan", "inf", "0x10", "1_000", "", "1e999", "٣"])
    func noNumbers(_ text: String) {
        #expect(Units.number(Substring(text)) == nil)
        #expect(message { () throws(InvalidValue) in _ = try Units.fraction(text + "%") } != nil)
    }

    @Test(
        "Series with label matchers, as the scrape's own reader takes them",
        arguments: [
            "m", ":tensorflow:count", "m{}", "m{a=\"1\"}", "m{a=\"1\",b!=\"x,}y\",}",
            "{\"my.metric\"}", "{\"my.metric\",a=\"b\"}", "{a=\"b\",\"my.metric\",}", "m{\"a label\"!=\"b\"}",
            "{\"a{b\",\"größe\"=\"ü\"}",
        ])
    func series(_ text: String) throws {
        #expect(try PolicyYAML.SeriesSelector.checked(text) == text)
        #expect(throws: Never.self) { try PrometheusText.SeriesSelector(parsing: text) }
    }

    @Test(
        "Series that cannot be read are refused",
        arguments: [
            "", "0m", "m{", "m{a}", "m{a=1}", "m{a=\"1\"b=\"2\"}", "m{a!~\"x\"}", "m{a:b=\"1\"}", "a b", "{}",
            "{a=\"b\"}", "{\"\"}",
            "m{\"n\"}", "{\"m\",\"n\"}", "{\"m\"a=\"b\"}", "{\"m\"", "{\"m}", "{\"m\",\"a\"=b}", "{\"a\\\"b\"}",
        ])
    func badSeries(_ text: String) {
        #expect(message { () throws(InvalidValue) in _ = try PolicyYAML.SeriesSelector.checked(text) } != nil)
    }

    @Test("Rates per second, minute and hour", arguments: [("20/s", 20), ("1200/m", 20), ("7200/h", 2), ("0/s", 0)])
    func rates(_ text: String, _ value: Double) throws {
        #expect(try Units.rate(text) == value)
    }

    @Test("Names near another are suggested, others are not")
    func suggestions() {
        let keys = ["policy", "checks", "threshold", "onNoData"]
        #expect(Suggestion.nearest(to: "cheks", in: keys) == "checks")
        #expect(Suggestion.nearest(to: "onnodata", in: keys) == "onNoData")
        #expect(Suggestion.nearest(to: "treshhold", in: keys) == "threshold")
        #expect(Suggestion.nearest(to: "x", in: keys) == nil)
        #expect(Suggestion.nearest(to: String(repeating: "a", count: 100_000), in: keys) == nil)
        #expect(EditDistance.between(Array(""), Array("abc"), atMost: 3) == 3)
        #expect(EditDistance.between(Array("ab"), Array("ba"), atMost: 3) == 1)
        #expect(EditDistance.between(Array("kitten"), Array("sitting"), atMost: 3) == 3)
        #expect(EditDistance.between(Array("kitten"), Array("sitting"), atMost: 2) == nil)
    }

    private func message(_ body: () throws(InvalidValue) -> Void) -> String? {
        do {
            try body()
            return nil
        } catch {
            return error.message
        }
    }

    @Test(
        "a quantity keeps its unit",
        arguments: [
            ("2GiB", 2_147_483_648, MeasureUnit.bytes), ("200ms", 0.2, .seconds), ("90%", 0.9, .ratio),
            ("12.5", 12.5, nil),
        ] as [(String, Double, MeasureUnit?)])
    func quantities(text: String, value: Double, unit: MeasureUnit?) throws {
        let measure = try Units.measure(text)
        #expect(measure.value == value && measure.unit == unit)
    }
}
