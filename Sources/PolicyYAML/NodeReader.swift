/// Builds the tree of a file's one document. What YAML allows and we do not (aliases, tags, repeated keys, …) is
/// reported on the way, and the rest of the tree stays usable.
struct NodeReader {
    private let events: EventReader
    private let report: FileReport

    /// Reads a document. Nil for one without content, and for one with a syntax error, which is reported.
    static func read(_ text: String, report: FileReport) -> Node? {
        var reader = NodeReader(events: EventReader(text: text), report: report)
        do {
            return try reader.stream()
        } catch {
            report.error(error.mark, error.message)
            return nil
        }
    }

    private init(events: EventReader, report: FileReport) {
        self.events = events
        self.report = report
    }

    private mutating func stream() throws(SyntaxError) -> Node? {
        var root: Node?
        while true {
            let event = try events.next()
            switch event.kind {
            case .streamEnd: return root
            case .documentStart where root != nil:
                report.error(event.mark, "a second document in the file: put it into a file of its own")
                return root
            case .streamStart, .documentStart, .documentEnd: continue
            case .alias, .scalar, .listStart, .listEnd, .mappingStart, .mappingEnd:
                root = try node(event, depth: 1)
            }
        }
    }

    private mutating func node(_ event: Event, depth: Int) throws(SyntaxError) -> Node {
        if depth > ConfigurationLimits.depth {
            let limit = ConfigurationLimits.depth
            throw SyntaxError(mark: event.mark, message: "nested deeper than \(limit) levels: no key needs that")
        }
        if case .alias = event.kind {
            report.error(event.mark, "alias '*\(event.anchor ?? "")': aliases are not read; write the value out")
            return Node(mark: event.mark, content: .unusable)
        }
        if let anchor = event.anchor {
            report.error(event.mark, "anchor '&\(anchor)': anchors are not read; remove it")
        }
        if let tag = event.tag {
            let core = "tag:yaml.org,2002:"
            let tag = tag.hasPrefix(core) ? "!!" + tag.dropFirst(core.count) : tag
            report.error(event.mark, "tag '\(tag)': tags are not read; remove it")
        }
        switch event.kind {
        case .scalar(let text, let quoted):
            return Node(mark: event.mark, content: .scalar(text, quoted: quoted))
        case .listStart:
            var items: [Node] = []
            while true {
                let next = try events.next()
                if case .listEnd = next.kind { return Node(mark: event.mark, content: .list(items)) }
                items.append(try node(next, depth: depth + 1))
            }
        case .mappingStart: return try mapping(from: event.mark, depth: depth)
        case .alias, .listEnd, .mappingEnd, .streamStart, .streamEnd, .documentStart, .documentEnd:
            return Node(mark: event.mark, content: .unusable)
        }
    }

    private mutating func mapping(from mark: Mark, depth: Int) throws(SyntaxError) -> Node {
        var entries: [Node.Entry] = []
        var lines: [String: Int] = [:]
        while true {
            let next = try events.next()
            if case .mappingEnd = next.kind { return Node(mark: mark, content: .mapping(entries)) }
            let key = try node(next, depth: depth + 1)
            let value = try node(try events.next(), depth: depth + 1)
            guard case .scalar(let name, let quoted) = key.content else {
                if case .unusable = key.content { continue }
                report.error(key.mark, "\(key.kind) as a key: write a name")
                continue
            }
            if name == "<<", !quoted {
                report.error(key.mark, "'<<': merging is not done; write the keys out")
            } else if let line = lines.updateValue(lines[name] ?? key.mark.line, forKey: name) {
                report.error(key.mark, "key '\(name)' is repeated, first written at line \(line): remove one of them")
            } else {
                entries.append(Node.Entry(name: name, key: key.mark, value: value))
            }
        }
    }
}
