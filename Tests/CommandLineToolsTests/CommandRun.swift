import AdminTestSupport
import CommandLineTools
import Synchronization

/// Runs a command line in this process, and keeps its exit status and its output.
struct CommandRun {
    let status: Int32
    let output: String
    let errors: String

    private final class Sink: Sendable {
        let texts = Mutex((output: "", errors: ""))
    }

    init(_ arguments: String..., socket: String? = nil, colored: Bool = false) {
        self.init(all: arguments, socket: socket, colored: colored)
    }

    init(all arguments: [String], socket: String? = nil, colored: Bool = false) {
        let sink = Sink()
        let console = Console(isTerminal: false, isColored: colored) { text, toErrors in
            sink.texts.withLock { if toErrors { $0.errors += text } else { $0.output += text } }
        }
        let all = arguments + (socket.map { ["--socket", $0] } ?? [])
        status = Console.$current.withValue(console) { Canaryctl.run(all) }
        (output, errors) = sink.texts.withLock { ($0.output, $0.errors) }
    }
}
