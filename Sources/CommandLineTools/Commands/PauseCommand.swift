import ArgumentParser

struct PauseCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause", abstract: "Pause the rollout at its current weight; reverts still happen.")

    @OptionGroup var options: ChangeOptions

    func run() throws { try options.send(.pause) }
}
