import PlainText

/// The datatypes of the Open Inference Protocol that this server reads. FP16, which JSON cannot hold exactly and no
/// column needs, is not among them.
enum Datatype: String, CaseIterable, Sendable {
    case bool = "BOOL"
    case int8 = "INT8"
    case int16 = "INT16"
    case int32 = "INT32"
    case int64 = "INT64"
    case uint8 = "UINT8"
    case uint16 = "UINT16"
    case uint32 = "UINT32"
    case uint64 = "UINT64"
    case fp32 = "FP32"
    case fp64 = "FP64"
    case bytes = "BYTES"

    static let names = allCases.map(\.rawValue).joined(separator: ", ")

    init?(named name: String) {
        guard let known = Self.allCases.first(where: { $0.rawValue.hasSameBytes(as: name) }) else { return nil }
        self = known
    }

    /// Bytes of a value in the binary tensor extension; nil for `BYTES`, whose values have their length before them.
    var size: Int? {
        switch self {
        case .bool, .int8, .uint8: 1
        case .int16, .uint16: 2
        case .int32, .uint32, .fp32: 4
        case .int64, .uint64, .fp64: 8
        case .bytes: nil
        }
    }

    /// True if a number is a value of this type. Numbers are read as doubles, so that one within 512 of the upper end
    /// of INT64, or within 1,024 of that of UINT64, counts as inside.
    func holds(_ value: Double) -> Bool {
        switch self {
        case .bool: value == 0 || value == 1
        case .int8: isWhole(value, -0x1p7, 0x1p7 - 1)
        case .int16: isWhole(value, -0x1p15, 0x1p15 - 1)
        case .int32: isWhole(value, -0x1p31, 0x1p31 - 1)
        case .int64: isWhole(value, -0x1p63, 0x1p63)
        case .uint8: isWhole(value, 0, 0x1p8 - 1)
        case .uint16: isWhole(value, 0, 0x1p16 - 1)
        case .uint32: isWhole(value, 0, 0x1p32 - 1)
        case .uint64: isWhole(value, 0, 0x1p64)
        case .fp32: Float(value).isFinite
        case .fp64: value.isFinite
        case .bytes: false
        }
    }

    private func isWhole(_ value: Double, _ least: Double, _ most: Double) -> Bool {
        value == value.rounded(.towardZero) && value >= least && value <= most
    }

    /// The values of the type, as messages describe them.
    var range: String {
        switch self {
        case .bool: "true, false, 1 or 0"
        case .int8: "a whole number from -128 to 127"
        case .int16: "a whole number from -32768 to 32767"
        case .int32: "a whole number from -2^31 to 2^31 - 1"
        case .int64: "a whole number from -2^63 to 2^63 - 1"
        case .uint8: "a whole number from 0 to 255"
        case .uint16: "a whole number from 0 to 65535"
        case .uint32: "a whole number from 0 to 2^32 - 1"
        case .uint64: "a whole number from 0 to 2^64 - 1"
        case .fp32: "a number that is finite in 32 bits"
        case .fp64: "a finite number"
        case .bytes: "a string"
        }
    }
}
