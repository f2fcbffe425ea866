import FoundationEssentials
import PrometheusText
import Testing

@Suite("Damaged expositions", .timeLimit(.minutes(15)))
struct DamagedTextTests {
    @Test("a damaged scrape is read or refused at one of its lines, never worse", arguments: 0..<300)
    func damaged(seed: UInt64) throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures")
        var text = [UInt8](try Data(contentsOf: folder.appending(path: "triton.txt")))
        var random = SplitMix(state: seed)
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let place = Int.random(in: 0..<text.count, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0: text[place] = UInt8.random(in: 0...255, using: &random)
            case 1: text.insert([10, 34, 92, 123, 125, 35, 32].randomElement(using: &random)!, at: place)
            case 2: text.removeSubrange(place..<min(text.count, place + 9))
            default: text.swapAt(place, Int.random(in: 0..<text.count, using: &random))
            }
        }
        let lines = text.count { $0 == UInt8(ascii: "\n") } + 1
        do throws(ExpositionError) {
            let exposition = try ExpositionParser.parse(text)
            #expect(exposition.samples.count <= lines)
            #expect(exposition.samples.allSatisfy { !$0.name.isEmpty && $0.family < exposition.families.count })
        } catch {
            #expect((1...lines).contains(error.line) && !error.reason.isEmpty)
        }
    }
}
