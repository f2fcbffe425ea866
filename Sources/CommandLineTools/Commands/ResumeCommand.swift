import ArgumentParser

struct ResumeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Let a paused rollout go on.")

    @OptionGroup var options: ChangeOptions

    func run() throws { try options.send(.resume) }
}
