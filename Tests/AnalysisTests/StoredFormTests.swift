import FoundationEssentials
import PolicyModel
import Testing

@testable import Analysis

/// The compact forms in which parts of a judge are stored, and those of earlier builds.
@Suite("Stored forms", .timeLimit(.minutes(15)))
struct StoredFormTests {
    private func decode<Value: Decodable>(_: Value.Type, _ text: String) throws -> Value {
        try JSONDecoder().decode(Value.self, from: Data(text.utf8))
    }

    private func text(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    @Test("a latency profile is stored by runs of buckets, and lists of buckets are read")
    func profile() throws {
        let old = try decode(LatencyProfile.self, #"{"failed":2,"buckets":[5,6,9,700],"counts":[1,2,3,4]}"#)
        #expect(old.total == 12 && old.failed == 2)
        let stored = try text(old)
        #expect(stored == #"{"counts":[1,2,3,4],"failed":2,"runs":[5,2,9,1,700,1]}"#)
        #expect(try decode(LatencyProfile.self, stored) == old)
        #expect(try decode(LatencyProfile.self, text(LatencyProfile())) == LatencyProfile())
    }

    @Test(
        "runs that cannot be are cut short",
        arguments: [
            "[-1,5]", "[5]", "[1000000,2]", "[5,-3]", "[9223372036854775807,1]", "[5,9223372036854775807]",
            "[0,100000,0,100000,0,100000]",
        ])
    func hostile(runs: String) throws {
        let profile = try decode(LatencyProfile.self, #"{"failed":0,"runs":\#(runs),"counts":[1,2,3]}"#)
        #expect(profile.total == (runs.hasPrefix("[5,9") || runs.hasPrefix("[0") ? 6 : 0))
    }

    @Test("a trace is stored in thousandths, and one of an earlier build is rounded to them")
    func trace() throws {
        var trace = EvidenceTrace()
        for (second, evidence) in [0.12345, -3, 1e300, .infinity, -.infinity, .nan].enumerated() {
            trace.record(evidence, at: Int64(second))
        }
        #expect(trace.points.prefix(2) == [0.123, -3] && trace.points.count == 6)
        #expect(try decode(EvidenceTrace.self, text(trace)) == trace)
        let old = try decode(EvidenceTrace.self, #"{"points":[0.12345,-3],"spacing":2,"begin":7}"#)
        #expect(old.points == [0.123, -3] && old.spacing == 2 && old.begin == 7)
    }

    @Test(
        "a trace whose numbers would overflow is refused",
        arguments: [
            #""thousandths":[1],"spacing":0"#, #""thousandths":[1],"spacing":-1,"begin":7"#,
            #""thousandths":[1],"spacing":9223372036854775807,"begin":7"#,
            #""thousandths":[1],"spacing":1,"begin":-9223372036854775808"#,
            "\"thousandths\":[\([String](repeating: "1", count: 121).joined(separator: ","))],\"spacing\":1",
        ])
    func hostileTrace(fields: String) {
        #expect(throws: DecodingError.self) { try decode(EvidenceTrace.self, "{\(fields)}") }
    }
}
