import ArgumentParser
import PolicyModel
import PolicySimulation
import PolicyYAML

struct PolicyTestCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test",
        abstract: "Run policies against written-down traffic: what would they have decided, and when?",
        discussion: "Needs no agent. The same file always comes out the same; its seed is written in it.")

    @Argument(
        help: ArgumentHelp("Policy tests, NAME.test.yaml.", valueName: "files"),
        completion: .file(extensions: ["yaml"]))
    var files: [String]

    func run() throws {
        let console = Console.current
        var unmet = 0
        var met = 0
        var unread = 0
        for file in files {
            let loaded = ConfigurationLoader.load(policyTestFile: file)
            for diagnostic in loaded.diagnostics { console.line(diagnostic.description) }
            guard let test = loaded.value, !loaded.hasErrors else {
                unread += 1
                continue
            }
            for outcome in PolicyTestRunner.run(test) {
                let place = "\(file):\(outcome.scenario.line)"
                console.line(
                    "\(outcome.isMet ? "ok    " : "FAILED") \(place): \(outcome.scenario.name): \(outcome.line)")
                if outcome.isMet { met += 1 } else { unmet += 1 }
            }
        }
        let summary = "\(met) as expected, \(unmet) not"
        guard unmet + unread == 0 else {
            let also = unread > 0 ? ", \(unread) of \(files.count) files with errors" : ""
            throw Failure(ExitStatus.failed, summary + also)
        }
        console.line(summary)
    }
}
