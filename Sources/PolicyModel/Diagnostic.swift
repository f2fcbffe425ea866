import PlainText

/// One thing that is wrong with a file, or worth saying of it.
public struct Diagnostic: Hashable, Sendable, CustomStringConvertible {
    public enum Severity: String, Hashable, Sendable { case error, warning }

    public var file: String
    /// The number of the line, from 1; nil if the diagnostic is about the whole file.
    public var line: Int?
    /// The column in characters, from 1.
    public var column: Int?
    public var severity: Severity
    /// What is wrong and how to fix it.
    public var message: String
    /// The text of the line, without its newline; nil if there is none to show.
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

    /// `file:line:column: error: message`, then the line and a caret below the column. Safe to show on a terminal,
    /// whatever is in the file and its name: it has no other line breaks and no control characters.
    public var description: String {
        let text = headline
        guard let excerpt, let column else { return text }
        // A tab is shown as one space, so that the caret is in the right place on any terminal.
        let shown = String(excerpt.map { $0 == "\t" ? " " : $0 }).displayable
        let lead = String(repeating: " ", count: min(max(column - 1, 0), excerpt.count))
        return text + "\n    \(shown)\n    \(lead)^"
    }

    /// `file:line:column: error: message`, in one line that is safe to show on a terminal.
    public var headline: String {
        var text = file.displayable
        if let line { text += ":\(line)" }
        if let column { text += ":\(column)" }
        return text + ": \(severity.rawValue): \(message.displayable)"
    }
}
