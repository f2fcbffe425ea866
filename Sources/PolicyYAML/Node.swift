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

    /// The argument of a policy whose value stands in the node's place.
    struct Argument {
        var name: String
        /// The place of the value.
        var mark: Mark
        /// The report of the service's file with the value; nil if it is the default in the policy's own file.
        var report: FileReport?
    }

    var mark: Mark
    var content: Content
    /// The argument that the content comes from; nil for what is written in the node's own place.
    var argument: Argument?

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
