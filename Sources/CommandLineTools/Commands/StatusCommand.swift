import AdminTypes
import ArgumentParser

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show the rollout of a service, or a list of all services.")

    @OptionGroup var service: ServiceArgument
    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func run() throws {
        let console = Console.current
        let client = connection.client
        if let name = service.service {
            return try show(client.service(name), console)
        }
        let all = try client.services()
        if all.count == 1, output.output == .table { return try show(all[0], console) }
        try console.show(ServiceList(services: all), as: output.output) {
            all.isEmpty
                ? ["no services; put one into the agent's services folder and run systemctl reload canaryd"]
                : ServiceTable.lines(all, colored: console.isColored)
        }
    }

    private func show(_ status: ServiceStatus, _ console: Console) throws {
        try console.show(status, as: output.output) { StatusText.lines(status, colored: console.isColored) }
    }
}
