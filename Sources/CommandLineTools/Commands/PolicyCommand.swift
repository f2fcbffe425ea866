import ArgumentParser
import PolicyYAML

struct PolicyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy", abstract: "Check policies before they decide anything.",
        subcommands: [
            PolicyLintCommand.self, PolicyTestCommand.self, PolicySimulateCommand.self, PolicyCalibrateCommand.self,
            PolicyReplayCommand.self,
        ])
}

struct PolicyLintCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lint", abstract: "Report all errors in policies, services and policy tests.",
        discussion: "A folder stands for all policies, services and tests in it. The command needs no agent.")

    @Argument(help: ArgumentHelp("Files or folders.", valueName: "files"), completion: .file()) var files: [String]

    func run() throws {
        let console = Console.current
        let result = ConfigurationLoader.lint(files: files)
        for diagnostic in result.diagnostics { console.block(diagnostic.description) }
        let errors = result.diagnostics.count { $0.severity == .error }
        let warnings = result.diagnostics.count - errors
        if errors > 0 {
            throw Failure(ExitStatus.failed, "\(Words.count(errors, "error")), \(Words.count(warnings, "warning"))")
        }
        let read = Words.count(result.value ?? 0, "file")
        console.line(warnings > 0 ? "\(read) fine, \(Words.count(warnings, "warning"))" : "\(read) fine")
    }
}
