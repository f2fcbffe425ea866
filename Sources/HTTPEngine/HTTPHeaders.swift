/// The fields of a message, in their order. Names are compared without regard to case.
public struct HTTPHeaders: Sendable, Sequence {
    private var fields: [(name: String, value: String)] = []

    public init(_ fields: [(String, String)] = []) { for (name, value) in fields { append(name, value) } }

    /// The value of the first field with a name; nil if there is none.
    public subscript(name: String) -> String? {
        fields.first { isSame($0.name, name) }?.value
    }

    public func all(_ name: String) -> [String] {
        fields.filter { isSame($0.name, name) }.map(\.value)
    }

    public mutating func append(_ name: String, _ value: String) { fields.append((name, value)) }

    public var count: Int { fields.count }
    public func makeIterator() -> IndexingIterator<[(name: String, value: String)]> { fields.makeIterator() }

    private func isSame(_ a: String, _ b: String) -> Bool {
        let a = a.utf8
        let b = b.utf8
        guard a.count == b.count else { return false }
        return zip(a, b).allSatisfy { asciiLowercase($0) == asciiLowercase($1) }
    }
}
