import ArgumentParser
import Glibc
import PolicyModel
import PolicyYAML

struct AgentCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run the agent (the default).",
        discussion:
            "SIGHUP applies changed files, SIGTERM lets requests in flight finish, a second SIGTERM ends at once.")

    @Option(help: ArgumentHelp("The agent's file.", valueName: "file"))
    var config = "/etc/canaryd/canaryd.yaml"

    @Flag(help: "Only check the files: every error of all of them, then exit with 1 if there is one.")
    var check = false

    func run() throws {
        let loaded = ConfigurationLoader.load(agentFile: config)
        for diagnostic in loaded.diagnostics { Standard.error("\(diagnostic)\n") }
        guard let configuration = loaded.configuration, !loaded.hasErrors else { throw ExitCode(1) }
        if check {
            let policies = configuration.policies.count
            print("\(config): ok: \(configuration.services.count) service(s), \(policies) policies")
            return
        }
        let signals = Signals()
        // Before anything makes a logger: each keeps the handler that it was made with.
        Logs.bootstrap(level: configuration.agent.logLevel, format: configuration.agent.logFormat)
        do {
            let agent = try Agent(configurationFile: config, configuration: configuration)
            try agent.start()
            agent.serve(until: signals)
        } catch {
            Standard.error("canaryd: error: \(error)\n")
            throw ExitCode(1)
        }
    }
}

/// The process's own streams.
enum Standard {
    static func error(_ text: String) { put(text, to: 2) }
    static func output(_ text: String) { put(text, to: 1) }

    private static func put(_ text: String, to descriptor: Int32) {
        var text = text
        text.withUTF8 { _ = write(descriptor, $0.baseAddress, $0.count) }
    }
}
