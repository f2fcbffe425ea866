/// A mapping with a known set of keys. Unknown keys are reported when the section is created, with the most similar
/// key.
struct Section {
    let mark: Mark
    let report: FileReport
    /// The section's name with its article in messages, such as `a service`.
    let what: String
    private let known: [String]
    private let entries: [String: Node.Entry]
    /// The keys that were most likely meant by unknown keys that were reported.
    private let misspelt: Set<String>

    /// Creates a section from a mapping. Any other node is reported, and the section is nil.
    /// - Parameter replaced: keys of earlier builds, each with the error that says what to write instead.
    init?(
        _ node: Node, _ what: String, keys: [String], replaced: [String: String] = [:], report: FileReport
    ) {
        guard case .mapping(let list) = node.content else {
            if case .unusable = node.content { return nil }
            let keys = keys.prefix(4).joined(separator: ", ")
            report.error(node.mark, "\(what) is a mapping with keys such as \(keys); found \(node.kind)")
            return nil
        }
        var entries: [String: Node.Entry] = [:]
        var misspelt: Set<String> = []
        for entry in list {
            if keys.contains(entry.name) {
                entries[entry.name] = entry
            } else if let error = replaced[entry.name] {
                report.error(entry.key, error)
            } else {
                if let near = Suggestion.nearest(to: entry.name, in: keys) { misspelt.insert(near) }
                let hint = Suggestion.hint(for: entry.name, among: keys)
                report.error(entry.key, "unknown key '\(entry.name)' in \(what): \(hint)")
            }
        }
        mark = node.mark
        self.what = what
        self.report = report
        known = keys
        self.entries = entries
        self.misspelt = misspelt
    }

    /// True if the key is written, whatever its value.
    func has(_ key: String) -> Bool { entries[key] != nil }

    /// The place of the key; that of the section if there is no such key.
    func mark(_ key: String) -> Mark { entries[key]?.key ?? mark }

    /// The value of a key; nil if it is not written. An empty value is reported, and the result is nil.
    func node(_ key: String) -> Node? {
        assert(known.contains(key), "\(what) does not declare '\(key)'")
        guard let entry = entries[key] else { return nil }
        guard entry.value.isEmpty else { return entry.value }
        report.error(entry.key, "key '\(key)' has no value: write one, or remove the key")
        return nil
    }

    /// True if the key is written, or an unknown key by which it was most likely meant. A missing key is then not
    /// reported in addition to the unknown one.
    func means(_ key: String) -> Bool { has(key) || misspelt.contains(key) }

    /// Reports a missing key. Errors in the value of a written key are reported when it is read.
    func require(_ key: String, _ example: String) {
        if !means(key) { report.error(mark, "\(what) needs '\(key)': write \(example)") }
    }

    /// The mapping under a key as a section of its own.
    func section(_ key: String, _ what: String, keys: [String]) -> Section? {
        node(key).flatMap { Section($0, what, keys: keys, report: report) }
    }

    /// The entries of a list. A value that is not a list, or a list longer than `limit`, is reported.
    func list(_ key: String, _ what: String, atMost limit: Int, orOne: Bool = false) -> [Node]? {
        guard let node = node(key) else { return nil }
        switch node.content {
        case .list(let items):
            if items.count > limit {
                report.error(node.mark, "\(what) has \(items.count) entries: at most \(limit) are read")
                return nil
            }
            return items
        case .scalar, .mapping:
            if orOne { return [node] }
            report.error(node.mark, "\(what) is a list: write [A, B], or each on a line after '- '; found \(node.kind)")
            return nil
        case .unusable: return nil
        }
    }
}
