/// A value on the heap that its copies share until one of them changes. A copy costs one reference, however large the
/// value is.
struct CopyOnWrite<Value: Hashable & Sendable>: Hashable, Sendable {
    /// The shared value. It is changed only while a single copy refers to it, so no other thread can be reading it.
    private final class Storage: @unchecked Sendable {
        var value: Value
        init(_ value: Value) { self.value = value }
    }
    private var storage: Storage

    init(_ value: Value) { storage = Storage(value) }

    var value: Value {
        _read { yield storage.value }
        _modify {
            if !isKnownUniquelyReferenced(&storage) { storage = Storage(storage.value) }
            yield &storage.value
        }
    }

    static func == (a: Self, b: Self) -> Bool { a.storage === b.storage || a.value == b.value }

    func hash(into hasher: inout Hasher) { hasher.combine(value) }
}
