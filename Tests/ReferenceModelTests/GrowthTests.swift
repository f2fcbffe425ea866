import Foundation
import GrowthMeasure
import Testing

@testable import ReferenceModel

@Suite("The cost of the model server's inputs is at most proportional to their size", .timeLimit(.minutes(15)))
struct GrowthTests {
    private static let bodies: [@Sendable (Int) -> String] = [
        { count in
            #"{"inputs":[{"name":"a","datatype":"FP64","shape":[\#(count)],"data":["#
                + (0..<count).map { "\($0).5e-3" }.joined(separator: ",") + "]}]}"
        },
        { count in
            #"{"inputs":[{"name":"a","datatype":"BYTES","shape":[\#(count)],"data":["#
                + (0..<count).map { #""\u00e4\n\#($0)""# }.joined(separator: ",") + "]}]}"
        },
        { count in #"{"id":"\#(String(repeating: #"\\"#, count: 10 * count))","inputs":[]}"# },
        { count in "{" + (0..<count).map { #""k\#($0)":[[]]"# }.joined(separator: ",") + "}" },
        { count in #"{"x":"# + String(repeating: "[", count: 10 * count) },
        // A request may have 256 inputs.
        { count in
            let shape = (0..<count / 50).map { _ in "1" }.joined(separator: ",")
            let input = #"{"name":"a","datatype":"FP64","shape":[\#(shape)],"data":[1]}"#
            return #"{"inputs":["# + [String](repeating: input, count: 100).joined(separator: ",") + "]}"
        },
        { count in String(repeating: " ", count: 20 * count) + "{}" },
    ]

    @Test("a request", arguments: bodies.indices)
    func request(shape: Int) {
        let factor = Growth.factor(4_000) { count in
            [UInt8](Self.bodies[shape](count).utf8)
        } _: { body in
            _ = try? InferenceRequest(parsing: body, headerLength: nil)
        }
        #expect(factor <= Growth.limit)
    }

    @Test("a binary tensor of texts")
    func binary() {
        let factor = Growth.factor(4_000) { count in
            let json =
                #"{"inputs":[{"name":"a","datatype":"BYTES","shape":[\#(count)],"parameters":{"binary_data_size":\#(5 * count)}}]}"#
            return (json.utf8.count, [UInt8](json.utf8) + (0..<count).flatMap { _ in [1, 0, 0, 0, 65] as [UInt8] })
        } _: { length, body in
            #expect(throws: Never.self) { try InferenceRequest(parsing: body, headerLength: length) }
        }
        #expect(factor <= Growth.limit)
    }

    @Test(
        "an artifact: many tensors, large ones, and a header of metadata", arguments: ["tensors", "bytes", "metadata"])
    func artifact(direction: String) throws {
        let factor = try Growth.factor(400) { count in
            Safetensors(
                metadata: Dictionary(
                    uniqueKeysWithValues: (0..<(direction == "metadata" ? 4 * count : 1)).map { ("k\($0)", "v") }),
                tensors: Dictionary(
                    uniqueKeysWithValues: (0..<(direction == "tensors" ? count : 1)).map {
                        let values = [Int8](repeating: 1, count: direction == "bytes" ? 1_000 * count : 1)
                        return ("t\($0)", Safetensors.Tensor(values, shape: [values.count]))
                    })
            ).encoded()
        } _: { bytes in
            _ = try Safetensors(parsing: bytes)
        }
        #expect(factor <= Growth.limit)
    }

    @Test("rows of a data set")
    func rows() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "growth-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let row = AdultData.header.map {
            AdultData.categoryColumns.contains($0) ? "a" : AdultData.numberColumns.contains($0) ? "12" : "1"
        }.joined(separator: ",")
        let factor = try Growth.factor(500) { count in
            let path = folder.appending(path: "\(count).csv")
            let text = AdultData.header.joined(separator: ",") + "\n" + String(repeating: row + "\n", count: count)
            try text.write(to: path, atomically: true, encoding: .utf8)
            return path.path
        } _: { path in
            var reader = AdultReader()
            try reader.read(path: path)
            _ = reader.finish(trainingRows: 1)
        }
        #expect(factor <= Growth.limit)
    }
}
