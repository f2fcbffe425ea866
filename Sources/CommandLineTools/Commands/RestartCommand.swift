import ArgumentParser

struct RestartCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restart", abstract: "Begin the rollout anew with the files as they are now.")

    @OptionGroup var options: ChangeOptions

    func run() throws { try options.send(.restart) }
}
