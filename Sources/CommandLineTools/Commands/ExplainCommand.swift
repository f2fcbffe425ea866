import AdminClient
import AdminTypes
import ArgumentParser

struct ExplainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Explain a decision with every number that it rests on.",
        discussion: "DECISION is an event's number as history and events show it, or a rollout such as income-3.")

    @Argument(help: "An event's number or a rollout; default: the last decision.") var decision: String?
    @Option(help: "Of this service; may be left out where there is one, or where DECISION tells.") var service: String?
    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func run() throws {
        let console = Console.current
        let record = try find(connection.client)
        try console.show(record, as: output.output) { DecisionText.lines(record, coloured: console.isColoured) }
    }

    private func find(_ client: AdminClient) throws -> DecisionRecord {
        guard let decision else { return try client.decision(nil, of: service ?? chooseOnly(client)) }
        let names = try service.map { [$0] } ?? client.services().map(\.service)
        let text = decision.hasPrefix("#") ? String(decision.dropFirst()) : decision
        if let id = Int64(text) {
            for name in names {
                do { return try client.decision(id, of: name) } catch {
                    guard case .refused(404, let problem) = error, problem.code == "unknown_decision" else {
                        throw error
                    }
                }
            }
            throw Failure(ExitStatus.failed, "there is no decision \(id); canaryctl events lists them")
        }
        for name in names {
            for entry in try client.history(name, limit: 1000).rollouts where entry.id == text {
                if let id = entry.decision { return try client.decision(id, of: name) }
                throw Failure(
                    ExitStatus.failed, "\(text) is running: nothing has ended it; see canaryctl status \(name)")
            }
        }
        throw Failure(
            ExitStatus.failed, "there is no decision and no rollout \(text); canaryctl history lists the rollouts")
    }
}
