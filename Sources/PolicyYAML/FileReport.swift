import PolicyModel

/// Collects the diagnostics of one file, with excerpts of it.
final class FileReport {
    /// The file's name as it is shown in messages.
    let file: String
    private let text: String
    private let lines: [Substring]
    private(set) var diagnostics: [Diagnostic] = []
    /// True if an error in the value of an argument was reported to another file, where the value is written.
    var hasErrorElsewhere = false

    init(file: String, text: String = "") {
        self.file = file
        self.text = text
        lines = Self.lines(of: text)
    }

    /// An empty report on the same file.
    func anew() -> FileReport { FileReport(file: file, text: text) }

    /// The lines of a text, without their ends. They end where libyaml counts a new line: at CR LF, CR, LF, and at the
    /// separators U+0085, U+2028 and U+2029.
    private static func lines(of text: String) -> [Substring] {
        let scalars = text.unicodeScalars
        var lines: [Substring] = []
        var (start, place) = (scalars.startIndex, scalars.startIndex)
        while place < scalars.endIndex {
            var next = scalars.index(after: place)
            switch scalars[place] {
            case "\n", "\r", "\u{85}", "\u{2028}", "\u{2029}":
                lines.append(text[start..<place])
                if scalars[place] == "\r", next < scalars.endIndex, scalars[next] == "\n" {
                    next = scalars.index(after: next)
                }
                start = next
            default: break
            }
            place = next
        }
        return lines + [text[start...]]
    }

    /// The message after the last diagnostic of a file with too many.
    fileprivate static let more = "and more: correct those above first"

    var hasErrors: Bool { hasErrorElsewhere || diagnostics.contains { $0.severity == .error } }

    func error(_ mark: Mark?, _ message: String) { add(.error, mark, message) }
    func warning(_ mark: Mark?, _ message: String) { add(.warning, mark, message) }

    private func add(_ severity: Diagnostic.Severity, _ mark: Mark?, _ message: String) {
        guard diagnostics.count < ConfigurationLimits.diagnostics else { return }
        if diagnostics.count == ConfigurationLimits.diagnostics - 1 {
            diagnostics.append(Diagnostic(file: file, message: Self.more))
            return
        }
        guard let mark else {
            diagnostics.append(Diagnostic(file: file, severity: severity, message: message))
            return
        }
        var excerpt: String?
        var column = mark.column
        if lines.indices.contains(mark.line - 1) {
            let line = lines[mark.line - 1]
            excerpt = String(line)
            column = String(line.unicodeScalars.prefix(mark.column - 1)).count + 1
        }
        diagnostics.append(
            Diagnostic(
                file: file, line: mark.line, column: column, severity: severity, message: message, excerpt: excerpt))
    }
}

/// The error of a single value: what is wrong with it and how to fix it. Messages put this text after the quoted value.
struct InvalidValue: Error {
    var message: String

    init(_ message: String) { self.message = message }
}

extension FileReport {
    /// The diagnostics of several files, sorted by file and place.
    static func diagnostics(of reports: [FileReport]) -> [Diagnostic] {
        func line(_ diagnostic: Diagnostic) -> Int { diagnostic.line ?? (diagnostic.message == more ? .max : 0) }
        return reports.flatMap(\.diagnostics).sorted { a, b in
            (a.file, line(a), a.column ?? 0, a.message) < (b.file, line(b), b.column ?? 0, b.message)
        }
    }
}
