import FoundationEssentials
import Statistics
import Testing

@Suite("Stored strata", .timeLimit(.minutes(15)))
struct StratumCodingTests {
    private func decode(_ text: String) throws -> Stratum {
        try JSONDecoder().decode(Stratum.self, from: Data(text.utf8))
    }

    @Test("a stratum is stored as four numbers, and the objects of earlier builds are read")
    func forms() throws {
        let stratum = Stratum(candidate: Tally(1, of: 20), baseline: Tally(3, of: 400))
        #expect(String(decoding: try JSONEncoder().encode(stratum), as: UTF8.self) == "[1,20,3,400]")
        #expect(try decode("[1,20,3,400]") == stratum)
        #expect(
            try decode(#"{"candidate":{"hits":1,"trials":20},"baseline":{"hits":3,"trials":400}}"#) == stratum)
    }

    @Test(
        "impossible counts and other lengths are refused",
        arguments: ["[2,1,0,0]", "[0,0,2,1]", "[-1,1,0,0]", "[1,20,3]", "[]", "[1.5,2,0,0]", "{}", "3"])
    func hostile(text: String) { #expect(throws: DecodingError.self) { try decode(text) } }
}
