/// Tells a text that was damaged from one that was written: FNV-1a of 64 bits. A database has no checksums of its own,
/// and a flipped bit in a JSON number is a number too. Chance is what this is against, not intent.
enum Checksum {
    static func of(_ text: String) -> Int64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return Int64(bitPattern: hash)
    }

    /// - Parameter stored: nil where the text was written by a version without checksums.
    static func check(_ text: String, _ stored: Int64?) throws(StoreError) {
        guard let stored, stored != of(text) else { return }
        throw StoreError(.unreadable, "its checksum differs, so it is not what was written")
    }
}
