import ArgumentParser
import CommandLineTools

@main
struct Canaryd: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "canaryd",
        abstract: "Canary deployment controller and rollback agent for model servers.",
        version: CanarydVersion.text,
        subcommands: [AgentCommand.self, ModelServerCommand.self, DemoCommand.self],
        defaultSubcommand: AgentCommand.self)

    static func main() {
        ChildProcess.dieWithParent()
        main(nil)
    }
}
