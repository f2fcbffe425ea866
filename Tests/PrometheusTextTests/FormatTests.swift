import PrometheusText
import Testing

/// Names in quotes (Prometheus text 1.0.0) and OpenMetrics 1.0.
@Suite("Formats beyond Prometheus text 0.0.4", .timeLimit(.minutes(15)))
struct FormatTests {
    private func parse(_ text: String, as format: ExpositionFormat = .prometheus) throws -> Exposition {
        try ExpositionParser.parse([UInt8](text.utf8), as: format)
    }

    private func refusal(_ text: String, as format: ExpositionFormat = .prometheus) -> String? {
        do throws(ExpositionError) {
            _ = try ExpositionParser.parse([UInt8](text.utf8), as: format)
            return nil
        } catch {
            return error.description
        }
    }

    @Test("quoted names of metrics and labels, in every place where they may stand")
    func quoted() throws {
        let page = try parse(
            """
            # HELP "my.metric" What it counts.
            # TYPE "my.metric" counter
            {"my.metric"} 1
            {"my.metric",a="b"} 2
            {"my.metric", "label.name"="x", } 3
            {a="b","my.metric","größe"="ü"} 4
            {"plain_name"} 5
            plain_name{"quoted label"="6"} 6
            {"with \\"quotes\\" and \\\\"} 7

            """)
        #expect(
            page.samples.map(\.name) == [
                "my.metric", "my.metric", "my.metric", "my.metric", "plain_name", "plain_name", #"with "quotes" and \"#,
            ])
        #expect(page.samples.map(\.value) == [1, 2, 3, 4, 5, 6, 7])
        #expect(page.samples[3].labels == [Label("a", "b"), Label("größe", "ü")])
        #expect(page.samples[5]["quoted label"] == "6")
        #expect(page.family(named: "my.metric")?.kind == .counter)
        #expect(page.samples(of: "my.metric").count == 4)
    }

    @Test(
        "quoted names that are none",
        arguments: [
            (#"{a="b"} 1"#, "line 1: labels without a metric name"), (#"{} 1"#, "line 1: labels without a metric name"),
            (#"{"a","b"} 1"#, #"line 1: a second metric name, "b""#),
            (#"x{"y"} 1"#, #"line 1: a second metric name, "y""#),
            (#"{""} 1"#, "line 1: an empty name"),
            (#"{"a" 1"#, #"line 1: expected = after the label name at column 6, found "1""#),
            (#"{"a} 1"#, "line 1: a name without its closing quote"),
            (#"{"a",b="1","b"="2"} 1"#, "line 1: the label b occurs twice"),
            (#""a" 1"#, #"line 1: expected a metric name at column 1, found ""a" 1""#),
        ])
    func unquoted(text: String, reason: String) { #expect(refusal(text + "\n") == reason) }

    @Test("names that need quotes are written with them, and selectors name them")
    func written() throws {
        var writer = ExpositionWriter()
        writer.family("my.metric", .gauge, "Help.")
        writer.sample("my.metric", [("a", "1"), ("b.c", "2")], value: 3)
        writer.sample("9", value: 1)
        let text = String(decoding: writer.bytes, as: UTF8.self)
        #expect(
            text == """
                # HELP "my.metric" Help.
                # TYPE "my.metric" gauge
                {"my.metric",a="1","b.c"="2"} 3
                {"9"} 1

                """)
        let page = try parse(text)
        for written in [#"{"my.metric"}"#, #"{"my.metric","b.c"="2"}"#, #"{a="1","my.metric"}"#] {
            let selector = try SeriesSelector(parsing: written)
            #expect(page.sum(selector) == 3)
            #expect(try SeriesSelector(parsing: selector.description) == selector)
        }
        #expect(throws: SelectorError.self) { try SeriesSelector(parsing: #"{a="1"}"#) }
        #expect(throws: SelectorError.self) { try SeriesSelector(parsing: #"x{"y"}"#) }
    }

    @Test("the Content-Type decides")
    func contentType() {
        #expect(
            ExpositionFormat(contentType: "application/openmetrics-text; version=1.0.0; charset=utf-8") == .openMetrics)
        for other in ["text/plain; version=0.0.4", "text/plain;version=1.0.0;escaping=allow-utf-8", "", "text/html"] {
            #expect(ExpositionFormat(contentType: other) == .prometheus)
        }
    }

    static let openMetrics = """
        # TYPE requests counter
        # UNIT requests requests
        # HELP requests Requests.
        requests_total{code="200"} 17 1520879607.789 # {trace_id="abc"} 1 1520879607.0
        requests_created{code="200"} 1520430000.123
        # TYPE latency histogram
        latency_bucket{le="0.1"} 8 # {} 0.067
        latency_bucket{le="+Inf"} 10 # {id="a",b="c"} 9.8 1520879607
        latency_count 10
        latency_sum 3.5
        latency_created 1520430000.123
        # EOF
        """

    @Test("OpenMetrics: exemplars, _created and # EOF, with and without a last newline", arguments: ["", "\n"])
    func openMetrics(end: String) throws {
        let page = try parse(Self.openMetrics + end, as: .openMetrics)
        #expect(page.samples.map(\.value) == [17, 1520430000.123, 8, 10, 10, 3.5, 1520430000.123])
        #expect(page.families.map(\.name) == ["requests", "latency"])
        #expect(page.sum(SeriesSelector("requests_total")) == 17)
        #expect(page.histograms(SeriesSelector("latency")).first?.cumulative == [8, 10])
    }

    @Test("OpenMetrics that was cut off, goes on or has a broken exemplar is refused")
    func cutOff() {
        let cut = Self.openMetrics.dropLast("# EOF".count)
        #expect(
            refusal(String(cut), as: .openMetrics)
                == "line 12: the text does not end with # EOF, as OpenMetrics does: the response was cut off")
        #expect(refusal("", as: .openMetrics)?.contains("# EOF") == true)
        #expect(refusal("# EOF\nx 1\n", as: .openMetrics) == "line 2: a line after # EOF")
        for exemplar in ["# ", "# x", "# {a}", "# {a=\"b\"}", "# {} x", "# {} 1 x", "# {} 1 2 3", "# {\"name\"} 1"] {
            #expect(refusal("x_total 1 \(exemplar)\n# EOF\n", as: .openMetrics) != nil)
            // Some servers write exemplars in the Prometheus text format too, where a parser skips them as comments.
            #expect(refusal("x_total 1 \(exemplar)\n") == nil)
        }
        // A comment in Prometheus text.
        #expect(refusal("# EOF\nx 1\n") == nil)
    }
}
