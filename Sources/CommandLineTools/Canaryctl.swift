import AdminClient
import ArgumentParser
import Glibc

/// `canaryctl`: the command line of a running agent.
public struct Canaryctl: ParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "canaryctl",
        abstract: "Show and control the rollouts of a canaryd agent.",
        discussion: """
            The agent's socket is --socket PATH, or else CANARYD_SOCKET, or else /run/canaryd/admin.sock.
            SERVICE may be omitted if the agent has only one service.
            Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 agent not reachable, 4 in force but not yet on disk,
            5 --wait ended because the rollout continues only when a person acts.
            """,
        version: CanarydVersion.text,
        groupedSubcommands: [
            CommandGroup(
                name: "Inspect",
                subcommands: [
                    StatusCommand.self, WatchCommand.self, HistoryCommand.self, EventsCommand.self,
                    ExplainCommand.self, DoctorCommand.self,
                ]),
            CommandGroup(
                name: "Control",
                subcommands: [
                    StartCommand.self, AdvanceCommand.self, PromoteCommand.self, RevertCommand.self,
                    PauseCommand.self, ResumeCommand.self, RetryCommand.self, RestartCommand.self,
                    FreezeCommand.self, UnfreezeCommand.self,
                ]),
            CommandGroup(name: "Prepare", subcommands: [InitCommand.self, PolicyCommand.self]),
        ])

    public init() {}

    /// Runs the command line of the process and exits with its status.
    public static func runProcess() -> Never {
        signal(SIGPIPE, SIG_IGN)
        Glibc.exit(run(Array(CommandLine.arguments.dropFirst())))
    }

    /// Runs a command line, given without the program's name, and returns its exit status. It exits the process only if
    /// the output cannot be written, for example to a closed pipe.
    public static func run(_ arguments: [String]) -> Int32 {
        let console = Console.current
        do {
            var command = try parseAsRoot(separated(subcommandFirst(arguments)))
            try command.run()
            return ExitStatus.done
        } catch let failure as Failure {
            if !failure.message.isEmpty { console.error("canaryctl: " + plain(failure.message)) }
            for line in failure.detail { console.error("  " + plain(line)) }
            return failure.status
        } catch let error as AdminClientError {
            let failure = Failure(error)
            console.error("canaryctl: " + plain(failure.message))
            for line in failure.detail { console.error("  " + plain(line)) }
            return failure.status
        } catch {
            let text = fullMessage(for: error)
            switch exitCode(for: error) {
            case .success:
                console.block(text)
                return ExitStatus.done
            case .validationFailure:
                console.errorBlock(text)
                return ExitStatus.usage
            default:
                console.errorBlock(text)
                return ExitStatus.failed
            }
        }
    }
}

extension Canaryctl {
    /// Moves leading `--socket` and `--output` options behind the subcommand, so that people can write
    /// `canaryctl --socket PATH status`.
    static func subcommandFirst(_ arguments: [String]) -> [String] {
        var leading: [String] = []
        var rest = arguments[...]
        while let option = rest.first, ["--socket", "--output"].contains(where: { option.hasPrefix($0) }) {
            let count = option.contains("=") ? 1 : 2
            leading += rest.prefix(count)
            rest = rest.dropFirst(count)
        }
        return rest + leading
    }

    /// Splits `--wait=30m` into two arguments. If the value of an option is optional, the argument parser drops a value
    /// that is joined by `=` when another option follows.
    private static func separated(_ arguments: [String]) -> [String] {
        arguments.flatMap { $0.hasPrefix("--wait=") ? ["--wait", String($0.dropFirst(7))] : [$0] }
    }
}

/// The version of all binaries of the package.
public enum CanarydVersion {
    public static let text = "0.1.0"
}
