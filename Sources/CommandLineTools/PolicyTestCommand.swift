import ArgumentParser
import PolicyModel
import PolicySimulation
import PolicyYAML

/// `canaryctl policy test`: what policies would have decided on traffic that is written down.
public struct PolicyTestCommand: ParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "test",
        abstract: "Run policies against written-down traffic and say what they would have decided, and when.",
        discussion: "Needs no agent. The same file always comes out the same; its seed is written in it.")

    @Argument(help: "Policy tests: NAME.test.yaml.", completion: .file(extensions: ["yaml"]))
    var files: [String]

    public init() {}

    public func run() throws {
        var failed = 0
        var passed = 0
        for file in files {
            let loaded = ConfigurationLoader.load(policyTestFile: file)
            for diagnostic in loaded.diagnostics { print(diagnostic) }
            guard let test = loaded.value, !loaded.hasErrors else {
                failed += 1
                continue
            }
            for outcome in PolicyTestRunner.run(test) {
                let place = "\(file):\(outcome.scenario.line)"
                print("\(outcome.isMet ? "ok    " : "FAILED") \(place): \(outcome.scenario.name): \(outcome.line)")
                if outcome.isMet { passed += 1 } else { failed += 1 }
            }
        }
        print("\(passed) as expected, \(failed) not")
        if failed > 0 { throw ExitCode.failure }
    }
}
