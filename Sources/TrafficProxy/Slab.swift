/// Records of one kind in plain memory that never moves and is never given back: an event that comes for a record that
/// was closed a moment ago still finds a record, and sees that it is closed.
struct Slab<Record> {
    typealias Pointer = UnsafeMutablePointer<Record>

    private static var chunkSize: Int { 64 }

    private var chunks: [Pointer] = []
    private var free: [Pointer] = []
    /// Freed in this turn: reused only in the next, because events of this turn may still name them.
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

    /// All records, those not in use as well: they look blank. A value of its own, so that records may be taken and put
    /// while one goes through it.
    var all: Records { Records(chunks: chunks) }

    struct Records {
        fileprivate let chunks: [Pointer]

        func forEach(_ body: (Pointer) -> Void) {
            for chunk in chunks { for i in 0..<Slab.chunkSize { body(chunk + i) } }
        }
    }

    /// The first record for which something holds.
    func first(where holds: (Pointer) -> Bool) -> Pointer? {
        for chunk in chunks { for i in 0..<Self.chunkSize where holds(chunk + i) { return chunk + i } }
        return nil
    }

    /// The number of records, and the one at an index below that.
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
