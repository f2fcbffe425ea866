import ArgumentParser

struct PromoteCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "promote",
        abstract: "Let the candidate win now: to the bake, where there is one; says what is not proven.")

    @OptionGroup var options: ChangeOptions
    @Flag(help: "Also while a check fails or a freeze is on.") var force = false

    func run() throws { try options.send(.promote, force: force) }
}
