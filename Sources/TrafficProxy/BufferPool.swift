import Synchronization

/// One loop's buffers, all of one size. They are reused last in, first out, so that few are in use and stay in the
/// cache; idle connections hold none. The pool is a handle: its copies lend the same buffers. The loop's worker owns it
/// and frees it at its end.
struct BufferPool {
    /// The size of a buffer in bytes. It has room for the largest head with all added fields, and is the largest piece
    /// in which bodies are relayed.
    static let bufferSize = 64 << 10
    /// The number of free buffers that are kept for reuse; others are freed.
    private static let kept = 64

    private struct Stock {
        var free: [UnsafeMutablePointer<UInt8>] = []
        var lent = 0
    }

    private let stock: UnsafeMutablePointer<Stock>

    init() {
        stock = .allocate(capacity: 1)
        stock.initialize(to: Stock())
        stock.pointee.free.reserveCapacity(Self.kept)
    }

    /// The number of buffers that are in use.
    var inUse: Int { stock.pointee.lent }

    @inline(__always) func take() -> UnsafeMutablePointer<UInt8> {
        stock.pointee.lent += 1
        return stock.pointee.free.popLast() ?? .allocate(capacity: Self.bufferSize)
    }

    @inline(__always) func put(_ buffer: UnsafeMutablePointer<UInt8>) {
        stock.pointee.lent -= 1
        if stock.pointee.free.count < Self.kept { stock.pointee.free.append(buffer) } else { buffer.deallocate() }
    }

    /// Gives a slice a buffer if it has none.
    /// - Parameter owner: the gauge that the buffer counts against; nil for none.
    @inline(__always) func supply(_ slice: inout ByteSlice, for owner: Gauge?) {
        guard slice.base == nil else { return }
        slice.base = take()
        if let owner { slice.charge(owner) }
    }

    /// Takes the buffer back from a slice, which is empty after that.
    @inline(__always) func reclaim(_ slice: inout ByteSlice) {
        guard let base = slice.base else { return }
        put(base)
        slice.discharge()
        slice = ByteSlice()
    }

    func deallocate() {
        for buffer in stock.pointee.free { buffer.deallocate() }
        stock.deinitialize(count: 1)
        stock.deallocate()
    }
}

extension ByteSlice {
    /// Counts this slice's buffer against an owner, once.
    mutating func charge(_ owner: Gauge) {
        guard base != nil, self.owner == nil else { return }
        self.owner = owner
        owner.pointee.bytes.add(BufferPool.bufferSize, ordering: .relaxed)
    }

    /// Removes this slice's buffer from its owner's count.
    @inline(__always) mutating func discharge() {
        guard let owner else { return }
        owner.pointee.bytes.subtract(BufferPool.bufferSize, ordering: .relaxed)
        self.owner = nil
    }
}
