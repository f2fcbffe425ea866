/// One thing that is wrong with a file, or worth saying of it.
public struct Diagnostic: Hashable, Sendable, CustomStringConvertible {
    public enum Severity: String, Hashable, Sendable { case error, warning }

    public var file: String
    /// From 1; nil where the whole file is meant.
    public var line: Int?
    /// From 1, in characters.
    public var column: Int?
    public var severity: Severity
    /// What is wrong and how to mend it.
    public var message: String
    /// The line that it is about, without its newline; nil where there is none to show.
    public var excerpt: String?

    public init(
        file: String, line: Int? = nil, column: Int? = nil, severity: Severity = .error, message: String,
        excerpt: String? = nil
    ) {
        self.file = file
        self.line = line
        self.column = column
        self.severity = severity
        self.message = message
        self.excerpt = excerpt
    }

    /// `file:line:column: error: message`, then the line and a caret below the column.
    public var description: String {
        var text = file
        if let line { text += ":\(line)" }
        if let column { text += ":\(column)" }
        text += ": \(severity.rawValue): \(message)"
        guard let excerpt, let column else { return text }
        let lead = String(excerpt.prefix(column - 1).map { $0 == "\t" ? "\t" : " " })
        return text + "\n    \(excerpt)\n    \(lead)^"
    }
}
