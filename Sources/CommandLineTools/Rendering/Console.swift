import Glibc

/// Where a command writes to. Commands ask `Console.current`, so that tests can look at what was written.
public final class Console: @unchecked Sendable {
    @TaskLocal public static var current = Console.standard()

    /// Whether the output goes to a person's screen.
    public let isTerminal: Bool
    /// Colours and other marks are written.
    public let isColoured: Bool
    /// Characters beyond ASCII can be drawn with.
    public let isUnicode: Bool
    private let write: (_ text: String, _ toErrors: Bool) -> Void

    public init(
        isTerminal: Bool, isColoured: Bool, isUnicode: Bool = true,
        write: @escaping (_ text: String, _ toErrors: Bool) -> Void
    ) {
        self.isTerminal = isTerminal
        self.isColoured = isColoured
        self.isUnicode = isUnicode
        self.write = write
    }

    /// The process's own output. Coloured on a terminal, unless NO_COLOR is set or the terminal is a dumb one.
    static func standard() -> Console {
        let isTerminal = isatty(STDOUT_FILENO) == 1
        let isDumb = variable("TERM") == "dumb"
        let isColoured = isTerminal && !isDumb && (variable("NO_COLOR") ?? "").isEmpty
        let isUnicode = !isDumb && Self.isUnicode(["LC_ALL", "LC_CTYPE", "LANG"].map(variable))
        return Console(isTerminal: isTerminal, isColoured: isColoured, isUnicode: isUnicode) { text, toErrors in
            writeAll(text, to: toErrors ? STDERR_FILENO : STDOUT_FILENO)
        }
    }

    /// Of a locale's variables, the first that is set decides.
    static func isUnicode(_ locale: [String?]) -> Bool {
        let name = locale.compactMap(\.self).first { !$0.isEmpty }?.lowercased() ?? ""
        return name.contains("utf-8") || name.contains("utf8")
    }

    public func line(_ text: String = "") { write(text + "\n", false) }
    /// As it is, without a line break.
    func raw(_ text: String) { write(text, false) }
    public func error(_ text: String) { write(text + "\n", true) }

    func styled(_ text: String, _ style: Style) -> String { isColoured ? style.applied(to: text) : text }
}

/// The value of an environment variable.
func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

/// What a reader that closed its end no longer wants is dropped: `canaryctl events | head` ends quietly.
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

/// How a piece of text stands out on a terminal.
enum Style: String {
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

    func applied(to text: String) -> String {
        self == .plain || text.isEmpty ? text : "\u{1b}[\(code)m\(text)\u{1b}[0m"
    }
}
