/// A place in a file. Both count from 1; the column counts Unicode scalars, as libyaml does.
struct Mark: Hashable {
    var line: Int
    var column: Int
}

/// A node of a YAML document with its place.
struct Node {
    enum Content {
        case scalar(String, quoted: Bool)
        case list([Node])
        /// The entries in the order of the file; keys are unique.
        case mapping([Entry])
        /// Was reported already; readers pass over it in silence.
        case unusable
    }

    struct Entry {
        var name: String
        var key: Mark
        var value: Node
    }

    var mark: Mark
    var content: Content

    /// A value that was left out, `~` or `null`.
    var isEmpty: Bool {
        guard case .scalar(let text, quoted: false) = content else { return false }
        return text.isEmpty || text == "~" || text == "null"
    }

    /// The words for messages: `found a list`.
    var kind: String {
        switch content {
        case .scalar: isEmpty ? "nothing" : "a plain value"
        case .list: "a list"
        case .mapping: "a mapping"
        case .unusable: "something unusable"
        }
    }
}
