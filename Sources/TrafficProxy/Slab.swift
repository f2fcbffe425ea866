/// Records of one kind in memory that never moves and is never freed, so that a late event for a record that was closed
/// in the same turn still finds a record and sees that it is closed.
struct Slab<Record> {
    typealias Pointer = UnsafeMutablePointer<Record>

    private static var chunkSize: Int { 64 }

    private var chunks: [Pointer] = []
    private var free: [Pointer] = []
    /// The records that were freed in this turn. They are reused only in the next, because events of this turn may
    /// still refer to them.
    private var resting: [Pointer] = []
    private(set) var inUse = 0
    private let blank: Record

    init(blank: Record) {
        assert(_isPOD(Record.self), "\(Record.self) is no plain data: a slab neither destroys nor retains")
        self.blank = blank
    }

    mutating func take() -> Pointer {
        inUse += 1
        if free.isEmpty { grow() }
        return free.removeLast()
    }

    mutating func put(_ record: Pointer) {
        inUse -= 1
        record.pointee = blank
        resting.append(record)
    }

    @inline(__always) mutating func turnEnded() {
        guard !resting.isEmpty else { return }
        free.append(contentsOf: resting)
        resting.removeAll(keepingCapacity: true)
    }

    /// All records, including unused ones, which are blank. The result is independent of the slab, so that records may
    /// be taken and put back while it is iterated.
    var all: Records { Records(chunks: chunks) }

    struct Records {
        fileprivate let chunks: [Pointer]

        func forEach(_ body: (Pointer) -> Void) {
            for chunk in chunks { for i in 0..<Slab.chunkSize { body(chunk + i) } }
        }
    }

    /// The first record that satisfies a predicate; nil if none does.
    func first(where holds: (Pointer) -> Bool) -> Pointer? {
        for chunk in chunks { for i in 0..<Self.chunkSize where holds(chunk + i) { return chunk + i } }
        return nil
    }

    /// The number of records, including unused ones.
    var count: Int { chunks.count * Self.chunkSize }
    subscript(index: Int) -> Pointer { chunks[index / Self.chunkSize] + index % Self.chunkSize }

    private mutating func grow() {
        let chunk = Pointer.allocate(capacity: Self.chunkSize)
        chunk.initialize(repeating: blank, count: Self.chunkSize)
        chunks.append(chunk)
        for i in (0..<Self.chunkSize).reversed() { free.append(chunk + i) }
    }

    mutating func deallocate() {
        for chunk in chunks { chunk.deallocate() }
        chunks = []
    }
}
