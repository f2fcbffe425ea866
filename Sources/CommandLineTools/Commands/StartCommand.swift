import ArgumentParser

struct StartCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "start", abstract: "Start a rollout that waits for a manual start.")

    @OptionGroup var options: ChangeOptions

    func run() throws { try options.send(.start) }
}
