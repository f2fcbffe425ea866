import PolicyModel

/// Collects the diagnostics of one file, with excerpts of it.
final class FileReport {
    /// The file's name as it is shown in messages.
    let file: String
    private let lines: [Substring]
    private(set) var diagnostics: [Diagnostic] = []

    init(file: String, text: String = "") {
        self.file = file
        lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    }

    var hasErrors: Bool { diagnostics.contains { $0.severity == .error } }

    func error(_ mark: Mark?, _ message: String) { add(.error, mark, message) }
    func warning(_ mark: Mark?, _ message: String) { add(.warning, mark, message) }

    private func add(_ severity: Diagnostic.Severity, _ mark: Mark?, _ message: String) {
        guard diagnostics.count < ConfigurationLimits.diagnostics else { return }
        if diagnostics.count == ConfigurationLimits.diagnostics - 1 {
            diagnostics.append(Diagnostic(file: file, message: "and more: correct those above first"))
            return
        }
        guard let mark else {
            diagnostics.append(Diagnostic(file: file, severity: severity, message: message))
            return
        }
        var excerpt: String?
        var column = mark.column
        if lines.indices.contains(mark.line - 1) {
            var line = lines[mark.line - 1]
            if line.last == "\r" { line.removeLast() }
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
        reports.flatMap(\.diagnostics).sorted { a, b in
            (a.file, a.line ?? 0, a.column ?? 0, a.message) < (b.file, b.line ?? 0, b.column ?? 0, b.message)
        }
    }
}
