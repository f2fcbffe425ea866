import AdminTypes
import JSON
import Testing
import Vocabulary

@testable import CommandLineTools

@Suite("Rendering", .timeLimit(.minutes(15)))
struct RenderingTests {
    @Test(
        "an interval of a difference has a sign at each end, and one unit",
        arguments: [
            (MeasureUnit.ratio, 0.021, 0.04, nil, "+2.1 to +4 points"),
            (.points, -0.213, 0.05, nil, "-21.3 to +5 points"),
            (.seconds, 0.044, .infinity, nil, "+44 to any ms"), (.seconds, -0.2, 1.5, nil, "-0.2 to +1.5 s"),
            (.seconds, 0.001, 0.002, 0.99, "+1 to +2 ms at P99"), (.score, -3, 0, nil, "-3 to 0"),
        ] as [(MeasureUnit, Double, Double, Double?, String)])
    func differences(unit: MeasureUnit, low: Double, high: Double, quantile: Double?, words: String) {
        let m = MeasurementStatus(
            subject: "s", unit: unit, candidate: nil, baseline: nil, candidateSamples: 1, baselineSamples: 1,
            value: nil,
            bound: Figure(0), atMost: true, verdict: .pass,
            difference: MeasurementStatus.Difference(low: Figure(low), high: Figure(high), quantile: quantile),
            notes: [])
        #expect(Words.difference(m) == words)
    }

    @Test("Columns line up, numbers to the right, without trailing spaces, with colors or without")
    func table() {
        var table = Table(("NAME", .left), ("COUNT", .right), ("NOTE", .left))
        table.add(Cell("a", .green), "5", "")
        table.add("long-name", "1,000", Cell("é", .red))
        #expect(table.lines(colored: false) == ["NAME       COUNT  NOTE", "a              5", "long-name  1,000  é"])
        #expect(table.lines(colored: true)[1] == "\u{1b}[32ma\u{1b}[0m              5")
    }

    @Test(
        "YAML strings are quoted only if a parser could read them as something else",
        arguments: [
            ("income-1", "income-1"), ("step 2: 10% for 10m", #""step 2: 10% for 10m""#), ("true", #""true""#),
            ("no", #""no""#), ("12", #""12""#), ("", #""""#), ("a #b", #""a #b""#), ("a#b", "a#b"),
            ("- x", #""- x""#), ("a:", #""a:""#), ("a:b", "a:b"), ("line\nbreak", #""line\nbreak""#),
            ("tab\t\u{1}", #""tab\t\u0001""#), (#"say "x" \"#, #"say "x" \"#), ("~", #""~""#), ("/var/lib", "/var/lib"),
            ("ends ", #""ends ""#), ("größer", "größer"),
        ])
    func yamlStrings(_ value: String, _ text: String) { #expect(YAMLText.string(value) == text) }

    @Test(
        "YAML numbers are numbers for parsers of YAML 1.1 too",
        arguments: [("1e-05", "1.0e-05"), ("1E+16", "1.0E+16"), ("1.5e-7", "1.5e-7"), ("-12", "-12"), ("0.25", "0.25")])
    func yamlNumbers(_ digits: String, _ text: String) { #expect(YAMLText.write(.number(digits)) == text + "\n") }

    @Test("the arguments of each policy are in a line, with those that are defaults")
    func policyArguments() {
        func argument(_ policy: String, _ name: String, _ value: String, _ isDefault: Bool) -> PolicyArgumentStatus {
            PolicyArgumentStatus(policy: policy, name: name, value: value, isDefault: isDefault)
        }
        let condition = EvaluationStatus.ArmCondition(
            servers: 1, reachable: 1, requests: 0, errors: 0, recentRequests: 0, recentErrors: 0, down: false)
        let evaluation = EvaluationStatus(
            verdict: .pass, dataFlowing: true, blindness: nil, baseline: condition, candidate: condition, checks: [],
            arguments: [
                argument("standard", "p95", "350ms", false), argument("standard", "maxErrors", "2%", true),
                argument("groups", "maturity", "10m", true),
            ])
        #expect(
            PolicyArgumentText.lines(evaluation) == [
                "standard with p95 350ms, maxErrors 2% (default)", "groups with maturity 10m (default)",
            ])
        #expect(PolicyArgumentText.lines(nil) == [])
    }

    @Test("YAML nests lists in maps and maps in lists")
    func yaml() throws {
        let json = #"{"a":[{"b":1,"c":[]},{"b":2,"c":[[1,2],"x"]}],"d":{},"e":null,"f":{"g":true}}"#
        #expect(
            YAMLText.write(try JSONReader.parse(Array(json.utf8))) == """
                a:
                  - b: 1
                    c: []
                  - b: 2
                    c:
                      - - 1
                        - 2
                      - x
                d: {}
                e: null
                f:
                  g: true

                """)
        #expect(YAMLText.write(.array([])) == "[]\n")
    }

    @Test("A sparkline has a given scale, shows gaps, and marks infinite values")
    func sparkline() {
        #expect(Sparkline.text([nil, 0, 1, 4, 8, .infinity], top: 8) == " ▁▁▄█×")
        #expect(Sparkline.top([[1, nil], [3, .infinity]]) == 3)
        #expect(Sparkline.text([nil, 0], top: Sparkline.top([[nil, 0]])) == " ▁")
    }

    @Test("A bar always has its width, and the smallest share is still visible")
    func bar() {
        for fraction in [0, 0.0001, 0.25, 0.5, 0.999, 1] {
            let bar = Bar.text(fraction, width: 10)
            #expect(bar.filled.count + bar.rest.count == 10)
        }
        #expect(Bar.text(0.0001, width: 10).filled == "▏")
        #expect(Bar.text(0.25, width: 10).filled == "██▌")
        #expect(Bar.text(0, width: 3).rest == "   ")
        #expect(Bar.text(1, width: 3).filled == "███")
    }

    @Test("Every number of milliseconds can be formatted as a time, including the smallest and the largest")
    func times() {
        #expect(Timestamp(milliseconds: -1).description == "1969-12-31T23:59:59.999Z")
        #expect(Timestamp(milliseconds: .max).short.hasSuffix("08-17 07:12:55"))
        #expect(Timestamp(milliseconds: .min).short.hasSuffix("05-16 16:47:04"))
    }

    @Test("Counts have separators, rates one decimal, and times are rounded up")
    func words() {
        #expect(Words.count(999) == "999")
        #expect(Words.count(1, "error") == "1 error" && Words.count(2000, "error") == "2,000 errors")
        #expect(Words.count(1_234_567) == "1,234,567")
        #expect(Words.rate(40) == "40.0")
        #expect(Words.time(0.2) == "1s")
        #expect(Words.time(101.5) == "1m42s")
        #expect(Words.seconds(Figure(.infinity)) == "errors")
        #expect(Words.seconds(nil) == "–")
    }
}
