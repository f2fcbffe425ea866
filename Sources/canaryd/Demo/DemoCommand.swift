import ArgumentParser
import Glibc
import ReferenceModel

struct DemoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Show how a sound candidate is promoted and a harmful one reverted, with a real model and real data.",
        discussion: """
            The demo trains a small model on census data once and keeps it, starts the agent and a model server for each \
            version, replays rows that no model was trained on through the proxy, posts their true labels as feedback, and \
            rolls out the candidates one after the other. When it ends, it stops everything that it started.
            """)

    @Option(help: ArgumentHelp("The artifacts to roll out: int8, pruned, skewed, fp32@SEED, …", valueName: "a,b"))
    var candidates = "int8,skewed"

    @Option(help: ArgumentHelp("Requests per second.", valueName: "rps"))
    var rate = 250.0

    @Option(help: ArgumentHelp("The folder of adult_train.csv and adult_test.csv.", valueName: "dir"))
    var data: String?

    @Option(help: ArgumentHelp("The folder in which trained artifacts are kept.", valueName: "dir"))
    var artifacts: String?

    @Flag(help: "Keep everything running at the end until Ctrl-C, to try commands.")
    var keep = false

    mutating func validate() throws {
        for name in candidates.split(separator: ",") where ArtifactName(String(name)) == nil {
            throw ValidationError(
                "no artifact is called \(name): say fp32, int8, pruned or skewed, with @SEED for another training seed")
        }
        if candidates.isEmpty { throw ValidationError("name at least one candidate") }
        if !(1...2_000).contains(rate) { throw ValidationError("--rate is 1 to 2000 requests a second, not \(rate)") }
    }

    func run() throws {
        let signals = Signals()
        let show = DemoShow(isTerminal: isatty(1) == 1)
        do {
            let demo = try Demo(
                candidates: candidates.split(separator: ",").compactMap { ArtifactName(String($0)) }, rate: rate,
                data: data ?? Self.dataFolder(), artifacts: artifacts ?? ArtifactFolder.path, show: show)
            demo.endOn(signals)
            try demo.run(keep: keep)
        } catch {
            show.close()
            Standard.error("canaryd demo: error: \(error)\n")
            throw ExitCode(1)
        }
    }

    /// The folder of the census data: in the source tree, or in `share/canaryd` next to the installed `bin/canaryd`.
    private static func dataFolder() -> String {
        var folders = ["examples/income/data"]
        if let program = realpath("/proc/self/exe", nil) {
            defer { free(program) }
            let parts = String(cString: program).split(separator: "/").dropLast(2)
            folders.append("/" + (parts + ["share/canaryd/examples/income/data"]).joined(separator: "/"))
        }
        folders.append("/usr/local/share/canaryd/examples/income/data")
        return folders.first { access("\($0)/adult_test.csv", R_OK) == 0 } ?? folders[0]
    }
}

/// The folder in which the demo keeps trained artifacts and a server `reference:NAME` finds them.
enum ArtifactFolder {
    /// The value of `CANARYD_ARTIFACTS`, or else a folder below the user's cache folder.
    static var path: String {
        func variable(_ name: String) -> String? {
            getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
        }
        if let chosen = variable("CANARYD_ARTIFACTS") { return chosen }
        if let cache = variable("XDG_CACHE_HOME") { return "\(cache)/canaryd/artifacts" }
        if let home = variable("HOME") { return "\(home)/.cache/canaryd/artifacts" }
        return "/tmp/canaryd-artifacts"
    }
}
