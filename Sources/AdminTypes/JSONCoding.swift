import FoundationEssentials
import JSON
import PlainText

/// How our types become bytes: keys sorted, slashes as they are, so that the same value always gives the same text; and
/// nothing in them steers the terminal that shows them.
public enum JSONCoding {
    public static func encode(_ value: some Encodable, pretty: Bool = false) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        if pretty { encoder.outputFormatting.insert(.prettyPrinted) }
        return escapedForDisplay(json: Array(try encoder.encode(value)))
    }

    public static func decode<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value {
        try JSONDecoder().decode(type, from: Data(bytes))
    }

    /// What the agent's store wrote, where numbers may be infinite.
    public static func decodeStored<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return try decoder.decode(type, from: Data(bytes))
    }

    /// Converts a value to a tree, for other forms of output.
    public static func tree(_ value: some Encodable) throws -> JSONValue { try JSONReader.parse(encode(value)) }
}
