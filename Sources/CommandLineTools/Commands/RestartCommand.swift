import ArgumentParser

struct RestartCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restart", abstract: "Start the rollout again with the current files.")

    @OptionGroup var options: ChangeOptions

    func run() throws { try options.send(.restart) }
}
