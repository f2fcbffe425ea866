/// Tensors of the binary extension: raw, little-endian, row-major; BYTES as a 32-bit length before each value.
enum BinaryTensor {
    static func decode(
        _ bytes: ArraySlice<UInt8>, datatype: Datatype, count: Int, name: String
    ) throws(RequestError) -> InferenceRequest.Values {
        guard let size = datatype.size else { return .strings(try strings(bytes, count: count, name: name)) }
        guard count <= bytes.count, count * size == bytes.count else {
            throw .bad(
                "input `\(name)` has \(bytes.count) binary bytes, \(count) values of \(datatype.rawValue) need \(size) "
                    + "each")
        }
        let numbers = bytes.withUnsafeBytes { raw in
            (0..<count).map { number(raw, at: $0 * size, datatype: datatype) }
        }
        // Every pattern of bits is a value of the integers; a byte that is neither 0 nor 1 is no BOOL, and what is not
        // finite no model can use.
        if let place = numbers.firstIndex(where: { !datatype.holds($0) }) {
            throw .bad(
                "input `\(name)` is \(datatype.rawValue), and value \(place) of its binary data is \(numbers[place]), which "
                    + "is not \(datatype.range)")
        }
        return .numbers(numbers)
    }

    static func append(_ values: [Float], to bytes: inout [UInt8]) {
        for value in values { withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) } }
    }

    static func append(_ values: [Int64], to bytes: inout [UInt8]) {
        for value in values { withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) } }
    }

    private static func number(_ raw: UnsafeRawBufferPointer, at offset: Int, datatype: Datatype) -> Double {
        func load<Value: FixedWidthInteger>(_ type: Value.Type) -> Value {
            Value(littleEndian: raw.loadUnaligned(fromByteOffset: offset, as: type))
        }
        return switch datatype {
        case .bool, .uint8: Double(load(UInt8.self))
        case .int8: Double(load(Int8.self))
        case .int16: Double(load(Int16.self))
        case .uint16: Double(load(UInt16.self))
        case .int32: Double(load(Int32.self))
        case .uint32: Double(load(UInt32.self))
        case .int64: Double(load(Int64.self))
        case .uint64: Double(load(UInt64.self))
        case .fp32: Double(Float(bitPattern: load(UInt32.self)))
        case .fp64: Double(bitPattern: load(UInt64.self))
        case .bytes: preconditionFailure("BYTES are no numbers")
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
