import ArgumentParser

struct AdvanceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "advance", abstract: "Advance to the next step now.")

    @OptionGroup var options: ChangeOptions

    func run() throws { try options.send(.advance) }
}
