import ArgumentParser

struct PauseCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause", abstract: "Hold the rollout where it is; reverts still happen.")

    @OptionGroup var options: ChangeOptions

    func run() throws { try options.send(.pause) }
}
