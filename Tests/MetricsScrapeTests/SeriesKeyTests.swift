import PrometheusText
import Testing

@testable import MetricsScrape

@Suite("Keys of series", .timeLimit(.minutes(15)))
struct SeriesKeyTests {
    @Test("labels are told apart by their bytes, names and values")
    func distinct() {
        let sets: [[Label]] = [
            [], [Label("a", "b")], [Label("a", "b"), Label("c", "d")], [Label("a", "b,c=d")], [Label("a", "b%2cc")],
            [Label("a", "é")], [Label("a", "e\u{301}")], [Label("a=b", "")], [Label("a", "=b")], [Label("a", "\n")],
        ]
        let keys = sets.map { SeriesKey.text($0) }
        #expect(Set(keys).count == sets.count)
        #expect(SeriesKey.text(of: "x", [Label("a", "b")]) != SeriesKey.text(of: "y", [Label("a", "b")]))
    }

    @Test("keys are visible ASCII and bounded, and still differ where the labels do")
    func bounded() {
        let marks = String(repeating: "\u{301}", count: 2_048)
        let keys = ["a", "b"].map { SeriesKey.text([Label("l", marks + $0)]) }
        #expect(keys[0] != keys[1])
        for key in keys {
            #expect(key.utf8.count < SeriesKey.longest + 20)
            #expect(key.utf8.allSatisfy { (0x21..<0x7F).contains($0) })
        }
    }
}
