import JSON
import Testing

@testable import ReferenceModel

@Suite(.timeLimit(.minutes(15))) struct SafetensorsTests {
    private static func file(_ header: String, data: Int) -> [UInt8] {
        let length = UInt64(header.utf8.count)
        return (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + Array(header.utf8)
            + Array(repeating: 1, count: data)
    }

    @Test("A written file reads back, metadata included")
    func roundTrip() throws {
        var file = Safetensors(metadata: ["a": "1", "quote": "\"\\\n\u{1F600}"])
        file.tensors["x"] = .init([1.5, -0.0, .leastNonzeroMagnitude], shape: [3])
        file.tensors["b"] = .init([Int8](arrayLiteral: -127, 0, 5, 127), shape: [2, 2])
        file.tensors["empty"] = .init([Float](), shape: [0, 4])
        let bytes = file.encoded()
        #expect((8 + Int(bytes[0]) + Int(bytes[1]) * 256) % 8 == 0)
        let read = try Safetensors(parsing: bytes)
        #expect(read == file)
        #expect(read.tensors["x"]?.floats.map(\.bitPattern) == [0x3FC0_0000, 0x8000_0000, 1])
        #expect(read.tensors["b"]?.integers == [-127, 0, 5, 127])
    }

    @Test(
        "An ambiguous file is refused with the reason",
        arguments: [
            (Array(repeating: UInt8(0), count: 7), "truncated: 7 bytes"),
            (file("{}", data: 0).dropLast().map { $0 }, "truncated: the header needs 2 bytes, 1 are there"),
            ([0, 0, 0, 0, 0, 1, 0, 0], "a header of 1099511627776 bytes, more than the limit"),
            (file("[]", data: 0), "expected an object"),
            (file("{} x", data: 0), "text after the end"),
            (
                file(#"{"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, data: 7),
                "truncated: the tensors need 8"
            ),
            (
                file(#"{"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, data: 9),
                "1 bytes after the last tensor"
            ),
            (file(#"{"t":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, data: 4), "has 4 bytes where its type"),
            (file(#"{"t":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}"#, data: 4), "has the type F16"),
            (file(#"{"t":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, data: 4), "negative"),
            (file(#"{"t":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, data: 4), "first not after the second"),
            (file(#"{"t":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}"#, data: 4), "expected a whole number"),
            (
                file(
                    #"{"t":{"dtype":"F32","shape":[9007199254740992,9007199254740992],"data_offsets":[0,4]}}"#, data: 4),
                "too large to count"
            ),
            (
                file(
                    #"{"a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"I8","shape":[4],"data_offsets":[2,6]}}"#,
                    data: 6), "tensor `b` overlaps"
            ),
            (file(#"{"a":{"dtype":"I8","shape":[2],"data_offsets":[1,3]}}"#, data: 3), "a gap before tensor `a`"),
            (
                file(
                    #"{"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"I8","shape":[1],"data_offsets":[1,2]}}"#,
                    data: 2), "`a` comes twice"
            ),
            (file(#"{"__metadata__":{"a":"1","a":"2"}}"#, data: 0), "`a` comes twice in the metadata"),
            (file(#"{"__metadata__":{"a":1}}"#, data: 0), "expected a string"),
            (file(#"{"t":{"dtype":"I8","shape":[1],"data_offsets":[0,1],"x":0}}"#, data: 1), "unknown key `x`"),
        ] as [([UInt8], String)])
    func refused(bytes: [UInt8], message: String) {
        let error = #expect(throws: JSONError.self) { try Safetensors(parsing: bytes) }
        #expect(error?.message.contains(message) == true, "\(String(describing: error))")
    }

    @Test("Too many tensors are refused")
    func tensorLimit() {
        let entries = (0...Safetensors.tensorLimit + 1).map {
            #""t\#($0)":{"dtype":"I8","shape":[0],"data_offsets":[0,0]}"#
        }
        let error = #expect(throws: JSONError.self) {
            try Safetensors(parsing: Self.file("{" + entries.joined(separator: ",") + "}", data: 0))
        }
        #expect(error?.message == "more than 1000 tensors")
    }

    @Test("An artifact survives its file, FP32 and INT8", arguments: Artifact.Kind.allCases)
    func artifactRoundTrip(kind: Artifact.Kind) throws {
        let artifact = try #require(AdultFixture.artifacts[kind])
        let directory = TemporaryDirectory()
        try artifact.write("\(directory.path)/a.safetensors")
        #expect(try Artifact.load("\(directory.path)/a.safetensors") == artifact)
    }

    private static let flaws: [(change: @Sendable (inout Safetensors) -> Void, message: String)] = [
        ({ $0.metadata["format"] = "other" }, "its format is `other`"),
        ({ $0.metadata["kind"] = nil }, "its metadata has no `kind`"),
        ({ $0.metadata["kind"] = "fp64" }, "its kind `fp64` is unknown"),
        ({ $0.metadata["seed"] = "-1" }, "its seed is not a number"),
        ({ $0.metadata["encoding"] = "[]" }, "its encoding has 0 columns"),
        ({ $0.metadata["encoding"] = #"[{"name":"a","mean":0,"deviation":0}]"# }, "needs a name, and mean"),
        ({ $0.tensors["layers.0.weight"] = nil }, "it has no tensor `layers.0.weight`"),
        ({ $0.tensors["layers.1.bias"] = nil }, "it has no tensor `layers.1.bias`"),
        ({ $0.tensors["layers.9.bias"] = .init([Float(1)], shape: [1]) }, "tensor `layers.9.bias` belongs to no layer"),
        ({ $0.tensors["layers.2.bias"] = .init([Int8(1)], shape: [1]) }, "is I8 [1], expected F32 [1]"),
        ({ $0.tensors["layers.2.bias"] = .init([Float.nan], shape: [1]) }, "holds a value that is not finite"),
        ({ $0.tensors["layers.0.weight"] = .init([Float(1)], shape: [1, 1]) }, "has the shape [1, 1], expected"),
    ]

    @Test("An incomplete artifact is refused with the reason", arguments: flaws.indices)
    func artifactRefused(index: Int) throws {
        var file = try #require(AdultFixture.artifacts[.fp32]).safetensors()
        Self.flaws[index].change(&file)
        let error = #expect(throws: JSONError.self) { try Artifact(file) }
        #expect(error?.message.contains(Self.flaws[index].message) == true, "\(String(describing: error))")
    }
}
