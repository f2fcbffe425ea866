import ArgumentParser

struct FreezeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "freeze", abstract: "Let nothing start, advance or promote; reverts still happen.")

    @OptionGroup var options: ChangeOptions

    func run() throws { try options.send(.freeze) }
}
