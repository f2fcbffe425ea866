import ArgumentParser

struct RestartCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restart", abstract: "Start the rollout again with the files as they were last loaded.")

    @OptionGroup var options: ChangeOptions

    func run() throws { try options.send(.restart) }
}
