import Statistics
import Testing

@testable import ReferenceModel

/// Damaged input of every kind: it is read or refused, and never brings the process down.
@Suite(.timeLimit(.minutes(15))) struct HostileInputTests {
    /// Overwrites, removes, repeats or inserts a few bytes.
    private func damage(_ bytes: [UInt8], _ generator: inout SplitMix64) -> [UInt8] {
        var bytes = bytes
        for _ in 0...generator.below(3) {
            guard !bytes.isEmpty else { break }
            let place = generator.below(bytes.count)
            switch generator.below(5) {
            case 0: bytes[place] = UInt8(truncatingIfNeeded: generator.next())
            case 1: bytes.remove(at: place)
            case 2: bytes.insert(Array("{}[]\",:-0.eE9\\".utf8)[generator.below(14)], at: place)
            case 3: bytes.insert(contentsOf: bytes[place..<min(bytes.count, place + 8)], at: place)
            default: bytes.removeSubrange(place..<min(bytes.count, place + 1 + generator.below(32)))
            }
        }
        return bytes
    }

    @Test("Inference requests, JSON and binary")
    func requests() throws {
        let artifact = try #require(AdultFixture.artifacts[.fp32])
        let json = TrafficRows(data: AdultFixture.subset, rows: [0]).inferenceBody(0)
        let head = #"{"inputs":[{"name":"sex","datatype":"BYTES","shape":[2],"parameters":{"binary_data_size":18}}]}"#
        let binary = Array(head.utf8) + [6, 0, 0, 0] + Array("Female".utf8) + [4, 0, 0, 0] + Array("Male".utf8)
        var generator = SplitMix64(seed: 11)
        var (read, refused) = (0, 0)
        for round in 0..<1_500 {
            let isBinary = round % 2 == 0
            let body = damage(isBinary ? binary : json, &generator)
            let length = isBinary ? min(body.count, head.utf8.count) : nil
            do {
                let request = try InferenceRequest(parsing: body, headerLength: length)
                _ = try? artifact.encoding.features(of: request)
                read += 1
            } catch {
                #expect(error.status == 400)
                refused += 1
            }
        }
        #expect(read > 20 && refused > 500)
    }

    @Test("Artifact files")
    func artifacts() throws {
        let bytes = try #require(AdultFixture.artifacts[.int8]).safetensors().encoded()
        let header = 8 + Int(bytes[0]) + Int(bytes[1]) << 8
        var generator = SplitMix64(seed: 12)
        var refused = 0
        for _ in 0..<150 {
            // The header is where the meaning is.
            let damaged = damage(Array(bytes[..<header]), &generator) + bytes[header...]
            guard let file = try? Safetensors(parsing: damaged), (try? Artifact(file)) != nil else {
                refused += 1
                continue
            }
        }
        #expect(refused > 75)
    }
}
