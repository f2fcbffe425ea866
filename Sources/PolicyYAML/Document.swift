/// Reads a YAML file as a tree of nodes.
enum Document {
    /// Reads a file. If there is nothing to read, the root is nil and the report has an error.
    /// - Parameter mayBeEmpty: true if an empty file is valid; it then reads as an empty mapping.
    static func read(_ file: String, mayBeEmpty: Bool = false) -> (root: Node?, report: FileReport) {
        let text: String
        do {
            text = try Files.read(file)
        } catch {
            let report = FileReport(file: file)
            report.error(nil, error.message)
            return (nil, report)
        }
        let report = FileReport(file: file, text: text)
        let root = NodeReader.read(text, report: report)
        if let root, !root.isEmpty { return (root, report) }
        guard !report.hasErrors else { return (nil, report) }
        if mayBeEmpty { return (Node(mark: Mark(line: 1, column: 1), content: .mapping([])), report) }
        report.error(nil, "is empty: write its keys, or remove the file")
        return (nil, report)
    }

    enum Kind { case policy, service, policyTest, agent }

    /// The kind of a document: a policy test by its file name, other documents by their keys.
    static func kind(of root: Node, file: String) -> Kind {
        if Files.isTest(file) { return .policyTest }
        guard case .mapping(let entries) = root.content else { return .policy }
        let keys = Set(entries.map(\.name))
        if keys.contains("tests") { return .policyTest }
        if keys.contains("service") || keys.contains("versions") { return .service }
        if !keys.isDisjoint(with: ["policy", "checks"]) { return .policy }
        return .agent
    }
}
