import ArgumentParser

struct RevertCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revert", abstract: "Send all traffic to the baseline now.",
        discussion: "Without a rollout, --to VERSION returns to a version that served before.")

    @OptionGroup var options: ChangeOptions
    @Option(help: ArgumentHelp("The version to serve; default: the rollout's baseline.", valueName: "version"))
    var to: String?
    @Flag(help: "Revert even if the baseline is down.") var force = false

    func run() throws { try options.send(.revert, force: force, to: to) }
}
