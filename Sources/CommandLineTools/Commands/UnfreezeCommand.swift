import ArgumentParser

struct UnfreezeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unfreeze", abstract: "Lift a freeze.")

    @OptionGroup var options: ChangeOptions

    func run() throws { try options.send(.unfreeze) }
}
