import AdminClient
import AdminTestSupport
import AdminTypes
import Analysis
import Glibc
import PlainText
import PolicyModel
import RolloutController
import Testing
import Vocabulary

@testable import CommandLineTools
@testable import RolloutEngine

/// Text that a server, a label job, a file or another operator chose must not control the terminal that shows it.
@Suite("Hostile text", .timeLimit(.minutes(15)))
struct HostileTextTests {
    /// Clears a screen in C0 and in C1, turns the direction of what follows, hides scalars that take no space (a byte
    /// order mark, a space without width, a soft hyphen, a tag), and ends the line in four ways.
    static let hostile =
        "a\u{1b}[2J\u{9b}31m\u{7f}\u{202e}b\u{2066}\u{200f}\u{061c}\u{feff}\u{200b}\u{ad}\u{e0041}"
        + "\u{85}\u{2028}\u{2029}\r\n\u{7}c"
    static let shown = "a·[2J·31m··b·············c"

    let api: RunningAPI

    init() throws {
        let backend = Example.backend()
        Self.poison(backend)
        api = try RunningAPI(backend)
    }

    /// Puts the text wherever a string can come in from outside.
    private static func poison(_ backend: ScriptedBackend) {
        let text = hostile
        var evaluation = Example.harmful
        evaluation.blindness = text
        for place in evaluation.results.indices {
            evaluation.results[place].policy += text
            evaluation.results[place].check += text
            evaluation.results[place].missing = text
            for m in evaluation.results[place].measurements.indices {
                evaluation.results[place].measurements[m].subject += text
                evaluation.results[place].measurements[m].notes = [.other(text)]
            }
        }
        let version = VersionIdentity(name: "v" + text, revision: text)
        var entry = backend.services["income"]!
        entry.evaluation = evaluation
        entry.notes = [text]
        entry.state.serving = version
        entry.state.previous = version
        entry.state.rollout?.id = "income-1" + text
        entry.state.rollout?.candidate = version
        entry.state.freeze = Freeze(reason: text, by: text, at: 0)
        entry.state.refused = Refusal(identity: version, reason: text, at: 0, times: 1)
        entry.baseline.identity = version
        entry.candidate?.identity = version
        let servers = [ServerState.unhealthy(reason: text), .unresolved(reason: text)].map {
            ServerView(address: .http(host: "h" + text, port: 1), state: $0)
        }
        entry.baseline.states = servers
        entry.candidate?.states = servers
        entry.isDurable = false
        backend.services["income"] = entry
        backend.readiness = HealthStatus(ok: false, problems: [text])
        backend.agent.version = text
        backend.agent.configurationFile = "/nowhere/" + text
        backend.agent.stateDirectory = "/nowhere/" + text
        backend.agent.adminAddress = "unix:/nowhere/" + text
        backend.targetList = [
            TargetStatus(
                version: text, server: text, reachable: false, state: .unhealthy, detail: text,
                scrape: .init(
                    url: text, at: Timestamp(milliseconds: 0), ok: false, problem: text, samples: 0,
                    durationSeconds: 0))
        ]
        backend.records = [
            RolloutRecord(
                id: "income-1" + text, service: "income", baseline: version, candidate: version, startedAt: 0,
                endedAt: 1, result: .reverted, reason: text, decision: 1)
        ]
        backend.journal = [
            JournalEntry(
                id: 1, service: "income", at: 0,
                event: Event(
                    .reverted, rollout: "income-1" + text, message: text, by: text, evaluation: evaluation))
        ]
    }

    private static func steers(_ line: String) -> Bool { line.unicodeScalars.contains(where: \.steersDisplay) }

    /// Checks that the output contains nothing that controls a terminal, except for canaryctl's own styles.
    private func expectHarmless(_ run: CommandRun, _ what: String, styled: Bool = false) {
        for var text in [run.output, run.errors] {
            if styled {
                for code in ["0", "1", "2", "31", "32", "33", "36"] {
                    text = text.split(separator: "\u{1b}[\(code)m", omittingEmptySubsequences: false).joined()
                }
            }
            let steering = text.unicodeScalars.filter { $0 != "\n" && $0.steersDisplay }.map(\.escapeForJSON)
            #expect(steering.isEmpty, "\(what): \(steering) in \(text.displayable)")
        }
    }

    static let reading = [
        ["status"], ["status", "income"], ["history"], ["events"], ["explain"], ["explain", "1"],
        ["explain", "--replay"], ["doctor"], ["explain", hostile], ["status", hostile], [hostile], ["--\(hostile)"],
        ["events", "--limit", hostile],
    ]
    static let changing = CommandVerb.allCases.flatMap { verb in
        [[verb.rawValue], [verb.rawValue, "--wait=1s"], [verb.rawValue, "--reason", hostile]]
    }

    @Test("No command shows text that controls a terminal, with colors or without", arguments: reading + changing)
    func tables(_ arguments: [String]) {
        for isColored in [false, true] {
            let run = CommandRun(all: arguments, socket: api.adminSocket, colored: isColored)
            #expect(!(run.output + run.errors).isEmpty)
            expectHarmless(run, "\(arguments)", styled: isColored)
        }
    }

    @Test("Hostile text is shown with dots in place of the characters that control a terminal")
    func dots() throws {
        #expect(Self.hostile.displayable == Self.shown)
        let events = CommandRun("events", socket: api.adminSocket).output
        #expect(events.contains("\(Self.shown) (\(Self.shown))\n"), "\(events)")
    }

    @Test("JSON and YAML escape hostile text, so that the value survives", arguments: ["json", "yaml"])
    func values(_ format: String) throws {
        for arguments in Self.reading.prefix(6) + [["doctor"]] {
            let run = CommandRun(all: arguments + ["-o", format], socket: api.adminSocket)
            expectHarmless(run, "\(arguments) -o \(format)")
            #expect(run.output.contains(#"\u009b31m\u007f\u202eb\u2066"#), "\(arguments)")
        }
        guard format == "json" else { return }
        let events = CommandRun("events", "-o", format, socket: api.adminSocket).output
        let list = try JSONCoding.decode(EventList.self, from: Array(events.utf8))
        #expect(list.events.first?.message == Self.hostile)
        #expect(list.events.first?.by == Self.hostile)
    }

    @Test("watch shows nothing that controls a terminal, on its screen or as lines")
    func watch() throws {
        let client = AdminClient(path: api.adminSocket)
        let status = try client.service("income")
        let screen = WatchScreen(width: 200, height: 60, isColored: false)
        let lines =
            screen.lines(
                status, events: try client.events("income", limit: 5), now: Timestamp(milliseconds: 0),
                problem: Self.hostile)
            + screen.overview([status], now: Timestamp(milliseconds: 0), problem: Self.hostile)
        #expect(lines.contains { $0.contains("·[2J·31m") })
        for line in lines { #expect(!Self.steers(line), "\(line.displayable)") }
        var written = ""
        let console = Console(isTerminal: false, isColored: false) { text, _ in written += text }
        console.line(WatchLine.text(status))
        #expect(!Self.steers(String(written.dropLast())))
    }

    @Test("lint, test, simulate and init show neither the content nor the names of files unchanged")
    func files() throws {
        var template = Array("/tmp/canaryd-text-XXXXXX".utf8CString)
        let folder = String(cString: mkdtemp(&template))
        let name = "\(folder)/p\u{1b}[2J\u{9b}\u{202e}.yaml"
        let test = "\(folder)/p\u{1b}[2J\u{9b}\u{202e}.test.yaml"
        defer {
            for file in [name, test] { unlink(file) }
            rmdir(folder)
        }
        // The unknown key, the wrong value and the name of the check are quoted in messages or shown with their line.
        let text = "policy: \"p\\e[2J\u{9b}\u{202e}\"\nche\u{9b}cks: {\u{202e}: 1}\nchecks:\n\t- {name: \u{2066}x}\n"
        for file in [name, test] {
            let handle = try #require(fopen(file, "w"))
            fputs(text, handle)
            fclose(handle)
        }
        for arguments in [
            ["policy", "lint", name], ["policy", "lint", folder], ["policy", "test", test], ["policy", "test", folder],
            ["policy", "simulate", name, "--rps", "40"],
            ["policy", "calibrate", "income", "--policy", name, "--socket", api.adminSocket],
            ["policy", "replay", "income", name, "--socket", api.adminSocket],
            ["init", "http://127.0.0.1:1", "http://127.0.0.1:1", "--name", Self.hostile],
        ] {
            let run = CommandRun(all: arguments)
            #expect(run.status != 0, "\(arguments)")
            expectHarmless(run, "\(arguments)")
        }
    }

    @Test("A model's name from a server's metrics cannot end the value that it is written into")
    func initFiles() throws {
        // A comma with a combining mark is another character to Swift, and still a comma to YAML.
        let names = ["m]}\nlisten: 0.0.0.0:1 #", "a, b", "a,\u{301}b", "m\u{1b}[2J\u{202e}", "{x", "plain-v1.2"]
        for model in names {
            let value = YAMLText.flowString(model)
            #expect(!Self.steers(value))
            #expect(value == (model == "plain-v1.2" ? model : "\"\(model.escapedForYAML)\""))
        }
        #expect(YAMLText.flowString("a, b") == #""a, b""#)
        #expect(YAMLText.flowString("m]") == #""m]""#)
        #expect(YAMLText.flowString("/v2/models/plain-v1.2/infer") == "/v2/models/plain-v1.2/infer")
    }
}
