import Glibc

/// Bytes that someone else owns.
struct Bytes {
    let start: UnsafePointer<UInt8>
    let count: Int

    @inline(__always) func equals(_ other: UnsafePointer<UInt8>, _ n: Int) -> Bool {
        n == count && memcmp(start, other, n) == 0
    }
}

/// A window of a pooled buffer: `start ..< end` is filled. Without a base it holds no buffer.
struct ByteSlice {
    var base: UnsafeMutablePointer<UInt8>?
    var start = 0
    var end = 0
    /// Whose bytes these are, where they are counted.
    var owner: Gauge?

    @inline(__always) var count: Int { end - start }
    @inline(__always) var isEmpty: Bool { end == start }
    /// Behind the filled part.
    @inline(__always) var room: Int { BufferPool.bufferSize - end }
    @inline(__always) var first: UnsafeMutablePointer<UInt8> { base.unsafelyUnwrapped + start }
    @inline(__always) var free: UnsafeMutablePointer<UInt8> { base.unsafelyUnwrapped + end }

    /// Moves the filled part to the front when there is no room behind it.
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

    @inline(__always) mutating func append(_ from: UnsafePointer<UInt8>, _ n: Int) {
        memcpy(free, from, n)
        end += n
    }

    @inline(__always) mutating func append(_ text: StaticString) { append(text.utf8Start, text.utf8CodeUnitCount) }

    @inline(__always) mutating func append(_ bytes: Bytes) { append(bytes.start, bytes.count) }

    @inline(__always) mutating func append(byte: UInt8) {
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

/// Buffers of one size, last in first out, so that a few warm ones do all the work. Idle connections hold none.
struct BufferPool {
    /// Holds the largest head with all that is added to it; large bodies move in pieces of this size.
    static let bufferSize = 64 << 10
    /// Kept for reuse; more goes back to the system.
    private static let kept = 64

    private var free: [UnsafeMutablePointer<UInt8>] = []
    /// Handed out now.
    private(set) var inUse = 0

    init() { free.reserveCapacity(Self.kept) }

    @inline(__always) mutating func take() -> UnsafeMutablePointer<UInt8> {
        inUse += 1
        return free.popLast() ?? .allocate(capacity: Self.bufferSize)
    }

    @inline(__always) mutating func put(_ buffer: UnsafeMutablePointer<UInt8>) {
        inUse -= 1
        if free.count < Self.kept { free.append(buffer) } else { buffer.deallocate() }
    }

    mutating func deallocate() {
        for buffer in free { buffer.deallocate() }
        free = []
    }
}
