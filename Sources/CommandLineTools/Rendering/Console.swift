import Glibc
import PlainText

/// The output of a command. Commands write to `Console.current`, which tests replace to read the output.
public final class Console: @unchecked Sendable {
    @TaskLocal public static var current = Console.standard()

    /// True if the output goes to a terminal.
    public let isTerminal: Bool
    /// True if colors and other styles are written.
    public let isColored: Bool
    /// True if the locale allows characters beyond ASCII.
    public let isUnicode: Bool
    private let write: (_ text: String, _ toErrors: Bool) -> Void

    public init(
        isTerminal: Bool, isColored: Bool, isUnicode: Bool = true,
        write: @escaping (_ text: String, _ toErrors: Bool) -> Void
    ) {
        self.isTerminal = isTerminal
        self.isColored = isColored
        self.isUnicode = isUnicode
        self.write = write
    }

    /// The process's own output. It is colored on a terminal, unless NO_COLOR is set or the terminal is dumb.
    static func standard() -> Console {
        let isTerminal = isatty(STDOUT_FILENO) == 1
        let isDumb = variable("TERM") == "dumb"
        let isColored = isTerminal && !isDumb && (variable("NO_COLOR") ?? "").isEmpty
        let isUnicode = !isDumb && Self.isUnicode(["LC_ALL", "LC_CTYPE", "LANG"].map(variable))
        return Console(isTerminal: isTerminal, isColored: isColored, isUnicode: isUnicode) { text, toErrors in
            writeAll(text, to: toErrors ? STDERR_FILENO : STDOUT_FILENO)
        }
    }

    /// True if the first locale variable that is set names UTF-8.
    static func isUnicode(_ locale: [String?]) -> Bool {
        let name = locale.compactMap(\.self).first { !$0.isEmpty }?.lowercased() ?? ""
        return name.contains("utf-8") || name.contains("utf8")
    }

    /// Writes one line. Only the styles of this console reach the terminal as they are, so that a text whose caller
    /// forgot to make it displayable does no harm.
    public func line(_ text: String = "") { write(shown(text) + "\n", false) }

    /// Writes text of several lines, with or without a line break at its end.
    func block(_ text: String) { write(shownLines(text), false) }

    public func error(_ text: String) { write(shown(text) + "\n", true) }

    func errorBlock(_ text: String) { write(shownLines(text), true) }

    private func shown(_ text: String) -> String { isColored ? Style.displayable(text) : text.displayable }

    private func shownLines(_ text: String) -> String {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines.map { shown(String($0)) + "\n" }.joined()
    }

    func styled(_ text: String, _ style: Style) -> String { isColored ? style.applied(to: text) : text }
}

/// The value of an environment variable.
func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

/// Writes all of a text. If the reader has closed its end, the rest is dropped, so `canaryctl events | head` ends quietly.
func writeAll(_ text: String, to descriptor: Int32) {
    var text = text
    text.withUTF8 { bytes in
        var written = 0
        while written < bytes.count {
            let count = Glibc.write(descriptor, bytes.baseAddress! + written, bytes.count - written)
            if count < 0, errno == EINTR { continue }
            if count <= 0 { exit(count < 0 && errno == EPIPE ? 0 : 1) }
            written += count
        }
    }
}

/// A style of text on a terminal.
enum Style: String, CaseIterable {
    case plain, bold, dim, red, green, yellow, cyan

    private var code: String {
        switch self {
        case .plain: ""
        case .bold: "1"
        case .dim: "2"
        case .red: "31"
        case .green: "32"
        case .yellow: "33"
        case .cyan: "36"
        }
    }

    private static let sequences = ["\u{1b}[0m"] + allCases.filter { $0 != .plain }.map { "\u{1b}[\($0.code)m" }

    /// The text with all terminal control sequences replaced, except for those that `applied` added.
    static func displayable(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: \.steersDisplay) else { return text }
        var result = ""
        var rest = text[...]
        while let escape = rest.firstIndex(of: "\u{1b}") {
            result += String(rest[..<escape]).displayable
            rest = rest[escape...]
            let own = sequences.first { rest.hasPrefix($0) }
            result += own ?? "·"
            rest = rest.dropFirst(own?.count ?? 1)
        }
        return result + String(rest).displayable
    }

    func applied(to text: String) -> String {
        self == .plain || text.isEmpty ? text : "\u{1b}[\(code)m\(text)\u{1b}[0m"
    }
}
