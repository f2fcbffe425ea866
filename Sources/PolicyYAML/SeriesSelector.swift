import PolicyModel

/// The name of a scraped series with optional label matchers, `nv_gpu_memory_used_bytes{gpu="0",node!="a"}`. A name
/// that needs quotes stands among them: `{"my.metric",gpu="0"}`. Or a series of the version's preset, `preset.waiting`.
enum SeriesSelector {
    private static let longest = 512
    private static let noSeries =
        "is no series: write its name as the scrape shows it, such as nv_gpu_memory_used_bytes, or {\"my.metric\"}"

    /// Returns the text if it is well-formed.
    static func checked(_ text: String) throws(InvalidValue) -> String {
        guard text.utf8.count <= longest else { throw InvalidValue("is longer than \(longest) bytes: shorten it") }
        if text.hasPrefix(PresetSeriesName.prefix) {
            guard PresetSeriesName(series: text) == nil else { return text }
            throw InvalidValue(
                "is no series of presets: "
                    + Suggestion.hint(for: text, among: PresetSeriesName.allCases.map(\.written)))
        }
        var rest = Substring(text)
        let name = rest.removePrefix { $0 != "{" }
        guard isName(name, colons: true) || (name.isEmpty && !rest.isEmpty) else { throw InvalidValue(noSeries) }
        if rest.isEmpty { return text }
        let broken =
            "has matchers that cannot be read: write them as in \(name.isEmpty ? "my_metric" : name){gpu=\"0\"}"
        guard rest.hasSuffix("}") else { throw InvalidValue(broken) }
        rest = rest.dropFirst().dropLast()
        var hasName = !name.isEmpty
        while !rest.isEmpty {
            let label: Substring
            let isQuoted = rest.hasPrefix("\"")
            if isQuoted {
                label = try quoted(&rest, broken)
                guard !label.isEmpty else { throw InvalidValue(broken) }
            } else {
                label = rest.removePrefix { $0 != "=" && $0 != "!" }
            }
            if isQuoted, rest.isEmpty || rest.hasPrefix(",") {
                guard !hasName else { throw InvalidValue("names two series, the second \"\(label)\": remove one") }
                hasName = true
            } else {
                if rest.hasPrefix("!~") || rest.hasPrefix("=~") {
                    throw InvalidValue(
                        "has a regular expression, which is not read: write label=\"value\" or label!=\"value\"")
                }
                if rest.hasPrefix("!") { rest = rest.dropFirst() }
                guard isQuoted || isName(label, colons: false), rest.hasPrefix("=\"") else {
                    throw InvalidValue(broken)
                }
                rest = rest.dropFirst()
                _ = try quoted(&rest, broken)
            }
            if rest.hasPrefix(",") { rest = rest.dropFirst() } else if !rest.isEmpty { throw InvalidValue(broken) }
        }
        guard hasName else { throw InvalidValue(noSeries) }
        return text
    }

    /// Removes a quoted text from the start of `rest`, which begins with a quote, and returns it without quotes.
    private static func quoted(_ rest: inout Substring, _ broken: String) throws(InvalidValue) -> Substring {
        let inner = rest.dropFirst()
        guard let close = inner.firstIndex(of: "\"") else { throw InvalidValue(broken) }
        let text = inner[..<close]
        if text.contains("\\") { throw InvalidValue("has a backslash in quotes, which is not read") }
        rest = inner[inner.index(after: close)...]
        return text
    }

    private static func isName(_ text: Substring, colons: Bool) -> Bool {
        guard let first = text.utf8.first, !(0x30...0x39).contains(first) else { return false }
        return text.utf8.allSatisfy { Names.isAlphanumeric($0) || $0 == 0x5f || (colons && $0 == 0x3a) }
    }
}

extension Substring {
    /// Removes the leading characters that satisfy the condition, and returns them.
    fileprivate mutating func removePrefix(while condition: (Character) -> Bool) -> Substring {
        let found = prefix(while: condition)
        self = dropFirst(found.count)
        return found
    }
}
