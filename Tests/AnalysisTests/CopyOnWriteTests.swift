import Testing

@testable import Analysis

@Suite(.timeLimit(.minutes(15))) struct CopyOnWriteTests {
    @Test("a change of one copy leaves the others as they were, and a single owner changes in place")
    func copies() {
        let original = CopyOnWrite([1, 2])
        var copy = original
        #expect(copy == original && copy.hashValue == original.hashValue)
        copy.value.append(3)
        #expect(original.value == [1, 2] && copy.value == [1, 2, 3] && copy != original)
        #expect(copy == CopyOnWrite([1, 2, 3]))
        func place() -> UnsafeRawPointer? { copy.value.withUnsafeBytes { $0.baseAddress } }
        let before = place()
        copy.value[0] = 7
        #expect(place() == before && copy.value == [7, 2, 3])
    }
}
