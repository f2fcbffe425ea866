import Glibc

/// Bytes that a routing table or an access note owns, valid as long as the owner lives.
struct Bytes {
    let start: UnsafePointer<UInt8>
    let count: Int

    @inline(__always) func equals(_ other: UnsafePointer<UInt8>, _ n: Int) -> Bool {
        n == count && memcmp(start, other, n) == 0
    }

    @inline(__always) func equals(_ other: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let base = other.baseAddress else { return count == 0 }
        return equals(base, other.count)
    }
}

/// A pooled buffer of which `start ..< end` is filled. A slice without a base has no buffer. The record that contains
/// the slice owns the buffer until `BufferPool.reclaim`.
struct ByteSlice {
    var base: UnsafeMutablePointer<UInt8>?
    var start = 0
    var end = 0
    /// The service whose limit on buffered bytes counts this buffer.
    var owner: Gauge?

    @inline(__always) var count: Int { end - start }
    @inline(__always) var isEmpty: Bool { end == start }
    /// The number of bytes that can be appended.
    @inline(__always) var room: Int { BufferPool.bufferSize - end }
    @inline(__always) var first: UnsafeMutablePointer<UInt8> { base.unsafelyUnwrapped + start }
    @inline(__always) var free: UnsafeMutablePointer<UInt8> { base.unsafelyUnwrapped + end }

    /// True if the filled part is as large as the buffer.
    @inline(__always) var isFull: Bool { count == BufferPool.bufferSize }

    /// Empties the slice, which keeps its buffer.
    @inline(__always) mutating func clear() {
        start = 0
        end = 0
    }

    /// Moves the filled part to the front if there is no room after it.
    @inline(__always) mutating func makeRoom() {
        if start == end {
            start = 0
            end = 0
        } else if start > 0, end == BufferPool.bufferSize {
            memmove(base.unsafelyUnwrapped, first, count)
            end -= start
            start = 0
        }
    }

    /// Appends bytes.
    /// - Precondition: there is room for them.
    @inline(__always) mutating func append(_ from: UnsafePointer<UInt8>, _ n: Int) {
        assert(n >= 0 && n <= room, "\(n) bytes do not fit into \(room)")
        memcpy(free, from, n)
        end += n
    }

    @inline(__always) mutating func append(_ text: StaticString) { append(text.utf8Start, text.utf8CodeUnitCount) }

    @inline(__always) mutating func append(_ bytes: Bytes) { append(bytes.start, bytes.count) }

    @inline(__always) mutating func append(byte: UInt8) {
        assert(room > 0, "no room for a byte")
        free.pointee = byte
        end += 1
    }

    mutating func append(decimal value: Int64) {
        var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)
        withUnsafeMutableBytes(of: &digits) { buffer in
            var rest = value
            var at = 24
            repeat {
                at -= 1
                buffer[at] = UInt8(truncatingIfNeeded: rest % 10) + 0x30
                rest /= 10
            } while rest > 0
            append(buffer.baseAddress!.assumingMemoryBound(to: UInt8.self) + at, 24 - at)
        }
    }

    mutating func append(hexadecimal value: Int) {
        var shift = 60
        while shift > 0, value >> shift == 0 { shift -= 4 }
        while shift >= 0 {
            let digit = UInt8(truncatingIfNeeded: value >> shift & 15)
            append(byte: digit < 10 ? 0x30 + digit : 0x61 + digit - 10)
            shift -= 4
        }
    }
}
