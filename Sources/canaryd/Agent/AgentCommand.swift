import ArgumentParser
import Glibc
import PlainText
import PolicyModel
import PolicyYAML

struct AgentCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run the agent (the default).",
        discussion:
            "SIGHUP applies changed files. SIGTERM lets requests in flight finish; a second SIGTERM ends the agent at once. "
            + "Exit status: 78 if the files have errors, 1 if something else is in the way.")

    /// The exit status for files with errors, EX_CONFIG of sysexits.h. The systemd unit does not restart the agent
    /// after it, since the files would still have the same errors.
    static let badConfiguration: Int32 = 78

    @Option(help: ArgumentHelp("The agent's file.", valueName: "file"))
    var config = "/etc/canaryd/canaryd.yaml"

    @Flag(help: "Only check the files: print all errors, and exit with 1 if there is one.")
    var check = false

    func run() throws {
        let loaded = ConfigurationLoader.load(agentFile: config)
        for diagnostic in loaded.diagnostics {
            Standard.complaint("\(diagnostic)", isError: diagnostic.severity == .error)
        }
        guard let configuration = loaded.configuration, !loaded.hasErrors else {
            throw ExitCode(check ? 1 : Self.badConfiguration)
        }
        if check {
            let (services, policies) = (configuration.services.count, configuration.policies.count)
            print(
                "\(config.displayable): ok: \(services) \(services == 1 ? "service" : "services"), "
                    + "\(policies) \(policies == 1 ? "policy" : "policies")")
            return
        }
        let signals = Signals()
        // The handler has to be set before the first logger is created, since a logger keeps the handler that it was
        // created with.
        Logs.bootstrap(level: configuration.agent.logLevel, format: configuration.agent.logFormat)
        do {
            let agent = try Agent(configurationFile: config, configuration: configuration)
            try agent.start()
            agent.serve(until: signals)
        } catch {
            Standard.complaint("canaryd: error: \(error)", isError: true)
            throw ExitCode(1)
        }
    }
}

/// The process's own streams.
enum Standard {
    /// Writes text to standard error. It may quote processes, files and other users, so characters that control a
    /// terminal are replaced.
    static func error(_ text: String) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        put(lines.map { String($0).displayable }.joined(separator: "\n"), to: 2)
    }

    /// Writes lines to standard error, each with a priority for journald if standard error goes there.
    static func complaint(_ text: String, isError: Bool) {
        let mark = !isJournal ? "" : isError ? "<3>" : "<4>"
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        error(lines.map { "\(mark)\($0)\n" }.joined())
    }

    /// True if standard error goes to journald. It is not enough that JOURNAL_STREAM is set, because child processes
    /// inherit the variable even if their output goes elsewhere.
    static var isJournal: Bool {
        guard let stream = getenv("JOURNAL_STREAM") else { return false }
        var info = stat()
        return fstat(2, &info) == 0 && String(cString: stream) == "\(info.st_dev):\(info.st_ino)"
    }

    static func output(_ text: String) { put(text, to: 1) }

    private static func put(_ text: String, to descriptor: Int32) {
        var text = text
        text.withUTF8 { _ = write(descriptor, $0.baseAddress, $0.count) }
    }
}
