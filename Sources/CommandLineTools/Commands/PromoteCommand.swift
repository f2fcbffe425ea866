import ArgumentParser

struct PromoteCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "promote",
        abstract: "Promote the candidate now, to the bake if there is one; lists what is not proven.")

    @OptionGroup var options: ChangeOptions
    @Flag(help: "Promote even if a check fails or the service is frozen.") var force = false

    func run() throws { try options.send(.promote, force: force) }
}
