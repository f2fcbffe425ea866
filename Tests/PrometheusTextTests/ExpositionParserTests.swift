import PrometheusText
import Testing

@Suite("Exposition parser", .timeLimit(.minutes(15)))
struct ExpositionParserTests {
    private func parse(_ text: String, _ limits: ExpositionLimits = ExpositionLimits()) throws -> Exposition {
        try ExpositionParser.parse([UInt8](text.utf8), limits: limits)
    }

    @Test(
        "values in every spelling that servers use",
        arguments: [
            ("1", 1), ("1.0", 1), ("-3", -3), ("+3", 3), ("1.7952254857633114e+09", 1_795_225_485.763_311_4),
            ("0.25", 0.25), ("1E-3", 0.001), ("Inf", .infinity), ("+inf", .infinity), ("-Inf", -.infinity),
            ("9007199254740993", 9_007_199_254_740_992), (".5", 0.5),
        ])
    func values(text: String, value: Double) throws {
        #expect(try parse("x \(text)\n").samples[0].value == value)
    }

    @Test("NaN in any case", arguments: ["NaN", "Nan", "nan", "NAN"])
    func notANumber(text: String) throws {
        #expect(try parse("x \(text)\n").samples[0].value.isNaN)
    }

    @Test(
        "labels in every shape that servers print",
        arguments: [
            (#"x{a="b"} 1"#, [Label("a", "b")]),
            (#"x{a="b",} 1"#, [Label("a", "b")]),
            (#"x { a = "b" , c = "d" } 1"#, [Label("a", "b"), Label("c", "d")]),
            (#"x{} 1"#, []),
            (#"x{a=""} 1"#, [Label("a", "")]),
            (#"x{a="q\"b\\s\nl\d"} 1"#, [Label("a", "q\"b\\s\nl\\d")]),
            (#"x{a="} 1, # {"} 1"#, [Label("a", "} 1, # {")]),
            (#"x{a="größe"} 1"#, [Label("a", "größe")]),
        ])
    func labels(line: String, labels: [Label]) throws {
        #expect(try parse(line + "\n").samples[0].labels == labels)
    }

    @Test(
        "timestamps and exemplars behind the value change nothing",
        arguments: [
            "x 4 1395066363000", "x 4 -1", "x 4 1395066363.123", "x 4 # {trace_id=\"a b\"} 0.5", "\tx\t4\t ",
            "x 4 12 # {trace_id=\"a\"} 0.5 12.5", "x 4\r",
        ])
    func trailing(line: String) throws {
        let samples = try parse(line + "\n").samples
        #expect(samples.map(\.value) == [4] && samples[0].labels.isEmpty)
    }

    @Test("names may start with a colon")
    func colon() throws {
        let exposition = try parse(":tensorflow:serving:request_count{status=\"OK\"} 7\n")
        #expect(exposition.sum(SeriesSelector(":tensorflow:serving:request_count")) == 7)
    }

    @Test("HELP and TYPE may come again, the last TYPE counts, other comments are nothing")
    func metadata() throws {
        let text = """
            # HELP x first \\\\ line\\nsecond
            # TYPE x gauge
            # UNIT x seconds
            #TYPE y
            # TYPE x counter
            x 1

            # EOF

            """
        // "#TYPE y" is a TYPE line without a type.
        #expect(throws: ExpositionError.self) { try parse(text) }
        let exposition = try parse(
            text.split(separator: "\n").filter { $0 != "#TYPE y" }.joined(separator: "\n") + "\n")
        #expect(exposition.families == [Family(name: "x", kind: .counter, help: "first \\ line\nsecond")])
    }

    @Test("suffixes belong to a declared histogram, summary or counter, and to nothing else")
    func suffixes() throws {
        let exposition = try parse(
            """
            # TYPE h histogram
            h_bucket{le="1"} 1
            h_count 1
            h_sum 1
            # TYPE c counter
            c_total 2
            c_created 1
            g_count 3

            """)
        #expect(exposition.families.map(\.name) == ["h", "c", "c_created", "g_count"])
        #expect(exposition.samples(of: "h").map(\.name) == ["h_bucket", "h_count", "h_sum"])
        #expect(exposition.samples(of: "c").map(\.name) == ["c_total"])
        #expect(exposition.family(named: "g_count")?.kind == .untyped)
    }

    @Test("an empty text has no samples")
    func empty() throws { #expect(try parse("").samples.isEmpty && parse("\n \n").families.isEmpty) }

    static let refused: [(String, String)] = [
        ("<html>\n", "line 1: expected a metric name at column 1, found \"<html>\""),
        ("x 1\n\n{\"error\":\"no\"}\n", "line 3: expected = after the label name at column 9, found \":\"no\"}\""),
        ("x\n", "line 1: expected a value, found the end of the line"),
        ("x one\n", "line 1: expected a value at column 3, found \"one\""),
        ("x 0x10\n", "line 1: expected a value at column 3, found \"0x10\""),
        ("x 1_000\n", "line 1: expected a value at column 3, found \"1_000\""),
        ("x 1 2 3\n", "line 1: expected the end of the line at column 7, found \"3\""),
        ("x 1 y\n", "line 1: expected a timestamp, an exemplar or the end of the line at column 5, found \"y\""),
        ("x-y 1\n", "line 1: expected a value at column 2, found \"-y 1\""),
        ("9x 1\n", "line 1: expected a metric name at column 1, found \"9x 1\""),
        ("x{a=\"b\" 1\n", "line 1: expected , or } after the label value at column 9, found \"1\""),
        ("x{a=b} 1\n", "line 1: expected a quoted label value at column 5, found \"b} 1\""),
        ("x{a} 1\n", "line 1: expected = after the label name at column 4, found \"} 1\""),
        ("x{,} 1\n", "line 1: expected a label name or } at column 3, found \",} 1\""),
        ("x{a:b=\"c\"} 1\n", "line 1: expected = after the label name at column 4, found \":b=\"c\"} 1\""),
        ("x{a=\"b} 1\n", "line 1: a label value without its closing quote"),
        ("x{a=\"b\\\" 1\n", "line 1: a label value without its closing quote"),
        ("x{a=\"b\\", "line 1: the text does not end with a newline: the reply was cut off"),
        ("x{a=\"1\",a=\"2\"} 1\n", "line 1: the label a occurs twice"),
        ("x{", "line 1: the text does not end with a newline: the reply was cut off"),
        ("x 12\nx 1", "line 2: the text does not end with a newline: the reply was cut off"),
        ("x{\n", "line 1: expected a label name or }, found the end of the line"),
        (
            "# TYPE x meter\n",
            "line 1: TYPE must be counter, gauge, histogram, summary or untyped, not \"meter\""
        ),
        ("# TYPE x\n", "line 1: TYPE must be counter, gauge, histogram, summary or untyped, not \"\""),
        ("# TYPE x counter y\n", "line 1: expected the end of the TYPE line at column 18, found \"y\""),
        ("# HELP\n", "line 1: expected a metric name, found the end of the line"),
        ("# HELP x-y z\n", "line 1: expected a space after the metric name at column 9, found \"-y z\""),
        (
            "\u{1}\u{7f}\u{1b}[2Jabcdefghijklmnopqrstuvwxyz\n",
            "line 1: expected a metric name at column 1, found \"???[2Jabcdefghijklmnopqr…\""
        ),
    ]

    @Test("garbage is refused with line and reason", arguments: refused)
    func garbage(text: String, message: String) {
        let error = #expect(throws: ExpositionError.self) { try parse(text) }
        #expect(error?.description == message)
    }

    @Test("a label value that is not UTF-8 is refused")
    func encoding() {
        let error = #expect(throws: ExpositionError.self) {
            try ExpositionParser.parse([UInt8]("x{a=\"".utf8) + [0xC3, 0x28] + [UInt8]("\"} 1\n".utf8))
        }
        #expect(error?.description == "line 1: a label value that is not UTF-8")
    }

    @Test("every limit holds, at the limit and one beyond")
    func limits() throws {
        let limits = ExpositionLimits(samples: 2, labels: 1, textLength: 4, lineLength: 24)
        #expect(try parse("x 1\ny 1\n", limits).samples.count == 2)
        #expect(try parse("abcd{efgh=\"ijkl\"} 123456\n", limits).samples.count == 1)
        let refused = [
            ("x 1\ny 1\nz 1\n", "line 3: more than 2 samples"),
            ("# TYPE x gauge\n# TYPE y gauge\n# TYPE z gauge\n", "line 3: more than 2 metric families"),
            ("x{a=\"1\",b=\"2\"} 1\n", "line 1: more than 1 labels"),
            ("abcde 1\n", "line 1: a name of more than 4 bytes"),
            ("x{abcde=\"\"} 1\n", "line 1: a name of more than 4 bytes"),
            ("x{a=\"abcde\"} 1\n", "line 1: a label value of more than 4 bytes"),
            ("abcd{efgh=\"ijkl\"} 1234567\n", "line 1: longer than 24 bytes"),
        ]
        for (text, message) in refused {
            let error = #expect(throws: ExpositionError.self) { try parse(text, limits) }
            #expect(error?.description == message)
        }
    }
}
