import Glibc
import Synchronization

/// A queue of lines from one loop to the thread that writes them. Neither side waits.
final class LineRing: @unchecked Sendable {
    /// The ring's size in bytes. At 300 bytes a line and 10,000 lines a second it fills in 90 ms, and the writer is
    /// woken when it is half full.
    static let capacity = 256 << 10

    private let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: LineRing.capacity)
    /// The numbers of bytes that were ever put in and taken out; their difference is the content.
    private let put = Atomic<Int>(0)
    private let taken = Atomic<Int>(0)
    private let lost = Atomic<UInt64>(0)

    deinit { memory.deallocate() }

    /// The number of lines that were dropped because the ring was full.
    var dropped: UInt64 { lost.load(ordering: .relaxed) }
    var count: Int { put.load(ordering: .sequentiallyConsistent) - taken.load(ordering: .sequentiallyConsistent) }
    var isHalfFull: Bool { count > Self.capacity / 2 }

    /// Puts a line into the ring; called on the loop. Returns false if the line was dropped because the ring is full.
    func append(_ line: UnsafePointer<UInt8>, _ length: Int) -> Bool {
        let end = put.load(ordering: .relaxed)
        guard length <= Self.capacity - (end - taken.load(ordering: .acquiring)) else {
            lost.wrappingAdd(1, ordering: .relaxed)
            return false
        }
        let at = end % Self.capacity
        let first = min(length, Self.capacity - at)
        memcpy(memory + at, line, first)
        memcpy(memory, line + first, length - first)
        put.store(end + length, ordering: .sequentiallyConsistent)
        return true
    }

    /// Takes out the content, in at most two pieces; called on the writer's thread.
    func takeAll(_ body: (UnsafeBufferPointer<UInt8>) -> Void) {
        let end = put.load(ordering: .acquiring)
        var start = taken.load(ordering: .relaxed)
        while start < end {
            let at = start % Self.capacity
            let length = min(end - start, Self.capacity - at)
            body(UnsafeBufferPointer(start: memory + at, count: length))
            start += length
            taken.store(start, ordering: .releasing)
        }
    }
}
