import Glibc
import Logging
import PlainText
import PolicyModel
import Vocabulary

/// The agent's own log, on standard error.
enum Logs {
    /// Sets the handler of all loggers that are created afterwards.
    /// - Parameter format: `auto` is the format of journald if standard error goes there, plain text on a terminal, and
    ///   otherwise JSON.
    static func bootstrap(level: AgentSettings.LogLevel, format: AgentSettings.LogFormat) {
        var format = format
        if format == .auto {
            format = Standard.isJournal ? .journald : isatty(2) == 1 ? .plain : .json
        }
        let chosen = format
        let level = Logger.Level(rawValue: level.rawValue) ?? .info
        LoggingSystem.bootstrap { _ in LineHandler(format: chosen, logLevel: level) }
    }
}

/// Writes each log message to standard error in one of the formats.
private struct LineHandler: LogHandler {
    let format: AgentSettings.LogFormat
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let fields = metadata.merging(event.metadata ?? [:]) { $1 }.map { ($0.key, "\($0.value)") }
            .sorted { $0.0 < $1.0 }
        let message = event.message.description
        switch format {
        case .journald:
            // journald takes each line for a separate entry, so each has the priority.
            let mark = "<\(priority(event.level))>"
            Standard.error(Self.lines(message, fields).map { "\(mark)\($0)\n" }.joined())
        case .plain:
            let lead = "\(Self.clock()) \(event.level.rawValue.uppercased()) "
            Standard.error(lead + Self.lines(message, fields).joined(separator: "\n") + "\n")
        case .json, .auto:
            var line =
                "{\"time\":\"\(Self.clock())\",\"level\":\"\(event.level.rawValue)\",\"message\":\(Self.quoted(message))"
            for (key, value) in fields { line += ",\(Self.quoted(key)):\(Self.quoted(value))" }
            Standard.error(line + "}\n")
        }
    }

    /// The priority of a level, as syslog(3) numbers it.
    private func priority(_ level: Logger.Level) -> Int {
        switch level {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }

    /// The lines of a message, with the fields at the end of the last one. Lines after the first are indented, so that
    /// no part of a message passes for a separate entry.
    private static func lines(_ message: String, _ fields: [(String, String)]) -> [String] {
        var lines = message.split(separator: "\n", omittingEmptySubsequences: false).map { String($0).displayable }
        for place in lines.indices.dropFirst() where !lines[place].hasPrefix(continuation) {
            lines[place] = continuation + lines[place]
        }
        lines[lines.count - 1] += pairs(fields)
        return lines
    }

    private static let continuation = "    "

    private static func pairs(_ fields: [(String, String)]) -> String {
        fields.map { key, value in
            let isQuoted = value.unicodeScalars.contains { $0 == " " || $0 == "\"" || $0.steersDisplay }
            return " \(key.displayable)=\(isQuoted ? quoted(value) : value)"
        }.joined()
    }

    private static func quoted(_ text: String) -> String { "\"\(text.escapedForJSON)\"" }

    /// The current time in UTC as RFC 3339 writes it, with milliseconds.
    private static func clock() -> String {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return Timestamp(milliseconds: Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000).description
    }
}
