import AdminClient
import AdminTypes
import ArgumentParser

struct ConnectionOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The agent's socket; default: $CANARYD_SOCKET or /run/canaryd/admin.sock.", valueName: "path"))
    var socket: String?

    var client: AdminClient { AdminClient(socket: socket) }
}

struct OutputOptions: ParsableArguments {
    @Option(name: [.short, .long], help: "Output format: table, json or yaml; json and yaml are stable.")
    var output: OutputFormat = .table
}

struct ListOptions: ParsableArguments {
    @Option(help: "The largest number of entries to list, 1 to 1000.") var limit = 20

    func validate() throws {
        guard (1...1000).contains(limit) else { throw ValidationError("--limit is 1 to 1000, not \(limit)") }
    }
}

struct ServiceArgument: ParsableArguments {
    @Argument(help: "The service; may be omitted if the agent has only one.")
    var service: String?

    /// The named service, or the only one of the agent.
    func choose(_ client: AdminClient) throws -> String {
        if let service { return service }
        return try chooseOnly(client)
    }
}

/// The name of the agent's only service.
func chooseOnly(_ client: AdminClient) throws -> String {
    let names = try client.services().map(\.service)
    if names.count == 1 { return names[0] }
    if names.isEmpty {
        throw Failure(
            ExitStatus.failed,
            "the agent has no service; put one into its services folder and run systemctl reload canaryd")
    }
    throw Failure(ExitStatus.usage, "the agent has several services; say which: \(names.joined(separator: ", "))")
}
