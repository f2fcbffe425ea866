import AdminTypes
import ArgumentParser

struct HistoryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history", abstract: "List a service's rollouts, the newest first.")

    @OptionGroup var service: ServiceArgument
    @OptionGroup var list: ListOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func run() throws {
        let console = Console.current
        let client = connection.client
        let history = try client.history(service.choose(client), limit: list.limit)
        try console.show(history, as: output.output) { Self.lines(history, colored: console.isColored) }
    }

    static func lines(_ history: HistoryList, colored: Bool) -> [String] {
        guard !history.rollouts.isEmpty else { return ["\(history.service) has had no rollout yet"] }
        var table = Table(
            ("ROLLOUT", .left), ("CANDIDATE", .left), ("AGAINST", .left), ("BEGAN (UTC)", .left), ("TOOK", .right),
            ("REQUESTS", .right), ("RESULT", .left), ("DECISION", .right), ("REASON", .left))
        for entry in history.rollouts {
            let took = entry.endedAt.map { Double($0.milliseconds - entry.startedAt.milliseconds) / 1000 }
            let style: Style =
                switch entry.result {
                case .running: .cyan
                case .promoted: .green
                case .reverted: .red
                case .ended: .yellow
                }
            table.add(
                Cell(entry.id), Cell(entry.candidate), Cell(entry.baseline), Cell(entry.startedAt.short),
                Cell(took.map(Words.time) ?? Words.nothing), Cell(Words.count(entry.candidateRequests)),
                Cell(entry.result.rawValue, style), Cell(entry.decision.map { "\($0)" } ?? Words.nothing),
                Cell(entry.reason))
        }
        return table.lines(colored: colored)
    }
}
