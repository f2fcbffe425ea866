/// Tensors of the binary extension: raw, little-endian, row-major; BYTES as a 32-bit length before each value.
enum BinaryTensor {
    static func decode(
        _ bytes: ArraySlice<UInt8>, datatype: String, count: Int, name: String
    ) throws(RequestError) -> InferenceRequest.Values {
        if datatype == "BYTES" { return .strings(try strings(bytes, count: count, name: name)) }
        guard let size = size(of: datatype) else {
            throw .bad("input `\(name)` has the datatype \(datatype), which this model does not take")
        }
        guard count <= bytes.count, count * size == bytes.count else {
            throw .bad(
                "input `\(name)` has \(bytes.count) binary bytes, \(count) values of \(datatype) need \(size) each")
        }
        return .numbers(
            bytes.withUnsafeBytes { raw in
                (0..<count).map { number(raw, at: $0 * size, datatype: datatype) }
            })
    }

    static func append(_ values: [Float], to bytes: inout [UInt8]) {
        for value in values { withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) } }
    }

    static func append(_ values: [Int64], to bytes: inout [UInt8]) {
        for value in values { withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) } }
    }

    private static func size(of datatype: String) -> Int? {
        switch datatype {
        case "BOOL", "INT8", "UINT8": 1
        case "INT16", "UINT16": 2
        case "INT32", "UINT32", "FP32": 4
        case "INT64", "UINT64", "FP64": 8
        default: nil
        }
    }

    private static func number(_ raw: UnsafeRawBufferPointer, at offset: Int, datatype: String) -> Double {
        func load<Value: FixedWidthInteger>(_ type: Value.Type) -> Value {
            Value(littleEndian: raw.loadUnaligned(fromByteOffset: offset, as: type))
        }
        return switch datatype {
        case "INT8": Double(load(Int8.self))
        case "INT16": Double(load(Int16.self))
        case "UINT16": Double(load(UInt16.self))
        case "INT32": Double(load(Int32.self))
        case "UINT32": Double(load(UInt32.self))
        case "INT64": Double(load(Int64.self))
        case "UINT64": Double(load(UInt64.self))
        case "FP32": Double(Float(bitPattern: load(UInt32.self)))
        case "FP64": Double(bitPattern: load(UInt64.self))
        default: Double(load(UInt8.self))
        }
    }

    private static func strings(_ bytes: ArraySlice<UInt8>, count: Int, name: String) throws(RequestError) -> [String] {
        var strings: [String] = []
        var rest = bytes
        while !rest.isEmpty {
            guard strings.count < count else { throw .bad("input `\(name)` has more than \(count) binary values") }
            guard rest.count >= 4 else { throw .bad("input `\(name)`: a length is cut off in its binary data") }
            let length = rest.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
            rest = rest.dropFirst(4)
            guard rest.count >= length else { throw .bad("input `\(name)`: a value is cut off in its binary data") }
            guard let text = String(validating: rest.prefix(length), as: UTF8.self) else {
                throw .bad("input `\(name)`: a value is not UTF-8")
            }
            strings.append(text)
            rest = rest.dropFirst(length)
        }
        return strings
    }
}
