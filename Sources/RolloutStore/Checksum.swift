/// A 64-bit checksum (FNV-1a) that detects damage on disk. SQLite has no checksums of its own, and a flipped bit in a
/// JSON number often yields another valid number. It protects against accidents, not against intent.
enum Checksum {
    static func of(_ text: String) -> Int64 { of(text.utf8) }

    static func of(_ bytes: some Sequence<UInt8>) -> Int64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return Int64(bitPattern: hash)
    }

    /// Throws if a text does not have the stored checksum.
    /// - Parameter stored: nil if the text was written by a version without checksums.
    static func check(_ text: String, _ stored: Int64?) throws(StoreError) { try check(text.utf8, stored) }

    static func check(_ bytes: some Sequence<UInt8>, _ stored: Int64?) throws(StoreError) {
        guard let stored, stored != of(bytes) else { return }
        throw StoreError(.unreadable, "its checksum differs, so it is not what was written")
    }
}
