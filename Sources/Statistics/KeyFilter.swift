/// Remembers which keys (users) were seen, in 8 KiB, so that each is counted once: a user drawn once is not independent
/// the next time, and one value a user is. A key whose place another one took before counts as seen. Which keys these
/// are follows from a hash that is independent of the one that assigns arms, so leaving them out favors neither arm.
public struct KeyFilter: Hashable, Codable, Sendable {
    private static let places = 1 << 16
    /// A bit for each place; empty before the first key.
    private var words: [UInt64] = []

    public init() {}

    /// Adds a key.
    /// - Returns: true if it was not seen before.
    public mutating func insert(_ key: UInt64) -> Bool {
        let place = Int(SplitMix64.hash(key) % UInt64(Self.places))
        if words.isEmpty { words = [UInt64](repeating: 0, count: Self.places / 64) }
        let bit: UInt64 = 1 << UInt64(place % 64)
        let isNew = words[place / 64] & bit == 0
        words[place / 64] |= bit
        return isNew
    }
}
