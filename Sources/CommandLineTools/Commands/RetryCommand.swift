import ArgumentParser

struct RetryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retry", abstract: "Try a reverted candidate again; it spends its risk afresh.")

    @OptionGroup var options: ChangeOptions

    func run() throws { try options.send(.retry) }
}
