import ArgumentParser

@main
struct Canaryd: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "canaryd",
        abstract: "Canary deployment controller and rollback agent for model servers.",
        version: Build.version,
        subcommands: [AgentCommand.self, ModelServerCommand.self, DemoCommand.self],
        defaultSubcommand: AgentCommand.self)

    static func main() {
        ChildProcess.dieWithParent()
        main(nil)
    }
}
