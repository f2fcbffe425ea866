import GrowthMeasure
import PrometheusText
import Testing

/// Pages of twice the size, in every direction in which a page can grow.
@Suite("The cost of a metrics page grows with its size", .timeLimit(.minutes(15)))
struct GrowthTests {
    private static let limits = ExpositionLimits(samples: .max, labels: 64, textLength: .max, lineLength: .max)

    struct Shape: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var line: @Sendable (Int) -> String
    }

    static let shapes = [
        Shape(testDescription: "samples of one name") { #"x{i="\#($0)"} \#($0)"# + "\n" },
        Shape(testDescription: "samples of many names") { "x\($0)_total \($0)\n" },
        Shape(testDescription: "quoted names") { #"{"x.\#($0)","label.\#($0)"="v"} 1"# + "\n" },
        Shape(testDescription: "families") { "# TYPE x\($0) counter\n# HELP x\($0) text\n" },
        Shape(testDescription: "comments") { "# \($0)\n" },
        Shape(testDescription: "many labels, other names on each line") { place in
            "x{" + (0..<64).map { "l\(place)_\($0)=\"\"" }.joined(separator: ",") + "} 1\n"
        },
        Shape(testDescription: "escapes") { _ in #"x{a="\\\"\n\\\"\n\\\"\n\\\"\n"} 1"# + "\n" },
        Shape(testDescription: "histograms of one bucket") {
            "h_bucket{le=\"+Inf\",i=\"\($0)\"} 1\nh_sum{i=\"\($0)\"} 1\nh_count{i=\"\($0)\"} 1\n"
        },
        Shape(testDescription: "buckets of one histogram") { "h_bucket{le=\"\($0)\"} \($0)\n" },
        Shape(testDescription: "quantiles of summaries") {
            "s{quantile=\"0.5\",i=\"\($0)\"} 1\ns_sum{i=\"\($0)\"} 1\n"
        },
        // Normalizing them would cost a thousand times as much as reading them.
        Shape(testDescription: "label values of combining marks") {
            "x{i=\"\($0)\(String(repeating: "\u{301}\u{323}", count: 100))\"} 1\n"
        },
        Shape(testDescription: "names of combining marks") {
            "{\"x\($0)\(String(repeating: "\u{301}\u{323}", count: 100))\"} 1\n"
        },
        Shape(testDescription: "the same sample again and again") { _ in "x 1\n" },
    ]

    @Test("the parser", arguments: shapes)
    func parser(shape: Shape) throws {
        let factor = try Growth.factor(1_000) { count in
            [UInt8]((0..<count).map(shape.line).joined().utf8)
        } _: { text in
            _ = try ExpositionParser.parse(text, limits: Self.limits)
        }
        #expect(factor <= Growth.limit)
    }

    @Test("one line that grows", arguments: [#"x{a=""#, "# HELP x ", "#", "x 1 # "])
    func line(start: String) {
        let factor = Growth.factor(200_000) { count in
            [UInt8]((start + String(repeating: #"\\ "#, count: count) + "\n").utf8)
        } _: { text in
            _ = try? ExpositionParser.parse(text, limits: Self.limits)
        }
        #expect(factor <= Growth.limit)
    }

    @Test("what is read from a page", arguments: shapes)
    func views(shape: Shape) throws {
        let factor = try Growth.factor(1_000) { count in
            try ExpositionParser.parse([UInt8]((0..<count).map(shape.line).joined().utf8), limits: Self.limits)
        } _: { page in
            for name in ["x", "h_bucket"] { _ = page.select(SeriesSelector(name, [LabelMatcher("i", .differs("7"))])) }
            _ = page.sum(SeriesSelector("x"))
            _ = page.histograms(SeriesSelector("h"))
            _ = page.summaries(SeriesSelector("s"))
            // Reading all names costs something on every page, so that the times can be compared.
            _ = page.samples.map(\.name.utf8.count)
        }
        #expect(factor <= Growth.limit)
    }

    @Test("a selector of a policy")
    func selector() {
        let factor = Growth.factor(200_000) { count in
            #"x{a=""# + String(repeating: #"\""#, count: count) + #""}"#
        } _: { text in
            _ = try? SeriesSelector(parsing: text)
        }
        #expect(factor <= Growth.limit)
    }
}
