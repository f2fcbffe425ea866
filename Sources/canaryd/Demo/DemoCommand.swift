import ArgumentParser
import Glibc
import ReferenceModel

struct DemoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Show a sound candidate promoted and a harmful one reverted, on a real model with real data.",
        discussion: """
            Trains a small model on census data once and keeps it, starts the agent and a model server for each version, \
            replays rows that no model has seen through the proxy, posts their true labels as feedback, and rolls out the \
            candidates one after the other. Everything it starts ends with it.
            """)

    @Option(help: ArgumentHelp("Which artefacts to roll out: int8, pruned, skewed, fp32@SEED, …", valueName: "a,b"))
    var candidates = "int8,skewed"

    @Option(help: ArgumentHelp("Requests a second.", valueName: "rps"))
    var rate = 250.0

    @Option(help: ArgumentHelp("The folder of adult_train.csv and adult_test.csv.", valueName: "dir"))
    var data: String?

    @Option(help: ArgumentHelp("Where trained artefacts are kept.", valueName: "dir"))
    var artefacts: String?

    @Flag(help: "Leave it running at the end, to play with, until Ctrl-C.")
    var keep = false

    mutating func validate() throws {
        for name in candidates.split(separator: ",") where ArtefactName(String(name)) == nil {
            throw ValidationError(
                "no artefact is called \(name): say fp32, int8, pruned or skewed, with @SEED for another training seed")
        }
        if candidates.isEmpty { throw ValidationError("name at least one candidate") }
        if !(1...2_000).contains(rate) { throw ValidationError("--rate is 1 to 2000 requests a second, not \(rate)") }
    }

    func run() throws {
        let signals = Signals()
        let show = DemoShow(isTerminal: isatty(1) == 1)
        do {
            let demo = try Demo(
                candidates: candidates.split(separator: ",").compactMap { ArtefactName(String($0)) }, rate: rate,
                data: data ?? Self.dataFolder(), artefacts: artefacts ?? ArtefactFolder.usual, show: show)
            demo.endOn(signals)
            try demo.run(keep: keep)
        } catch {
            show.close()
            Standard.error("canaryd demo: error: \(error)\n")
            throw ExitCode(1)
        }
    }

    /// Beside the sources, or where the installation puts it: `bin/canaryd` goes with `share/canaryd`.
    private static func dataFolder() -> String {
        var places = ["examples/income/data"]
        if let program = realpath("/proc/self/exe", nil) {
            defer { free(program) }
            let parts = String(cString: program).split(separator: "/").dropLast(2)
            places.append("/" + (parts + ["share/canaryd/examples/income/data"]).joined(separator: "/"))
        }
        places.append("/usr/local/share/canaryd/examples/income/data")
        return places.first { access("\($0)/adult_test.csv", R_OK) == 0 } ?? places[0]
    }
}

/// Where artefacts are kept that the demo trained and `reference:NAME` finds.
enum ArtefactFolder {
    /// `CANARYD_ARTEFACTS`, else below the user's cache folder.
    static var usual: String {
        func variable(_ name: String) -> String? {
            getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
        }
        if let chosen = variable("CANARYD_ARTEFACTS") { return chosen }
        if let cache = variable("XDG_CACHE_HOME") { return "\(cache)/canaryd/artefacts" }
        if let home = variable("HOME") { return "\(home)/.cache/canaryd/artefacts" }
        return "/tmp/canaryd-artefacts"
    }
}
