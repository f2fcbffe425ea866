import PrometheusText
import Testing

@Suite("Exposition writer", .timeLimit(.minutes(15)))
struct ExpositionWriterTests {
    @Test("prints counters, gauges and histograms as Prometheus reads them")
    func text() {
        var writer = ExpositionWriter()
        writer.family("requests_total", .counter, "Requests \\ so\nfar.")
        writer.sample("requests_total", [("code", "200"), ("model", "a\"b\\c\nd")], value: 12)
        writer.family("load", .gauge, "Load.")
        writer.sample("load", value: 0.1)
        writer.sample("load", [("of", "none")], value: .nan)
        writer.family("seconds", .histogram, "Durations.")
        writer.histogram("seconds", [("model", "m")], bounds: [0.005, 1], counts: [1, 2, 3], sum: 7.5)
        writer.histogram("seconds", bounds: [], counts: [4], sum: -.infinity)
        let expected = #"""
            # HELP requests_total Requests \\ so\nfar.
            # TYPE requests_total counter
            requests_total{code="200",model="a\"b\\c\nd"} 12
            # HELP load Load.
            # TYPE load gauge
            load 0.1
            load{of="none"} NaN
            # HELP seconds Durations.
            # TYPE seconds histogram
            seconds_bucket{model="m",le="0.005"} 1
            seconds_bucket{model="m",le="1"} 3
            seconds_bucket{model="m",le="+Inf"} 6
            seconds_sum{model="m"} 7.5
            seconds_count{model="m"} 6
            seconds_bucket{le="+Inf"} 4
            seconds_sum -Inf
            seconds_count 4

            """#
        #expect(String(decoding: writer.bytes, as: UTF8.self) == expected)
    }

    @Test("whatever is written is read back the same", arguments: 0..<200)
    func roundTrip(seed: UInt64) throws {
        var random = SplitMix(state: seed)
        var writer = ExpositionWriter()
        var written: [Sample] = []
        var families: [Family] = []
        for family in 0..<Int.random(in: 1...5, using: &random) {
            let name = "f\(family):\(String(repeating: "x", count: Int.random(in: 0...20, using: &random)))"
            let kind: FamilyKind = [.counter, .gauge, .untyped].randomElement(using: &random)!
            // The format does not keep white space around a help text.
            let help = "h" + Self.text(&random) + "."
            writer.family(name, kind, help)
            families.append(Family(name: name, kind: kind, help: help))
            for _ in 0..<Int.random(in: 0...6, using: &random) {
                let labels = (0..<Int.random(in: 0...5, using: &random)).map { Label("l\($0)", Self.text(&random)) }
                let value = Self.value(&random)
                writer.sample(name, labels.map { ($0.name, $0.value) }, value: value)
                written.append(Sample(name: name, labels: labels, value: value, family: family))
            }
        }
        let read = try ExpositionParser.parse(writer.bytes)
        #expect(read.families == families)
        #expect(read.samples == written)
    }

    private static func text(_ random: inout SplitMix) -> String {
        let alphabet: [Character] = [
            "a", "\"", "\\", "\n", "n", " ", "\t", "{", "}", ",", "=", "#", "é", "\u{1F426}", "\r",
        ]
        return String((0..<Int.random(in: 0...12, using: &random)).map { _ in alphabet.randomElement(using: &random)! })
    }

    private static func value(_ random: inout SplitMix) -> Double {
        switch Int.random(in: 0..<5, using: &random) {
        case 0: Double(Int.random(in: -1_000_000...1_000_000, using: &random))
        case 1: Double.random(in: -1...1, using: &random)
        case 2: Bool.random(using: &random) ? .infinity : -.infinity
        case 3: Double(sign: .plus, exponent: Int.random(in: -300...300, using: &random), significand: 1.1)
        default: Double(UInt64.random(in: 0...(.max), using: &random))
        }
    }
}

/// A seeded generator, so that a failure can be reproduced.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
