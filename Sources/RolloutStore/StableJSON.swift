import FoundationEssentials

/// Converts states, evidence and evaluations to JSON and back.
struct StableJSON {
    private let decoder = JSONDecoder()

    init() {
        // JSON has no infinite numbers and no NaN, so `JSONText` writes them as strings.
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    }

    func text(_ value: some Encodable) throws(StoreError) -> String {
        do { return String(decoding: try JSONText.bytes(of: value), as: UTF8.self) } catch {
            throw StoreError(.unreadable, "a \(type(of: value)) cannot be written as JSON: \(Self.words(error))")
        }
    }

    func value<T: Decodable>(_: T.Type, _ text: String) throws(StoreError) -> T {
        do { return try decoder.decode(T.self, from: Data(text.utf8)) } catch {
            throw StoreError(.unreadable, Self.words(error))
        }
    }

    /// An error as one line: the key path, and what is wrong there.
    private static func words(_ error: any Error) -> String {
        let context: DecodingError.Context
        switch error {
        case DecodingError.keyNotFound(let key, let at):
            return place(at.codingPath + [key]) + " is missing"
        case DecodingError.valueNotFound(_, let at), DecodingError.typeMismatch(_, let at),
            DecodingError.dataCorrupted(let at):
            context = at
        case EncodingError.invalidValue(let value, let at): return "\(place(at.codingPath)) cannot be \(value)"
        default: return "\(error)"
        }
        return "\(place(context.codingPath)): \(context.debugDescription)"
    }

    private static func place(_ path: [any CodingKey]) -> String {
        path.isEmpty ? "the value" : path.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
    }
}
