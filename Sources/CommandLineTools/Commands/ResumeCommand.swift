import ArgumentParser

struct ResumeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Resume a paused rollout.")

    @OptionGroup var options: ChangeOptions

    func run() throws { try options.send(.resume) }
}
