import AdminTypes
import Vocabulary

/// Formats an event as one line.
enum EventText {
    /// The line of an event: `2026-11-21 03:41:30 UTC  #17  step_started  1%  by policy  step 1 of 3: …`
    static func line(_ event: EventRecord, colored: Bool) -> String {
        func styled(_ text: String, _ style: Style) -> String { colored ? style.applied(to: text) : text }
        let id = event.id.map { "#\($0)" } ?? "(not on disk)"
        return [
            event.at.short + " UTC", styled(pad(id, 6), .dim),
            styled(pad(plain(event.kind), 15), style(event.knownKind)),
            plain(event.message) + (["policy", "agent"].contains(event.by) ? "" : " (\(plain(event.by)))"),
        ].joined(separator: "  ")
    }

    static func style(_ kind: EventKind?) -> Style {
        switch kind {
        case .promoted, .recovered: .green
        case .reverted, .alarm: .red
        case .paused, .frozen, .held, .deadlinePassed, .recovering, .returned, .refused: .yellow
        case .checkChanged: .dim
        case .rolloutStarted, .warmedUp, .stepStarted, .proving, .ready, .bakeStarted, .ended, .resumed, .unfrozen,
            .retried,
            .holdCleared, .configurationApplied, nil:
            .cyan
        }
    }

    static func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(width - text.count, 0))
    }
}
