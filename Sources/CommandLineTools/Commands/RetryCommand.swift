import ArgumentParser

struct RetryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retry", abstract: "Try a reverted candidate again, with the full risk budget.")

    @OptionGroup var options: ChangeOptions

    func run() throws { try options.send(.retry) }
}
