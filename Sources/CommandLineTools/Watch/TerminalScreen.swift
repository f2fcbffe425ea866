import Glibc

/// The alternate screen of a terminal. Its owner has to call `restore` at the end. Signals that would terminate the
/// process make `pause` return false instead, so that the owner can do so.
final class TerminalScreen {
    private var previous = termios()
    private let hasPrevious: Bool

    /// 1 after a signal that terminates, such as that of Ctrl-C. Only the signal handler sets it; `init` resets it.
    private nonisolated(unsafe) static var stop: sig_atomic_t = 0

    init() {
        hasPrevious = tcgetattr(STDIN_FILENO, &previous) == 0
        if hasPrevious {
            // Keys are not echoed onto the screen; Ctrl-C still sends a signal.
            var quiet = previous
            quiet.c_lflag &= ~tcflag_t(ECHO | ICANON)
            tcsetattr(STDIN_FILENO, TCSANOW, &quiet)
        }
        Self.stop = 0
        for number in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
            signal(number) { _ in TerminalScreen.stop = 1 }
        }
        // A change of the size only has to interrupt `pause`; the next drawing queries the size.
        signal(SIGWINCH) { _ in }
        writeAll("\u{1b}[?1049h\u{1b}[?25l", to: STDOUT_FILENO)
    }

    /// Returns to the normal screen and restores the settings of the terminal.
    func restore() {
        writeAll("\u{1b}[?25h\u{1b}[?1049l", to: STDOUT_FILENO)
        if hasPrevious { tcsetattr(STDIN_FILENO, TCSANOW, &previous) }
        for number in [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH] { signal(number, SIG_DFL) }
    }

    /// The current size of the terminal in columns and rows.
    var size: (width: Int, height: Int) {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
            return (80, 24)
        }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    /// Draws lines over the previous ones without flicker: it clears the rest of each line, and what is below the last.
    func draw(_ lines: [String]) {
        var text = "\u{1b}[?2026h\u{1b}[H"
        text += lines.joined(separator: "\u{1b}[K\r\n") + "\u{1b}[K\u{1b}[J\u{1b}[?2026l"
        writeAll(text, to: STDOUT_FILENO)
    }

    /// Waits until the time has passed, a key was typed or a signal arrived.
    /// - Returns: false after a signal that terminates, such as that of Ctrl-C, or if `q` was typed; otherwise true.
    func pause(milliseconds: Int32) -> Bool {
        if Self.stop != 0 { return false }
        guard hasPrevious else {
            usleep(UInt32(milliseconds) * 1000)
            return Self.stop == 0
        }
        var input = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
        if poll(&input, 1, milliseconds) > 0 {
            var key: UInt8 = 0
            let count = read(STDIN_FILENO, &key, 1)
            if count <= 0 { usleep(UInt32(milliseconds) * 1000) }
            if key == UInt8(ascii: "q") || key == 3 { return false }
        }
        return Self.stop == 0
    }
}
