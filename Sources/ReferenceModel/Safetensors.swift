import JSON

/// The safetensors file format: eight bytes with the length of a JSON header, the header, then the raw little-endian
/// tensors without gaps. It is read strictly: an ambiguous file is refused.
struct Safetensors: Hashable, Sendable {
    enum ElementType: String, CaseIterable, Hashable, Sendable {
        case int8 = "I8"
        case float32 = "F32"

        var size: Int { self == .int8 ? 1 : 4 }
    }

    struct Tensor: Hashable, Sendable {
        var type: ElementType
        var shape: [Int]
        /// The elements, little-endian, row-major.
        var bytes: [UInt8]
    }

    /// The largest header in bytes. The format's own limit is 100 MB; the artifacts' headers have 4 kB.
    static let headerLimit = 1 << 20
    static let tensorLimit = 1_000
    static let fileLimit = 64 << 20

    var metadata: [String: String] = [:]
    var tensors: [String: Tensor] = [:]

    static func read(_ path: String) throws(FileError) -> Safetensors {
        let bytes = try FileBytes.read(path, limit: fileLimit)
        do throws(JSONError) {
            return try Safetensors(parsing: bytes)
        } catch {
            throw FileError(path: path, message: "is not a usable safetensors file: \(error.message)")
        }
    }

    func write(_ path: String) throws(FileError) { try FileBytes.write(encoded(), to: path) }

    init(metadata: [String: String] = [:], tensors: [String: Tensor] = [:]) {
        self.metadata = metadata
        self.tensors = tensors
    }

    /// The file's bytes. Tensors are in the order of their names; the header is padded with spaces so that the tensors
    /// start at a multiple of 8.
    func encoded() -> [UInt8] {
        let names = tensors.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        var writer = JSONWriter(capacity: 4096)
        var offset = 0
        writer.object { writer in
            writer.key("__metadata__")
            writer.object { writer in
                for key in metadata.keys.sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) {
                    writer.key(key)
                    writer.string(metadata[key]!)
                }
            }
            for name in names {
                let tensor = tensors[name]!
                writer.key(name)
                writer.object { writer in
                    writer.key("dtype")
                    writer.string(tensor.type.rawValue)
                    writer.key("shape")
                    writer.array { writer in for extent in tensor.shape { writer.number(extent) } }
                    writer.key("data_offsets")
                    writer.array { writer in
                        writer.number(offset)
                        writer.number(offset + tensor.bytes.count)
                    }
                }
                offset += tensor.bytes.count
            }
        }
        var header = writer.bytes
        header += Array(repeating: UInt8(ascii: " "), count: (8 - header.count % 8) % 8)
        var file = [UInt8]()
        file.reserveCapacity(8 + header.count + offset)
        for shift in stride(from: 0, to: 64, by: 8) { file.append(UInt8(truncatingIfNeeded: header.count >> shift)) }
        file += header
        for name in names { file += tensors[name]!.bytes }
        return file
    }
}

extension Safetensors.Tensor {
    init(_ values: [Float], shape: [Int]) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(values.count * 4)
        for value in values {
            let bits = value.bitPattern
            for shift in stride(from: 0, to: 32, by: 8) {
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(shift)))
            }
        }
        self.init(type: .float32, shape: shape, bytes: bytes)
    }

    init(_ values: [Int8], shape: [Int]) {
        self.init(type: .int8, shape: shape, bytes: values.map { UInt8(bitPattern: $0) })
    }

    var floats: [Float] {
        (0..<bytes.count / 4).map { index in
            var bits: UInt32 = 0
            for byte in 0..<4 { bits |= UInt32(bytes[index * 4 + byte]) << UInt32(8 * byte) }
            return Float(bitPattern: bits)
        }
    }

    var integers: [Int8] { bytes.map { Int8(bitPattern: $0) } }
}
