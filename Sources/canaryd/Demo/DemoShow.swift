import AdminTypes
import Glibc
import PlainText
import Vocabulary

/// The output of the demo. On a terminal it is a log with a block below that is updated in place; elsewhere it is plain
/// lines.
final class DemoShow: @unchecked Sendable {
    let isTerminal: Bool
    private let hasColor: Bool
    /// The number of lines of the block that is on the screen.
    private var blockHeight = 0
    private var lastPlain = ""

    init(isTerminal: Bool) {
        self.isTerminal = isTerminal
        hasColor = isTerminal && getenv("NO_COLOR") == nil
        if isTerminal { put("\u{1b}[?25l") }
    }

    /// Adds a line to the log. On a terminal it is wrapped between words, with its continuation indented.
    func say(_ line: String = "") { emit(line.displayable) }

    /// Adds the verdict of a check to the log.
    func say(_ verdict: Verdict, _ text: String) { emit("  " + marked(verdict, text)) }

    func title(_ line: String) {
        emit("")
        emit(hasColor ? "\u{1b}[1m\(line.displayable)\u{1b}[0m" : line.displayable)
    }

    /// - Parameter line: a line in which text from processes and files is displayable already.
    private func emit(_ line: String) {
        erase()
        put((isTerminal ? Self.wrap(line, to: Self.width()) : line) + "\n")
    }

    /// Replaces the block, whose lines are displayable. If the output is not a terminal, `plain` is printed instead,
    /// unless it is the same as the last time.
    func update(_ block: [String], plain: String) {
        guard isTerminal else {
            if plain != lastPlain { put(plain.displayable + "\n") }
            lastPlain = plain
            return
        }
        erase()
        let width = Self.width()
        put(block.map { Self.clip($0, to: width) + "\n" }.joined())
        blockHeight = block.count
    }

    /// Restores the terminal.
    func close() { if isTerminal { put("\u{1b}[?25h") } }

    /// A verdict in its color, followed by a text.
    func marked(_ verdict: Verdict, _ text: String) -> String { "\(mark(verdict)) \(text.displayable)" }

    private func mark(_ verdict: Verdict) -> String {
        let text = verdict == .noData ? "no data" : verdict.rawValue
        guard hasColor else { return text }
        let code =
            switch verdict {
            case .pass: "32"
            case .fail: "1;31"
            case .inconclusive: "33"
            case .noData: "2"
            case .error: "35"
            }
        return "\u{1b}[\(code)m\(text)\u{1b}[0m"
    }

    private func erase() {
        guard blockHeight > 0 else { return }
        put("\u{1b}[\(blockHeight)A\u{1b}[J")
        blockHeight = 0
    }

    private func put(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            var sent = 0
            while sent < bytes.count {
                let n = write(1, bytes.baseAddress! + sent, bytes.count - sent)
                if n <= 0 { return }
                sent += n
            }
        }
    }

    private static func width() -> Int {
        var size = winsize()
        return ioctl(1, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
    }

    private static func wrap(_ line: String, to width: Int) -> String {
        let lead = String(line.prefix { $0 == " " })
        // A line with columns is not wrapped.
        guard line.count >= width, !line.dropFirst(lead.count).contains("   ") else { return line }
        var rows: [String] = []
        var row = lead
        for word in line.split(separator: " ") {
            let isFirst = row.allSatisfy { $0 == " " }
            if !isFirst, row.count + 1 + word.count >= width {
                rows.append(row)
                row = lead + "    " + word
            } else {
                row += (isFirst ? "" : " ") + word
            }
        }
        return (rows + [row]).joined(separator: "\n")
    }

    /// Clips a line to `width` columns; color codes take none.
    private static func clip(_ line: String, to width: Int) -> String {
        var columns = 0
        var isCode = false
        var clipped = ""
        for character in line {
            if character == "\u{1b}" { isCode = true }
            if isCode {
                clipped.append(character)
                if character.isLetter { isCode = false }
                continue
            }
            guard columns < width - 1 else { continue }
            clipped.append(character)
            columns += 1
        }
        return clipped
    }
}
