import ArgumentParser

struct FreezeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "freeze",
        abstract: "Stop rollouts from starting, advancing or being promoted; reverts still happen.")

    @OptionGroup var options: ChangeOptions

    func run() throws { try options.send(.freeze) }
}
