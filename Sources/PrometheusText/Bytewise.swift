/// A text that is compared and hashed by its bytes, as Prometheus compares names and labels. Swift's own comparison
/// normalizes text that is not ASCII, which costs a thousand times as much for a long row of combining marks, and takes
/// two spellings of one character for one text.
public struct Bytewise: Hashable, Comparable, Sendable {
    public let text: String

    public init(_ text: String) { self.text = text }

    public static func == (one: Bytewise, other: Bytewise) -> Bool { one.text.hasBytes(of: other.text) }
    public static func < (one: Bytewise, other: Bytewise) -> Bool { one.text.precedesBytewise(other.text) }
    public func hash(into hasher: inout Hasher) { text.hashBytes(into: &hasher) }
}

extension String {
    func hasBytes(of other: String) -> Bool {
        utf8.count == other.utf8.count && hasPrefixBytes(of: other)
    }

    func hasPrefixBytes(of other: String) -> Bool { contains(other) { _, _ in 0 } }
    func hasSuffixBytes(of other: String) -> Bool { contains(other) { $0 - $1 } }

    func precedesBytewise(_ other: String) -> Bool {
        withBytes { own in other.withBytes { own.lexicographicallyPrecedes($0) } }
    }

    func hashBytes(into hasher: inout Hasher) {
        withBytes { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        // A byte that no UTF-8 contains ends the text.
        hasher.combine(0xFF as UInt8)
    }

    /// True if this text contains the bytes of another one at a place.
    /// - Parameter start: the place, computed from the lengths of both.
    private func contains(_ other: String, at start: (Int, Int) -> Int) -> Bool {
        withBytes { own in
            other.withBytes { wanted in
                guard own.count >= wanted.count else { return false }
                let first = start(own.count, wanted.count)
                return wanted.indices.allSatisfy { own[first + $0] == wanted[$0] }
            }
        }
    }

    private func withBytes<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        if let result = utf8.withContiguousStorageIfAvailable(body) { return result }
        return Array(utf8).withUnsafeBufferPointer(body)
    }
}
