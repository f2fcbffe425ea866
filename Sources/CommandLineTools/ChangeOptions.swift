import AdminClient
import AdminTypes
import ArgumentParser
import Glibc
import PolicyModel

/// The value of `--wait`: a time limit such as `90`, `90s`, `30m` or `1h`, or none.
enum WaitTime: ExpressibleByArgument, Equatable, CustomStringConvertible {
    /// No time limit: `--wait` without a value.
    case forever
    case seconds(Int)
    /// A text that is not a time. In `--wait income`, it is the name of the service.
    case other(String)

    init(argument: String) {
        let units: [Character: Int] = ["s": 1, "m": 60, "h": 3600]
        var digits = argument[...]
        let unit = digits.last.flatMap { units[$0] }
        if unit != nil { digits.removeLast() }
        if let value = Int(digits), value > 0, value <= 1_000_000 {
            self = .seconds(value * (unit ?? 1))
        } else {
            self = .other(argument)
        }
    }

    var description: String {
        switch self {
        case .forever: "as long as it takes"
        case .seconds(let count): "\(count)s"
        case .other(let text): text
        }
    }
}

/// The arguments and options of every command that changes a service.
struct ChangeOptions: ParsableArguments {
    @OptionGroup var service: ServiceArgument
    @Option(help: "The reason, for the journal and the history.") var reason: String?
    @Option(
        defaultAsFlag: WaitTime.forever,
        help: ArgumentHelp(
            "Wait for the result; --wait=30m gives up after that time.",
            discussion:
                "start, advance, promote, resume, retry and restart wait until the rollout has ended, or until it continues "
                + "only when a person acts (exit status 5: paused, in a pause step, frozen, or waiting for a manual start or "
                + "promotion). Other commands wait until the change is on disk.",
            valueName: "time"))
    var wait: WaitTime?
    @Option(help: "Refuse the command if the service's generation is not this one any more.") var generation: UInt64?
    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    mutating func validate() throws {
        guard case .other(let text) = wait else { return }
        guard service.service == nil else {
            throw ValidationError("--wait takes a time such as 90s, 30m or 1h, not \(text)")
        }
        service.service = text
        wait = .forever
    }

    /// Sends the command, prints what changed, and waits if `--wait` is given.
    /// - Throws: `Failure` with `ExitStatus.notDurable` if the change is in force, but not on disk.
    func send(_ verb: CommandVerb, force: Bool? = nil, to: String? = nil) throws {
        let console = Console.current
        let client = connection.client
        let name = try service.choose(client)
        let request = CommandRequest(
            reason: reason, by: Self.user, generation: generation, force: force == true ? true : nil, to: to)
        let result = try client.command(verb, service: name, request)
        if wait == nil || output.output == .table {
            try console.show(result, as: output.output) {
                [plain(result.message), "\(name): \(StatusText.headline(result.status))"]
            }
        }
        if let wait {
            let waiting = Waiting(client: client, service: name, limit: wait, console: console, output: output.output)
            try waiting.settle(verb, result)
        } else if !result.durable {
            throw Failure(
                ExitStatus.notDurable,
                "applied, not yet durable: it is in force, but could not be written; see canaryctl doctor")
        }
    }

    /// The name of the user who gives the command; under sudo, that of its caller.
    static var user: String? {
        if let name = variable("SUDO_USER"), !name.isEmpty { return String(name.prefix(100)) }
        return getpwuid(getuid()).map { String(cString: $0.pointee.pw_name) }
    }
}

/// Waits for the result of a command, as `--wait` asks.
struct Waiting {
    let client: AdminClient
    let service: String
    let limit: WaitTime
    let console: Console
    let output: OutputFormat

    /// The time between two queries of the agent, in microseconds.
    private static let interval: UInt32 = 250_000

    /// Waits until the rollout has ended, for commands that let it continue, or until the change is on disk.
    /// - Throws: `Failure` if the rollout was not promoted, if it needs a person, or if the time limit has passed.
    func settle(_ verb: CommandVerb, _ result: CommandResult) throws {
        switch verb {
        case .start, .advance, .promote, .resume, .retry, .restart:
            if let rollout = result.status.rollout?.id { return try waitForEnd(of: rollout) }
            try waitUntilDurable(result.status)
        case .revert, .pause, .freeze, .unfreeze: try waitUntilDurable(result.status)
        }
    }

    private func waitUntilDurable(_ status: ServiceStatus) throws {
        var status = status
        try poll {
            if status.durable { return true }
            status = try client.service(service)
            return status.durable
        }
        if output != .table { try console.show(status, as: output) { [] } }
    }

    private func waitForEnd(of rollout: String) throws {
        var last = try client.events(service, limit: 1).last?.id ?? 0
        var outcome: HistoryEntry?
        try poll {
            for event in try client.events(service, after: last, limit: 1000) {
                last = event.id ?? last
                if output == .table { console.line(EventText.line(event, colored: console.isColored)) }
            }
            let status = try client.service(service)
            guard status.rollout?.id == rollout else {
                outcome = try client.history(service, limit: 1000).rollouts.first { $0.id == rollout }
                return true
            }
            guard let needed = status.needsPerson else { return false }
            if output != .table { try console.show(status, as: output) { [] } }
            throw Failure(
                ExitStatus.needsPerson,
                "\(rollout) waits for a person: canaryctl \(needed.action.rawValue) \(service) (\(needed.reason))")
        }
        guard let outcome else {
            throw Failure(
                ExitStatus.failed, "\(rollout) is over, but the history does not say how; see canaryctl events")
        }
        try console.show(outcome, as: output) { ["\(rollout): \(outcome.result.rawValue)"] }
        guard outcome.result == .promoted else { throw Failure(ExitStatus.failed, "\(rollout): \(outcome.reason)") }
    }

    private func poll(_ isSettled: () throws -> Bool) throws {
        var waited = 0
        while try !isSettled() {
            if case .seconds(let seconds) = limit, waited >= seconds * 1_000_000 {
                throw Failure(
                    ExitStatus.failed,
                    "not finished within \(limit); the agent continues, see canaryctl watch \(service)")
            }
            usleep(Self.interval)
            waited += Int(Self.interval)
        }
    }
}
