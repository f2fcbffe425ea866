/// A text of at most 128 bytes that is stored inline, such as an address or a request id.
struct InlineText {
    static let capacity = 128
    private typealias Part = SIMD16<UInt8>
    private var storage: (Part, Part, Part, Part, Part, Part, Part, Part) = (
        .zero, .zero, .zero, .zero, .zero, .zero, .zero, .zero
    )
    private(set) var count: UInt8 = 0

    var isEmpty: Bool { count == 0 }

    /// Copies as much of a text as fits, and returns the number of bytes.
    static func copy(_ text: String, to place: UnsafeMutablePointer<UInt8>) -> Int {
        let bytes = Array(text.utf8.prefix(capacity))
        place.update(from: bytes, count: bytes.count)
        return bytes.count
    }

    mutating func fill(_ body: (UnsafeMutablePointer<UInt8>) -> Int) {
        count = withUnsafeMutableBytes(of: &storage) {
            UInt8(truncatingIfNeeded: body($0.baseAddress!.assumingMemoryBound(to: UInt8.self)))
        }
    }

    func withBytes<Value>(_ body: (UnsafeRawBufferPointer) -> Value) -> Value {
        withUnsafeBytes(of: storage) { body(UnsafeRawBufferPointer(rebasing: $0[..<Int(count)])) }
    }
}

extension ByteSlice {
    @inline(__always) mutating func append(_ text: InlineText) {
        let count = text.withBytes { bytes in
            free.update(from: bytes.baseAddress!.assumingMemoryBound(to: UInt8.self), count: bytes.count)
            return bytes.count
        }
        end += count
    }
}
