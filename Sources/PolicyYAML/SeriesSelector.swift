/// The name of a scraped series with optional label matchers, `nv_gpu_memory_used_bytes{gpu="0",node!="a"}`.
enum SeriesSelector {
    /// The text itself where it is well formed.
    static func checked(_ text: String) throws(Mend) -> String {
        guard text.utf8.count <= 512 else { throw Mend("is longer than 512 bytes: shorten it") }
        let name = text.prefix { $0 != "{" }
        guard isName(name, colons: true) else {
            throw Mend("is no series: write its name as the scrape shows it, such as nv_gpu_memory_used_bytes")
        }
        var rest = text.dropFirst(name.count)
        if rest.isEmpty { return text }
        let broken = "has matchers that cannot be read: write them as in \(name){gpu=\"0\"}"
        guard rest.hasSuffix("}") else { throw Mend(broken) }
        rest = rest.dropFirst().dropLast()
        while !rest.isEmpty {
            let label = rest.prefix { $0 != "=" && $0 != "!" }
            rest = rest.dropFirst(label.count)
            if rest.hasPrefix("!~") || rest.hasPrefix("=~") {
                throw Mend("has a regular expression, which is not read: write label=\"value\" or label!=\"value\"")
            }
            if rest.hasPrefix("!") { rest = rest.dropFirst() }
            guard isName(label, colons: false), rest.hasPrefix("=\"") else { throw Mend(broken) }
            rest = rest.dropFirst(2)
            guard let close = rest.firstIndex(of: "\"") else { throw Mend(broken) }
            if rest[..<close].contains("\\") { throw Mend("has a backslash in a label value, which is not read") }
            rest = rest[rest.index(after: close)...]
            if rest.hasPrefix(",") { rest = rest.dropFirst() } else if !rest.isEmpty { throw Mend(broken) }
        }
        return text
    }

    private static func isName(_ text: Substring, colons: Bool) -> Bool {
        guard let first = text.utf8.first, !(0x30...0x39).contains(first) else { return false }
        return text.utf8.allSatisfy { Names.isAlphanumeric($0) || $0 == 0x5f || (colons && $0 == 0x3a) }
    }
}
