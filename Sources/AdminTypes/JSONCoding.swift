import FoundationEssentials
import JSON
import PlainText

/// The JSON coding of the API's types. Keys are sorted and slashes are not escaped, so that the same value always gives the
/// same text. Characters that control a terminal are escaped.
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

    /// Decodes what the agent's store wrote, in which numbers may be infinite.
    public static func decodeStored<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return try decoder.decode(type, from: Data(bytes))
    }

    /// Converts a value to a tree, from which other output formats are written.
    public static func tree(_ value: some Encodable) throws -> JSONValue { try JSONReader.parse(encode(value)) }
}
