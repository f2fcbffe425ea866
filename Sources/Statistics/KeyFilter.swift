/// Remembers in 8 KiB which keys (users) were seen, so that each is counted once: requests of the same user are not
/// independent of each other, requests of different users are. A key that hashes to the place of an earlier key counts
/// as seen. This hash is independent of the one that assigns arms, so leaving out such keys favors neither arm.
public struct KeyFilter: Hashable, Sendable {
    private static let places = 1 << 16
    /// A bit for each place; empty before the first key.
    private var words: [UInt64] = []

    public init() {}

    /// Adds a key.
    /// - Returns: true if it was not seen before.
    public mutating func insert(_ key: UInt64) -> Bool { take(Int(SplitMix64.hash(key) % UInt64(Self.places))) }

    /// - Returns: true if the place was free.
    private mutating func take(_ place: Int) -> Bool {
        if words.isEmpty { words = [UInt64](repeating: 0, count: Self.places / 64) }
        let bit: UInt64 = 1 << UInt64(place % 64)
        let isNew = words[place / 64] & bit == 0
        words[place / 64] |= bit
        return isNew
    }
}

/// A filter is stored as text in an alphabet of 64 letters, six bits each: either its bits or, if that is shorter, the
/// distances between those that are set. A filter of 2,000 keys takes 3 KiB and a full one 11 KiB; a list of numbers
/// would take 20 KiB.
extension KeyFilter: Codable {
    private enum CodingKeys: String, CodingKey { case bits, distances }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        if let text = try values.decodeIfPresent(String.self, forKey: .distances) {
            var place = -1
            var distance = 0
            for letter in text.utf8 {
                let digit = try Self.digit(letter, of: .distances, values)
                distance = distance << 5 | digit & 31
                guard distance <= Self.places else { throw Self.damaged(.distances, values) }
                guard digit >= 32 else { continue }
                place += distance
                guard place >= 0, place < Self.places else { throw Self.damaged(.distances, values) }
                _ = take(place)
                distance = 0
            }
            guard distance == 0 else { throw Self.damaged(.distances, values) }
        } else {
            let text = try values.decode(String.self, forKey: .bits)
            for (i, letter) in text.utf8.enumerated() {
                let digit = try Self.digit(letter, of: .bits, values)
                for bit in 0..<6 where digit >> bit & 1 == 1 {
                    guard 6 * i + bit < Self.places else { throw Self.damaged(.bits, values) }
                    _ = take(6 * i + bit)
                }
            }
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        let length = Self.places / 6 + 1
        var distances: [UInt8] = []
        var digits = [Int](repeating: 0, count: words.isEmpty ? 0 : length)
        var last = -1
        for (i, word) in words.enumerated() where word != 0 {
            for bit in 0..<64 where word >> UInt64(bit) & 1 == 1 {
                let place = 64 * i + bit
                digits[place / 6] |= 1 << (place % 6)
                if distances.count < length { Self.append(place - last, to: &distances) }
                last = place
            }
        }
        if distances.count < length {
            try values.encode(String(decoding: distances, as: UTF8.self), forKey: .distances)
        } else {
            let letters = digits.map { Self.letters[$0] }
            try values.encode(String(decoding: letters, as: UTF8.self), forKey: .bits)
        }
    }

    /// Writes a number as digits of five bits, the highest first; the last one has the sixth bit set.
    private static func append(_ number: Int, to digits: inout [UInt8]) {
        var shift = 0
        while number >> (shift + 5) > 0 { shift += 5 }
        while shift > 0 {
            digits.append(letters[number >> shift & 31])
            shift -= 5
        }
        digits.append(letters[number & 31 | 32])
    }

    private static let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    /// The digit of each letter; 64 for bytes that are none.
    private static let digits: [UInt8] = {
        var digits = [UInt8](repeating: 64, count: 256)
        for (digit, letter) in letters.enumerated() { digits[Int(letter)] = UInt8(digit) }
        return digits
    }()

    private static func digit(
        _ letter: UInt8, of key: CodingKeys, _ values: KeyedDecodingContainer<CodingKeys>
    ) throws -> Int {
        guard digits[Int(letter)] < 64 else { throw damaged(key, values) }
        return Int(digits[Int(letter)])
    }

    private static func damaged(_ key: CodingKeys, _ values: KeyedDecodingContainer<CodingKeys>) -> DecodingError {
        .dataCorruptedError(forKey: key, in: values, debugDescription: "not the text of a filter of keys")
    }
}
