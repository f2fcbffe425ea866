import PrometheusText
import Testing

@Suite("Selectors and views", .timeLimit(.minutes(15)))
struct SelectorAndViewTests {
    private func parse(_ text: String) throws -> Exposition { try ExpositionParser.parse([UInt8](text.utf8)) }

    @Test(
        "a selector reads and prints",
        arguments: [
            ("nv_gpu_memory_used_bytes", "nv_gpu_memory_used_bytes"),
            (#"x{gpu="0"}"#, #"x{gpu="0"}"#),
            (#" x { a != "b\"c" , d="" , } "#, #"x{a!="b\"c",d=""}"#),
            ("x{}", "x"),
        ])
    func selector(text: String, printed: String) throws {
        #expect(try SeriesSelector(parsing: text).description == printed)
    }

    @Test(
        "a bad selector says what and where",
        arguments: [
            ("", "expected a metric name, found the end of the line in the series "),
            ("x{a=~\"b\"}", "regular expressions (=~, !~) are not supported: use = or != in the series x{a=~\"b\"}"),
            ("x{a!~\"b\"}", "regular expressions (=~, !~) are not supported: use = or != in the series x{a!~\"b\"}"),
            (
                "x{a\"b\"}",
                "expected = or != after the label name at column 4, found \"\"b\"}\" in the series x{a\"b\"}"
            ),
            ("x{a=\"b\"", "expected , or } after the label value, found the end of the line in the series x{a=\"b\""),
            ("x y", "expected { or the end at column 3, found \"y\" in the series x y"),
        ])
    func badSelector(text: String, message: String) {
        let error = #expect(throws: SelectorError.self) { try SeriesSelector(parsing: text) }
        #expect(error?.description == message)
    }

    @Test("all conditions must hold; a label that is not there is empty")
    func matching() throws {
        let exposition = try parse("x{a=\"1\",b=\"2\"} 1\nx{a=\"1\"} 10\nx{b=\"2\"} 100\ny{a=\"1\"} 1000\n")
        func sum(_ text: String) throws -> Double? { exposition.sum(try SeriesSelector(parsing: text)) }
        #expect(try sum("x") == 111)
        #expect(try sum("x{a=\"1\"}") == 11)
        #expect(try sum("x{a=\"1\",b=\"\"}") == 10)
        #expect(try sum("x{a!=\"1\"}") == 100)
        #expect(try sum("x{a=\"3\"}") == nil)
        #expect(try sum("z") == nil)
    }

    @Test("a series that is printed twice counts once; NaN is no data")
    func duplicates() throws {
        let exposition = try parse("x{a=\"1\",b=\"2\"} 5\nx{b=\"2\",a=\"1\"} 7\ny NaN\n")
        #expect(exposition.sum(SeriesSelector("x")) == 5)
        #expect(exposition.sum(SeriesSelector("y")) == nil)
    }

    @Test("a histogram is put in order, never falls, and gets its +Inf from the count")
    func histogram() throws {
        let exposition = try parse(
            """
            h_bucket{le="0.5",a="1"} 7
            h_bucket{le="0.1",a="1"} 2
            h_bucket{a="1",le="1"} 6
            h_count{a="1"} 9
            h_sum{a="1"} 3.5
            h_bucket{le="0.1",a="2"} 2
            h_bucket{le="0.1",a="3"} NaN
            h_bucket{le="+Inf",a="3"} 2

            """)
        // a="2" has neither +Inf nor a count, a="3" has a bucket that is no number.
        #expect(
            exposition.histograms(SeriesSelector("h")) == [
                HistogramSample(
                    labels: [Label("a", "1")], bounds: [0.1, 0.5, 1, .infinity], cumulative: [2, 7, 7, 9], sum: 3.5)
            ])
    }
}
